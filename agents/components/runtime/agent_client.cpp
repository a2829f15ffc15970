#include "agents/components/runtime/agent_client.hpp"

#include <unistd.h>

#include "core/log.hpp"
#include "core/net/channel.hpp"
#include "sluice/cluster/v1/cluster.grpc.pb.h"

namespace sluice::agents {
namespace {

using cluster::v1::ComponentCommand;
using cluster::v1::ComponentMessage;
using Stream = grpc::ClientReaderWriter<ComponentMessage, ComponentCommand>;

constexpr std::chrono::milliseconds kFirstPause{50}, kLongestPause{500};
constexpr std::chrono::milliseconds kLook{100};  // how often the writer looks whether the stream is broken

std::string as_address(const std::string& socket) {
  return socket.find(':') == std::string::npos ? "unix:" + socket : socket;
}

ComponentMessage log_message(log::LogRelay::Line line) {
  ComponentMessage message;
  message.mutable_log()->set_line(std::move(line.text));
  message.mutable_log()->set_level(line.level == log::Level::kError ? "ERROR" : "WARN");
  message.mutable_log()->set_dropped(line.dropped);
  return message;
}

}  // namespace

AgentClient::AgentClient(FrameContext& context, std::shared_ptr<log::LogRelay> log, Handlers handlers)
    : context_(context),
      log_(std::move(log)),
      handlers_(std::move(handlers)),
      address_(as_address(context.boot().agent_socket())),
      token_(context.boot().token()) {}

AgentClient::~AgentClient() {
  abandoned_ = true;
  if (thread_.joinable()) thread_.join();
}

void AgentClient::start() {
  thread_ = std::thread([this] { run(); });
}

void AgentClient::finish() {
  finishing_ = true;
  if (thread_.joinable()) thread_.join();
}

void AgentClient::run() {
  auto pause = kFirstPause;
  while (!abandoned_) {
    const auto begun = std::chrono::steady_clock::now();
    if (session() == Outcome::kConfirmed) return;
    if (std::chrono::steady_clock::now() - begun > std::chrono::seconds(2)) pause = kFirstPause;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

AgentClient::Outcome AgentClient::session() {
  auto stub = cluster::v1::ComponentService::NewStub(net::make_channel(address_));
  grpc::ClientContext call;
  net::authorize(call, token_);
  std::unique_ptr<Stream> stream = stub->Session(&call);

  ComponentMessage message;
  message.mutable_hello()->set_component_id(context_.spec().component_id());
  message.mutable_hello()->set_epoch(context_.spec().epoch());
  message.mutable_hello()->set_pid(::getpid());
  bool sound = stream->Write(message);

  std::atomic<bool> broken{!sound};
  std::thread reader([&] {
    ComponentCommand command;
    while (stream->Read(&command)) {
      if (command.has_lease()) handlers_.on_lease(BootTime(command.lease().deadline_boot_ns()));
      if (command.has_desired()) context_.accept_desired(command.desired());
    }
    broken = true;
  });

  bool everything = true, done = false;
  while (sound && !broken && !done && !abandoned_) {
    const bool last = finishing_;
    if (auto status = context_.next_status(everything, kLook)) {
      *message.mutable_status() = std::move(*status);
      sound = stream->Write(message);
      everything = false;
    }
    for (auto& line : log_->take())
      if (sound) sound = stream->Write(log_message(std::move(line)));
    done = sound && last && context_.nothing_to_send();
  }
  if (done)
    stream->WritesDone();  // the agent ends the stream when it has taken everything in
  else
    call.TryCancel();
  reader.join();
  const grpc::Status end = stream->Finish();
  if (done && end.ok()) return Outcome::kConfirmed;
  if (!abandoned_) {
    const Error error = net::from_grpc(end, address_);
    log::debug("component.link", "the stream to the agent ended", {{"cause", error}});
    if (error.code() == ErrorCode::STALE_EPOCH || error.code() == ErrorCode::UNAUTHENTICATED)
      handlers_.on_refused(error);
  }
  return Outcome::kBroken;
}

}  // namespace sluice::agents
