#include "agents/components/incr_sync/incr_sync.hpp"

#include <algorithm>
#include <thread>

#include "agents/components/incr_sync/session_actor.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/convert.hpp"

namespace sluice::agents {
namespace incr_sync {
namespace {

using namespace std::chrono_literals;
constexpr std::string_view kLog = "incr_sync";
constexpr auto kStatusPause = 200ms;
constexpr auto kFirstPause = 100ms, kLongestPause = 3000ms;

void fill(const IncrProgress& progress, uint64_t epoch, cluster::v1::ComponentStatus& status) {
  status.set_state(progress.retrying ? cluster::v1::RETRYING : cluster::v1::RUNNING);
  if (progress.retrying)
    *status.mutable_error() = net::to_proto(*progress.retrying);
  else
    status.clear_error();
  status.set_desired_revision(progress.desired_revision);
  status.set_rows(progress.rows);
  auto& incr = *status.mutable_incr_sync();
  *incr.mutable_applied() = net::to_proto(progress.applied);
  *incr.mutable_start() = net::to_proto(progress.start);
  incr.set_lag_ms(lag_ms(progress, std::chrono::steady_clock::now()));
  incr.set_transactions(progress.transactions);
  incr.set_rows(progress.rows);
  incr.set_ddl(progress.ddl);
  incr.set_window_closed(progress.window_closed);
  incr.clear_hold();
  if (progress.hold.id != 0) {
    incr.mutable_hold()->set_id(progress.hold.id);
    incr.mutable_hold()->set_paused(progress.hold.paused);
    *incr.mutable_hold()->mutable_applied() = net::to_proto(progress.hold.applied);
    incr.mutable_hold()->set_incr_sync_epoch(epoch);
  }
  incr.clear_needs_copy();
  for (const TableCopy& copy : progress.needs_copy) *incr.add_needs_copy() = net::to_proto(copy);
  incr.clear_conflicts();
  for (const std::string& conflict : progress.conflicts) incr.add_conflicts(conflict);
  incr.set_conflicts_total(progress.conflicts_total);
  incr.set_conflicts_skipped(progress.conflicts_skipped);
}

// Sends the status on a thread of its own, so that lag grows whatever else is stuck.
class Publisher {
 public:
  explicit Publisher(Job& job) : job_(job), thread_([this](const std::stop_token& stop) { run(stop); }) {}
  ~Publisher() {
    thread_.request_stop();
    thread_.join();
    publish();
  }

 private:
  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      publish();
      std::this_thread::sleep_for(kStatusPause);
    }
  }
  void publish() {
    const IncrProgress progress = job_.sample();
    job_.context.update(
        [&](cluster::v1::ComponentStatus& status) { fill(progress, job_.context.spec().epoch(), status); });
  }
  Job& job_;
  std::jthread thread_;
};

// Until the Store's place is known; false when a stop is desired.
bool wait_for_store(ComponentContext& context) {
  auto desired = context.desired();
  while (!desired.stop() && desired.store_address().empty()) desired = context.wait_desired(desired.revision(), 1s);
  return !desired.stop();
}

// Until it is told to end.
Status follow(Job& job) {
  ComponentContext& context = job.context;
  // The callback may come as long as the process lives, so what it uses does too.
  auto mailbox = std::make_shared<SessionMailbox>();
  context.on_desired([mailbox](const cluster::v1::ComponentDesired& desired) { mailbox->tell(desired); });
  Publisher publisher(job);
  auto pause = std::chrono::milliseconds(kFirstPause);
  while (wait_for_store(context)) {
    SLUICE_TRY(context.lease()->check());
    const auto begun = std::chrono::steady_clock::now();
    auto ended = run_session(job, *mailbox);
    if (ended.ok()) {
      if (*ended != SessionEnd::kRestart) return {};
      continue;
    }
    const Error& error = ended.error();
    if (!error.retryable()) return error;
    log::warn(kLog, "starts again from the target's rows", {{"cause", error}});
    metrics::counter("sluice_incr_sync_retries_total", "Errors that were answered by a new beginning").add();
    job.change([&](IncrProgress& progress) {
      progress.retrying = error;
      progress.caught_up = false;
    });
    if (std::chrono::steady_clock::now() - begun > 10s) pause = kFirstPause;
    context.wait_desired(context.desired().revision(), pause);
    pause = std::min<std::chrono::milliseconds>(pause * 2, kLongestPause);
  }
  return {};
}

}  // namespace
}  // namespace incr_sync

Status run_incr_sync(ComponentContext& context) {
  SLUICE_ASSIGN(auto job, incr_sync::make_job(context));
  return incr_sync::follow(*job);
}

}  // namespace sluice::agents
