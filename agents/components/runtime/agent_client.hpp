// AgentClient: the stream of a component process to its agent. It runs on threads of its own, connects again whenever
// the stream breaks (the agent may have been restarted) and never gives up: the lease's watchdog ends the process.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "agents/components/runtime/frame_context.hpp"
#include "core/clock.hpp"
#include "core/log_relay.hpp"
#include "core/secret.hpp"

namespace sluice::agents {

class AgentClient {
 public:
  struct Handlers {  // called on the link's threads; must not block
    std::function<void(BootTime deadline)> on_lease;
    std::function<void(const Error&)> on_refused;  // the agent does not want this process
  };

  // `log`: lines for the coordinator's log, sent as they come; what does not fit is left out there.
  AgentClient(FrameContext& context, std::shared_ptr<log::LogRelay> log, Handlers handlers);
  ~AgentClient();
  AgentClient(const AgentClient&) = delete;

  void start();
  // Sends what is left and returns when the agent has confirmed that it has everything.
  void finish();

 private:
  enum class Outcome { kBroken, kConfirmed };
  void run();
  Outcome session();

  FrameContext& context_;
  const std::shared_ptr<log::LogRelay> log_;
  const Handlers handlers_;
  const std::string address_;
  const Secret token_;
  std::atomic<bool> finishing_{false}, abandoned_{false};
  std::thread thread_;
};

}  // namespace sluice::agents
