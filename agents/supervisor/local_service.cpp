#include "agents/supervisor/local_service.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "core/log.hpp"
#include "core/net/channel.hpp"
#include "sluice/cluster/v1/cluster.grpc.pb.h"

namespace sluice::agents {
namespace {

using cluster::v1::ComponentCommand;
using cluster::v1::ComponentMessage;
using Stream = grpc::ServerReaderWriter<ComponentCommand, ComponentMessage>;

// sun_path holds 108 bytes; what is left is for "/<component id>.sock".
constexpr size_t kSocketFolderMax = 40;
constexpr std::chrono::seconds kVerdictPatience{10};

// What waits to be written to one component.
class Outbox {
 public:
  explicit Outbox(uint64_t epoch) : epoch_(epoch) {}
  uint64_t epoch() const { return epoch_; }

  void put(const ComponentCommand& command) {
    std::lock_guard lock(mutex_);
    if (command.has_lease()) lease_ = command;
    if (command.has_desired()) desired_ = command;
    changed_.notify_all();
  }
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  // Empty when closed. The lease goes first.
  std::optional<ComponentCommand> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || lease_ || desired_; });
    if (closed_) return std::nullopt;
    return std::exchange(lease_ ? lease_ : desired_, std::nullopt);
  }

 private:
  const uint64_t epoch_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<ComponentCommand> lease_, desired_;
  bool closed_ = false;
};

}  // namespace

class LocalService::Impl final : public cluster::v1::ComponentService::Service {
 public:
  Impl(Secret token, Handlers handlers) : token_(std::move(token)), handlers_(std::move(handlers)) {}

  grpc::Status Session(grpc::ServerContext* call, Stream* stream) override {
    if (auto allowed = net::check_authorization(*call, token_); !allowed.ok()) return allowed;
    ComponentMessage message;
    if (!stream->Read(&message) || !message.has_hello())
      return net::to_grpc(Error(ErrorCode::INVALID_ARGUMENT, "the first message is not a hello"));
    const std::string id = message.hello().component_id();
    auto outbox = std::make_shared<Outbox>(message.hello().epoch());
    // Registered before the hello is judged: the answer's lease and desired state go through it.
    enter(id, outbox);
    const Status verdict = judge(message.hello());
    if (!verdict.ok()) {
      leave(id, outbox);
      return net::to_grpc(verdict.error());
    }
    std::thread writer([&] {
      while (auto command = outbox->take())
        if (!stream->Write(*command)) return;
    });
    while (stream->Read(&message)) {
      if (message.has_status()) handlers_.on_status(std::move(*message.mutable_status()));
      if (!message.has_log()) continue;
      message.mutable_log()->set_component_id(id);
      handlers_.on_log(std::move(*message.mutable_log()));
    }
    leave(id, outbox);
    writer.join();
    return grpc::Status::OK;
  }

  void command(const std::string& component, uint64_t epoch, const ComponentCommand& command) {
    std::lock_guard lock(mutex_);
    auto found = outboxes_.find(component);
    if (found != outboxes_.end() && found->second->epoch() == epoch) found->second->put(command);
  }

  Status start(const std::string& address) {
    auto server = net::start_server(address, {this});
    if (!server.ok()) return server.error();
    server_ = std::move(server->server);
    return {};
  }

  void stop() {
    if (!server_) return;
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    server_->Wait();
    server_.reset();
  }

 private:
  Status judge(const cluster::v1::ComponentHello& hello) {
    auto answer = std::make_shared<std::promise<Status>>();
    auto verdict = answer->get_future();
    handlers_.on_hello(hello, [answer](Status status) { answer->set_value(std::move(status)); });
    if (verdict.wait_for(kVerdictPatience) != std::future_status::ready)
      return Error(ErrorCode::TIMED_OUT, "the agent is busy");
    return verdict.get();
  }

  void enter(const std::string& id, const std::shared_ptr<Outbox>& outbox) {
    std::lock_guard lock(mutex_);
    auto& present = outboxes_[id];
    if (present && present->epoch() > outbox->epoch()) return;  // an old process cannot displace a newer one
    if (present) present->close();
    present = outbox;
  }

  void leave(const std::string& id, const std::shared_ptr<Outbox>& outbox) {
    outbox->close();
    std::lock_guard lock(mutex_);
    auto found = outboxes_.find(id);
    if (found != outboxes_.end() && found->second == outbox) outboxes_.erase(found);
  }

  const Secret token_;
  const Handlers handlers_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Outbox>> outboxes_;
  std::unique_ptr<grpc::Server> server_;
};

LocalService::LocalService(Secret token, Handlers handlers)
    : impl_(std::make_unique<Impl>(std::move(token), std::move(handlers))) {}
LocalService::~LocalService() { stop(); }

Status LocalService::start(const std::string& address) { return impl_->start(address); }
void LocalService::stop() { impl_->stop(); }
void LocalService::command(const std::string& component, uint64_t epoch, const ComponentCommand& command) {
  impl_->command(component, epoch, command);
}

Result<std::string> socket_directory(const std::string& data_dir) {
  std::string folder = data_dir;
  if (data_dir.size() > kSocketFolderMax) {
    char name[64];
    std::snprintf(name, sizeof name, "/tmp/sluice-%u-%016zx", ::getuid(), std::hash<std::string>{}(data_dir));
    folder = name;
    if (::mkdir(name, 0700) != 0 && errno != EEXIST) return Error(ErrorCode::IO_ERROR, std::strerror(errno), folder);
  }
  // Who may enter this directory may talk to the agent: it must be ours alone, and no link to elsewhere.
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0 || (folder != data_dir && !S_ISDIR(info.st_mode)) ||
      info.st_uid != ::getuid())
    return Error(ErrorCode::IO_ERROR, "the directory does not belong to this user", folder);
  if (::chmod(folder.c_str(), 0700) != 0) return Error(ErrorCode::IO_ERROR, std::strerror(errno), folder);
  return folder;
}

}  // namespace sluice::agents
