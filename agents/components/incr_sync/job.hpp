// Job: what is fixed for the life of an Incr-Sync process, and what outlives its sessions. The fixed part is read by
// any thread; Progress is guarded by its mutex.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agents/components/runtime/component.hpp"
#include "core/endpoint.hpp"
#include "core/table_copy.hpp"
#include "core/table_mapping.hpp"
#include "sinks/database/apply/applier.hpp"
#include "sinks/database/apply/ddl_runner.hpp"
#include "store/client/log_client.hpp"

namespace sluice::agents::incr_sync {

struct HoldState {
  uint64_t id = 0;
  bool paused = false;
  Position applied;
};

// What the status is made of. Times are Unix time in microseconds on the source's clock.
struct IncrProgress {
  Position applied, start;
  uint64_t transactions = 0, rows = 0, ddl = 0;
  bool window_closed = false;
  std::optional<Position> drain_to;
  HoldState hold;
  std::vector<TableCopy> needs_copy;
  std::deque<std::string> conflicts;                    // the latest, for display
  uint64_t conflicts_total = 0, conflicts_skipped = 0;  // as the target's bookkeeping has them
  std::optional<Error> retrying;
  uint64_t desired_revision = 0;
  // Lag: everything that the source committed before `complete_until_us` is applied.
  int64_t complete_until_us = 0;
  bool caught_up = false;
  int64_t source_asked_us = 0;
  std::chrono::steady_clock::time_point source_heard;  // when the source gave that answer
};
// Age of the oldest change that is not applied, as far as is known at `now`. Grows when the source does not answer, and
// when nothing is heard of it.
int64_t lag_ms(const IncrProgress& progress, std::chrono::steady_clock::time_point now);

struct Job {
  explicit Job(ComponentContext& c) : context(c) {}
  ComponentContext& context;
  Endpoint source;
  TableMapping mapping;
  database::ApplyOptions apply;
  database::DdlOptions ddl;
  uint32_t appliers = 4;
  uint64_t credit_bytes = 64 << 20;   // batches of the Store
  uint64_t pending_bytes = 64 << 20;  // Scheduler::footprint: narrow rows need several times their own bytes
  uint64_t piece_bytes = 8 << 20;     // a transaction above this is streamed

  // Kept over sessions, used by one session at a time.
  Position acknowledged;        // greatest low watermark that the target has acknowledged
  bool stream_plainly = false;  // the next streamed transaction met a conflict: it is applied as logged
  Position looked_through;      // the target does not hold the large transaction that begins here
  std::set<TableCopy> asked;    // copies of whose end the coordinator has not told: what it says of foreign keys may
                                // be older than they are

  void change(const std::function<void(IncrProgress&)>& how) {
    std::lock_guard lock(mutex);
    how(progress);
  }
  IncrProgress sample() {
    std::lock_guard lock(mutex);
    return progress;
  }
  std::mutex mutex;
  IncrProgress progress;
};

Result<std::unique_ptr<Job>> make_job(ComponentContext& context);

}  // namespace sluice::agents::incr_sync
