// HttpServer: GET handlers by exact path, for metrics and health. Handlers run on the server's own few threads and must
// be thread safe. Register all of them before start(). The destructor stops the server and waits for its threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/result.hpp"

namespace sluice::net {

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  using Handler = std::function<HttpAnswer()>;

  HttpServer();
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;

  void get(const std::string& path, Handler handler);
  // Registers /metrics (core/metrics.hpp), /healthz (always 200 while the process answers) and /readyz: 200 while
  // `not_ready` gives an empty text, else 503 with the text.
  void add_metrics_and_health(std::function<std::string()> not_ready);
  // Port 0 picks a free one. IO_ERROR when the address cannot be bound.
  Status start(const std::string& host, int port);
  void stop();
  int port() const { return port_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::map<std::string, Handler> handlers_;
  int port_ = 0;
};

}  // namespace sluice::net
