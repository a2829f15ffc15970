#include "agents/components/runtime/component.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "agents/components/runtime/agent_client.hpp"
#include "agents/components/runtime/boot.hpp"
#include "agents/components/runtime/frame_context.hpp"
#include "core/core_files.hpp"
#include "core/log.hpp"

namespace sluice::agents {
namespace {

constexpr long kWatchNs = 100'000'000;

// Blocked in all threads, taken by the watchdog. SIGINT goes to the terminal's whole process group: it is the agent's.
sigset_t block_signals() {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGTERM);
  sigaddset(&watched, SIGCONT);
  ::pthread_sigmask(SIG_BLOCK, &watched, nullptr);
  for (const int ignored : {SIGINT, SIGHUP, SIGPIPE}) ::signal(ignored, SIG_IGN);
  return watched;
}

// Takes no lock and frees nothing: the lease is over, whatever the other threads hold.
[[noreturn]] void end_now(const char* why) {
  [[maybe_unused]] auto written = ::write(STDERR_FILENO, why, std::strlen(why));
  ::_exit(kExitLeaseOver);
}

constexpr char kLeaseOver[] = "sluice component: the lease is over, this process ends\n";
constexpr char kRefused[] = "sluice component: the agent refused this process, it ends\n";

// Ends the process when the lease is over. A thread of its own that needs nothing from the others; a process that was
// stopped and continues comes here at once (SIGCONT).
class Watchdog {
 public:
  Watchdog(FrameContext& context, sigset_t signals) : context_(context), thread_([this, signals] { watch(signals); }) {}
  ~Watchdog() {
    ended_ = true;
    thread_.join();
  }

 private:
  void watch(sigset_t signals) {
    const timespec interval{0, kWatchNs};
    while (!ended_) {
      const int signal = ::sigtimedwait(&signals, nullptr, &interval);
      if (context_.lease()->expired()) end_now(kLeaseOver);
      if (signal == SIGTERM) context_.stop_locally();
    }
  }

  FrameContext& context_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

// The last status. Gives the exit status of the process.
int report_end(FrameContext& context, const Status& end) {
  const bool stopped = context.stop_desired();
  // Work that was cut off because of a stop is stopped, not failed.
  const bool success = end.ok() || (stopped && end.error().code() == ErrorCode::CANCELLED);
  const bool retry = !success && end.error().retryable();
  context.update([&](cluster::v1::ComponentStatus& status) {
    if (success) {
      status.set_state(stopped ? cluster::v1::STOPPED : cluster::v1::FINISHED);
      status.clear_error();
      return;
    }
    // With a retryable error the Supervisor reports the end once the process is gone.
    status.set_state(retry ? cluster::v1::RETRYING : cluster::v1::FAILED);
    *status.mutable_error() = net::to_proto(end.error());
  });
  if (success) return 0;
  return retry ? kExitRetry : kExitFailed;
}

}  // namespace

int run_component(const ComponentMain& main) {
  forbid_core_files();
  const sigset_t signals = block_signals();
  auto boot = read_boot(kBootFd);
  if (!boot.ok()) {
    log::error("component", "cannot start", {{"cause", boot.error()}});
    return kExitUsage;
  }
  log::init({.file = boot->log_file()});
  const auto relay = std::make_shared<log::LogRelay>(system_clock());
  log::set_tap([relay](log::Level level, const std::string& line) { relay->offer(level, line); });
  FrameContext context(std::move(*boot));
  const auto& spec = context.spec();
  log::info("component", "starting",
            {{"component", spec.component_id()}, {"epoch", spec.epoch()}, {"pid", ::getpid()}});

  Watchdog watchdog(context, signals);
  AgentClient link(context, relay,
                   {.on_lease =
                        [&](BootTime deadline) {
                          // A renewal that was read too late renews nothing: this process may have slept.
                          if (context.lease()->expired()) end_now(kLeaseOver);
                          context.lease()->extend(deadline);
                        },
                    .on_refused = [](const Error&) { end_now(kRefused); }});
  link.start();

  const Status end = main(context);
  if (!end.ok()) log::error("component", "ended with an error", {{"cause", end.error()}});
  if (!end.ok() && end.error().code() == ErrorCode::LEASE_EXPIRED) end_now(kLeaseOver);
  const int exit_status = report_end(context, end);
  link.finish();
  log::info("component", "ended", {{"component", spec.component_id()}, {"exit_status", exit_status}});
  return exit_status;
}

}  // namespace sluice::agents
