#include "agents/components/incr_sync/session.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/convert.hpp"

namespace sluice::agents::incr_sync {
namespace {

using namespace std::chrono_literals;
constexpr size_t kSpan = 4096;  // transactions above the low watermark
constexpr size_t kConflictsShown = 50;
constexpr auto kCheckpointPause = 1s, kTellPause = 1s;

bool greater(const Position& a, const Position& b) { return compare_in_log(a, b) > 0; }

metrics::Gauge queue_bytes() {
  static auto gauge = metrics::gauge("sluice_incr_sync_queue_bytes", "Batches that were read and are not applied yet");
  return gauge;
}

}  // namespace

// Gives a batch's bytes back to the Store when its last transaction is committed.
struct Session::PinnedBatch {
  PinnedBatch(Batch pinned, std::shared_ptr<store::LogClient> from)
      : batch(std::move(pinned)), client(std::move(from)) {
    queue_bytes().add(static_cast<double>(batch.size()));
  }
  PinnedBatch(const PinnedBatch&) = delete;  // each copy would give the same bytes back once more
  ~PinnedBatch() {
    queue_bytes().add(-static_cast<double>(batch.size()));
    client->grant(batch.size());
  }
  const Batch batch;
  const std::shared_ptr<store::LogClient> client;
};

Session::Session(Job& job)
    : job_(job),
      definitions_(job.mapping),
      ddl_(std::make_shared<database::DdlRunner>(job.ddl, job.mapping)),
      events_(job.piece_bytes) {
  (void)queue_bytes();  // is shown from the start, not from the first batch on
}

Status Session::on_item(const store::LogItem& item) {
  if (item.batch) batches_.push_back(std::make_shared<const PinnedBatch>(*item.batch, client_));
  item_caught_up_ = item.caught_up;
  if (item.caught_up) item_end_ = item.end;
  if (item.source_asked_us != 0) {
    source_end_ = item.source_end;
    source_asked_us_ = item.source_asked_us;
    heard_ = Clock::now() - item.source_age;
  }
  if (!std::exchange(streams_, true)) job_.change([](IncrProgress& progress) { progress.retrying.reset(); });
  return advance();
}

Status Session::on_applied(uint32_t applier, const database::Group& group,
                           const Result<database::GroupResult>& result) {
  --flying_;
  idle_[applier] = true;
  if (!result.ok()) {
    const bool piece = !group.first_piece || !group.last_piece;
    const ErrorCode code = result.error().code();
    if (piece && (code == ErrorCode::ROW_CONFLICT || code == ErrorCode::DUPLICATE_KEY) && !streaming_plainly_) {
      job_.stream_plainly = true;
      return Error(ErrorCode::TARGET_LOST_COMMITS, "a large transaction is applied again, row by row",
                   result.error().object(), result.error().position());
    }
    return result.error();
  }
  if (streaming_) {
    if (group.last_piece) {
      streaming_ = job_.stream_plainly = false;
      changed_ = group.low_watermark;
      watermark_.pass(group.low_watermark);
    }
  } else {
    for (const auto& transaction : group.transactions) {
      watermark_.applied(transaction->number, applier);
      barrier_.committed(*transaction);
    }
    scheduler_.committed(group.transactions);
  }
  if (group.last_piece && greater(group.low_watermark, persisted_)) {
    persisted_ = group.low_watermark;
    if (greater(persisted_, job_.acknowledged)) job_.acknowledged = persisted_;
  }
  checkpointed_ = Clock::now();
  job_.change([&](IncrProgress& progress) {
    progress.rows += result->rows;
    if (group.last_piece) progress.transactions += group.transactions.size();
    for (const std::string& conflict : result->conflicts) progress.conflicts.push_back(conflict);
    while (progress.conflicts.size() > kConflictsShown) progress.conflicts.pop_front();
    progress.conflicts_total += result->conflicts.size();
    progress.conflicts_skipped += result->conflicts_skipped;
  });
  if (finishing_ && flying_ == 0) {
    ended_ = finishing_;
    publish();
    return {};
  }
  return advance();
}

Status Session::on_desired(const cluster::v1::ComponentDesired& desired) {
  desired_ = desired;
  decisions_ = decisions_of(desired);
  if (desired.stop()) leaving_ = SessionEnd::kStopped;
  looked_at_ = {};  // copies may be finished
  hear_of_copies();
  SLUICE_TRY(advance());
  job_.change([&](IncrProgress& progress) { progress.desired_revision = desired.revision(); });
  return {};
}

Status Session::on_tick() {
  SLUICE_TRY(advance());
  const auto now = Clock::now();
  if (!finishing_ && !leaving_ && flying_ == 0 && !streaming_ && idle_[0] && watermark_.low() != persisted_ &&
      now - checkpointed_ >= kCheckpointPause) {
    checkpointed_ = now;
    auto group = std::make_shared<database::Group>();
    group->low_watermark = watermark_.low();
    group->applied = watermark_.applied_by(0);
    send(0, std::move(group));
  }
  if (persisted_ != told_durable_ && now - told_at_ >= kTellPause) {
    told_at_ = now;
    told_durable_ = persisted_;
    client_->durable(persisted_);
  }
  publish();
  return {};
}

Status Session::advance() {
  if (ended_) return {};
  if (blocked_) SLUICE_TRY(look_for_copies());
  SLUICE_TRY(consume());
  if (found_ && !leaving_ && !finishing_) return begin_here();
  dispatch();
  return settle();
}

std::optional<Position> Session::limit() const {
  std::optional<Position> least;
  auto take = [&](const Position& position) {
    if (!least || compare_in_log(position, *least) < 0) least = position;
  };
  if (window_ && !seeking_ && !window_end().empty()) take(window_end());
  const auto& hold = desired_.hold();
  if (hold_seen_ != 0 && !hold_over_ && hold.has_apply_to()) take(net::from_proto(hold.apply_to()));
  if (const auto drain = job_.sample().drain_to) take(*drain);
  return least;
}

void Session::abort() {
  ddl_->abort();
  job_.apply.watch->end_all();
}

bool Session::reached(const Position& position) const {
  if (queue_.empty()) return !greater(position, seen_);
  const LogEvent& front = queue_.front();
  if (front.heartbeat) return !greater(position, front.end);
  // The end of a large transaction is not known before its last piece.
  return front.end.empty() ? !greater(position, consumed_) : greater(front.end, position);
}

Status Session::consume() {
  const auto least = limit();
  const auto beyond = [&](const Position& end) {
    return least && (end.empty() ? !greater(*least, consumed_) : greater(end, *least));
  };
  while (true) {
    if (queue_.empty()) {
      SLUICE_ASSIGN(const bool more, read_batch());
      if (!more) break;
      continue;
    }
    const bool paused = hold_seen_ != 0 && !hold_over_ && !desired_.hold().has_apply_to();
    if (leaving_ || finishing_ || blocked_ || (paused && !streaming_)) return {};
    LogEvent& event = queue_.front();
    if (beyond(event.end) && event.first_piece) return {};
    if (seeking_) {
      if (!seek(event)) return {};
    } else if (event.heartbeat) {
      if (streaming_) return {};
      watermark_.pass(event.end);
    } else if (!event.whole()) {
      SLUICE_ASSIGN(const bool sent, stream_piece(event));
      if (!sent) return {};
    } else {
      if (streaming_ || watermark_.span() >= kSpan || scheduler_.footprint() >= job_.pending_bytes) return {};
      SLUICE_ASSIGN(const bool added, add_transaction(event));
      if (!added) return {};
    }
    if (!event.end.empty()) consumed_ = event.end;
    queue_.pop_front();
  }
  // Nothing is left to read, so there is nothing between the last event and what the Store holds.
  if (!item_caught_up_) return {};
  if (greater(item_end_, seen_)) seen_ = item_end_;
  if (!streaming_ && !blocked_ && !beyond(item_end_)) watermark_.pass(item_end_);
  return {};
}

// The events of the next batch; false when there is none.
Result<bool> Session::read_batch() {
  if (batches_.empty()) return false;
  const auto held = std::move(batches_.front());
  batches_.pop_front();
  SLUICE_TRY(events_.add(held->batch, held));
  for (LogEvent& event : events_.take()) {
    if (greater(event.end, seen_)) seen_ = event.end;
    queue_.push_back(std::move(event));
  }
  return true;
}

// What the operator decided about the conflicts of one transaction.
std::optional<database::ConflictPolicy> Session::decided_policy(const std::string& id) const {
  const auto found = decisions_.conflicts.find(id);
  return found == decisions_.conflicts.end() ? std::nullopt : std::optional(found->second);
}

void Session::send(uint32_t applier, std::shared_ptr<database::Group> group) {
  idle_[applier] = false;
  ++flying_;
  send_(applier, std::move(group));
}

size_t Session::idle_count() const { return static_cast<size_t>(std::count(idle_.begin(), idle_.end(), true)); }

// Whether the operator's limit lets rows pass.
bool Session::may_dispatch() {
  throttle_.set_rate(throttle_of(desired_, job_.context.spec()));
  return throttle_.open();
}

void Session::dispatch() {
  while (!leaving_ && !finishing_ && !streaming_ && !ended_) {
    const size_t idle = idle_count();
    if (idle == 0 || scheduler_.undispatched() == 0 || !may_dispatch()) return;
    auto transactions = scheduler_.next_group(idle);
    if (transactions.empty()) return;
    const auto applier = static_cast<uint32_t>(std::find(idle_.begin(), idle_.end(), true) - idle_.begin());
    auto group = std::make_shared<database::Group>();
    group->low_watermark = watermark_.low();
    group->applied = watermark_.applied_by(applier);
    for (const auto& transaction : transactions) {
      group->applied.push_back(transaction->id);
      throttle_.take(transaction->rows.size());
      if (transaction->recheck) group->cascades = definitions_.cascades();
      if (transaction->alone) group->on_conflict = decided_policy(transaction->id);
    }
    group->transactions = std::move(transactions);
    send(applier, std::move(group));
  }
}

}  // namespace sluice::agents::incr_sync
