#include "core/net/http_server.hpp"

#include <httplib.h>

#include <atomic>
#include <thread>

#include "core/metrics.hpp"

namespace sluice::net {

struct HttpServer::Impl {
  httplib::Server server;
  std::thread thread;
  std::atomic<bool> ended{false};
};

HttpServer::HttpServer() : impl_(std::make_unique<Impl>()) {}
HttpServer::~HttpServer() { stop(); }

void HttpServer::get(const std::string& path, Handler handler) { handlers_[path] = std::move(handler); }

void HttpServer::add_metrics_and_health(std::function<std::string()> not_ready) {
  get("/metrics", [] { return HttpAnswer{200, metrics::kExpositionType, metrics::exposition()}; });
  get("/healthz", [] { return HttpAnswer{.body = "ok\n"}; });
  get("/readyz", [not_ready = std::move(not_ready)] {
    const std::string cause = not_ready();
    return cause.empty() ? HttpAnswer{.body = "ok\n"} : HttpAnswer{.status = 503, .body = cause + "\n"};
  });
}

Status HttpServer::start(const std::string& host, int port) {
  httplib::Server& server = impl_->server;
  // Without it every answer on a kept connection waits 40 ms for a delayed acknowledgement.
  server.set_tcp_nodelay(true);
  server.new_task_queue = [] { return new httplib::ThreadPool(4); };
  server.set_keep_alive_timeout(2);
  // The library's default shares the port with any other process that asks for it (SO_REUSEPORT).
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  // The path is compared as text, not as the regular expression that the library would make of it.
  server.Get(".*", [this](const httplib::Request& request, httplib::Response& response) {
    const auto found = handlers_.find(request.path);
    const HttpAnswer answer =
        found == handlers_.end() ? HttpAnswer{.status = 404, .body = "not found\n"} : found->second();
    response.status = answer.status;
    response.set_content(answer.body, answer.type.c_str());
  });
  if (port == 0)
    port_ = server.bind_to_any_port(host.c_str());
  else
    port_ = server.bind_to_port(host.c_str(), port) ? port : -1;
  if (port_ <= 0) {
    port_ = 0;
    return Error(ErrorCode::IO_ERROR, "cannot listen for HTTP: the address is in use or not of this machine",
                 host + ":" + std::to_string(port));
  }
  impl_->thread = std::thread([this] {
    impl_->server.listen_after_bind();
    impl_->ended = true;
  });
  return {};
}

void HttpServer::stop() {
  if (!impl_->thread.joinable()) return;
  // stop() before the loop has begun would be lost.
  while (!impl_->server.is_running() && !impl_->ended) std::this_thread::yield();
  impl_->server.stop();
  impl_->thread.join();
}

}  // namespace sluice::net
