#include "agents/components/incr_sync/session.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/positions.hpp"

namespace sluice::agents {
namespace {

using namespace std::chrono_literals;
constexpr std::string_view kLog = "incr_sync";
constexpr size_t kSpan = 4096;  // transactions above the low watermark
constexpr size_t kConflictsShown = 50;
constexpr auto kCheckpointPause = 1s, kTellPause = 1s;
constexpr auto kLeavePatience = 5s;  // for what is in flight when a stop is desired; then its outcome is found later

bool greater(const Position& a, const Position& b) { return compare_in_log(a, b) > 0; }

metrics::Gauge queue_bytes() {
  static auto gauge = metrics::gauge("sluice_incr_sync_queue_bytes", "Batches that were read and are not applied yet");
  return gauge;
}

}  // namespace

// Gives a batch's bytes back to the Store when its last transaction is committed.
struct Session::HeldBatch {
  HeldBatch(Batch held, std::shared_ptr<store::LogClient> from) : batch(std::move(held)), client(std::move(from)) {
    queue_bytes().add(static_cast<double>(batch.size()));
  }
  HeldBatch(const HeldBatch&) = delete;  // each copy would give the same bytes back once more
  ~HeldBatch() {
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
  if (item.batch) batches_.push_back(std::make_shared<const HeldBatch>(*item.batch, client_));
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

Result<Session::TableUse*> Session::use_of(uint64_t schema_id) {
  if (const auto found = uses_.find(schema_id); found != uses_.end()) return &found->second;
  TableUse use;
  use.schema = client_->schema(schema_id);
  if (!use.schema) return Error(ErrorCode::CORRUPTED, "the Store did not name a definition that its rows refer to");
  use.source = {use.schema->database, use.schema->name};
  use.included = job_.mapping.includes(use.source.database, use.source.table);
  return &(uses_[schema_id] = std::move(use));
}

// For rows that are to be applied. Null: they are passed over. SCHEMA_MISMATCH when they have no place on the target.
Result<database::TablePlanPtr> Session::plan_of(TableUse& use, uint64_t schema_id, const LogEvent& event) {
  if (use.plan) return *use.plan;
  SLUICE_ASSIGN(auto* target, target_catalog());
  mysql::Connection* source = nullptr;
  if (window_) {
    SLUICE_ASSIGN(source, source_catalog());
  }
  auto plan = definitions_.plan(schema_id, use.schema, *target, source);
  if (!plan.ok()) {
    if (plan.error().code() != ErrorCode::NOT_FOUND) return plan.error().with_position(event.end.to_string());
    // A table that was gone from the source before it could be copied: its DROP is still to come.
    const bool gone =
        source != nullptr && !windows_.contains(use.source) && !mysql::read_table(*source, use.source).ok();
    if (!gone)
      return Error(ErrorCode::SCHEMA_MISMATCH, plan.error().cause(), use.source.to_string(), event.end.to_string());
  }
  use.plan = plan.ok() ? *plan : nullptr;
  return *use.plan;
}

// For rows that the copy holds already: the target's table is newer than they are, or gone, and may differ.
Result<database::TablePlanPtr> Session::observer_of(TableUse& use, uint64_t schema_id) {
  if (use.observer) return *use.observer;
  SLUICE_ASSIGN(auto* target, target_catalog());
  SLUICE_ASSIGN(auto* source, source_catalog());
  auto plan = definitions_.observer(schema_id, use.schema, *target, *source);
  if (!plan.ok() && plan.error().code() != ErrorCode::NOT_FOUND) return plan.error();
  use.observer = plan.ok() ? *plan : nullptr;
  return *use.observer;
}

// How rows of one definition are taken; none: the event waits for a table that is being copied, or is to be.
Result<std::optional<Session::RowsPlan>> Session::plan_rows(TableUse& use, uint64_t schema_id, const LogEvent& event) {
  using Planned = std::optional<RowsPlan>;
  if (!use.included) return Planned(RowsPlan{});
  const bool placed = !windows_.empty() && event.whole();
  const RowVerdict verdict = placed ? windows_.row(use.source, event.end) : RowVerdict::kApply;
  if (verdict == RowVerdict::kWait) {
    awaited_[use.source] = 0;
    wait_for_copies();
    return Planned();
  }
  // A parent's change that its own copy holds may have cascaded to children that were copied before it.
  bool observe = verdict == RowVerdict::kSkip;
  if (observe && (!window_ || !greater(event.end, windows_.first_start()))) return Planned(RowsPlan{});
  if (!observe) {
    auto plan = plan_of(use, schema_id, event);
    if (plan.ok()) return Planned(RowsPlan{std::move(*plan), false});
    if (plan.error().code() != ErrorCode::SCHEMA_MISMATCH || !window_) return plan.error();
    // DDL stands between these rows and what the copy read as the table's definition.
    if (event.whole()) {
      if (!windows_.inside(use.source, event.end)) return plan.error();
      if (quiet()) SLUICE_TRY(need_copies({use.source}, plan.error().cause()));
      return Planned();
    }
    if (!windows_.contains(use.source)) return plan.error();
    owed_copies_.insert(use.source);  // behind the large transaction, whose end is not known
    observe = true;
  }
  SLUICE_ASSIGN(auto observer, observer_of(use, schema_id));
  return Planned(RowsPlan{std::move(observer), observe});
}

// False: the event waits.
Result<bool> Session::add_rows(LogEvent& event, database::Transaction& transaction) {
  uint64_t last_id = 0;
  TableUse* use = nullptr;
  RowsPlan plan;
  for (const LoggedRow& row : event.rows) {
    if (use == nullptr || row.schema_id != last_id) {
      last_id = row.schema_id;
      SLUICE_ASSIGN(use, use_of(row.schema_id));
      SLUICE_ASSIGN(auto planned, plan_rows(*use, row.schema_id, event));
      if (!planned) return false;
      plan = std::move(*planned);
    }
    if (!plan.plan) continue;
    const bool checks = (row.flags & (kRowsNoForeignKeyChecks | kRowsCascadesLogged)) == 0;
    const database::RowMode mode{window_, checks, plan.observe};
    auto added = database::add_row(transaction, plan.plan, row.op, mode, row.before, row.after);
    if (!added.ok()) return added.error().with_object(use->source.to_string()).with_position(event.end.to_string());
  }
  return true;
}

Result<bool> Session::add_transaction(LogEvent& event) {
  if (watermark_.is_known(event.id)) {
    watermark_.add_known(event.id, event.end, event.commit_time_us);
    return true;
  }
  if (!greater(event.end, start_)) return true;  // the Store began a little earlier
  if (!event.ddl.empty()) {
    SLUICE_ASSIGN(const DdlStep step, pass_ddl(event));
    if (step == DdlStep::kWait) return false;
    changed_ = event.end;
    if (step == DdlStep::kRunsBeside) return true;
  } else {
    SLUICE_ASSIGN(const bool waits, barred(event));
    if (waits) return false;
  }
  auto transaction = std::make_shared<database::Transaction>();
  transaction->rows.reserve(event.rows.size());
  SLUICE_ASSIGN(const bool added, add_rows(event, *transaction));
  if (!added) return false;
  if (transaction->rows.empty()) {
    watermark_.pass(event.end);
    return true;
  }
  transaction->id = event.id;
  transaction->end = event.end;
  transaction->commit_time_us = event.commit_time_us;
  transaction->bytes = event.bytes;
  transaction->alone |= decided_policy(event.id).has_value();
  transaction->holds = std::move(event.holds);
  changed_ = event.end;
  transaction->number = watermark_.add(event.id, event.end, event.commit_time_us);
  barrier_.opened(*transaction);
  scheduler_.add(std::move(transaction));
  return true;
}

// Where a large transaction ends is not known when its first piece is applied, so whether a table's copy holds it is
// not known either. The windows of all tables that might begin behind it are moved forward to before it: an earlier
// start only means that more of the log is made so.
Status Session::place_large_transaction(const LogEvent& event) {
  bool changed = false;
  for (database::TableRow& row : tables_) {
    if (!greater(row.window_start, consumed_)) continue;
    if (row.keyless) {
      return Error(ErrorCode::TRANSACTION_TOO_LARGE,
                   "it stands before the copy of a table without a key, raise the component's memory",
                   row.source.to_string(), event.id);
    }
    SLUICE_ASSIGN(auto* connection, control());
    row.window_start = consumed_;
    SLUICE_TRY(database::write_table(*connection, job_.apply.owner, row));
    changed = true;
  }
  if (changed) windows_.set(tables_);
  return {};
}

// A piece of a transaction that is too large to be kept: everything before it is committed first, and it runs alone.
Result<bool> Session::stream_piece(LogEvent& event) {
  if (flying_ > 0 || !scheduler_.empty() || barrier_.raised()) return false;
  if (event.first_piece && streaming_) return false;
  if (event.first_piece) SLUICE_TRY(place_large_transaction(event));
  if (!event.ddl.empty()) {
    SLUICE_ASSIGN(const bool done, run_ddl(event));
    if (!done) return false;
  }
  auto transaction = std::make_shared<database::Transaction>();
  transaction->id = event.id;
  transaction->end = event.end;
  transaction->holds = std::move(event.holds);
  SLUICE_ASSIGN(const bool added, add_rows(event, *transaction));
  if (!added) {
    if (!event.first_piece) return Error(ErrorCode::TABLE_NEEDS_COPY, "a table is copied while it is written");
    event.holds = std::move(transaction->holds);
    return false;
  }
  if (event.last_piece && !owed_copies_.empty()) {
    const std::vector<TableName> tables(owed_copies_.begin(), owed_copies_.end());
    SLUICE_TRY(need_copies(tables, "its definition changed after a large transaction"));
    owed_copies_.clear();
  }
  const auto decided = decided_policy(event.id);
  if (event.first_piece) streaming_plainly_ = decided.has_value() || job_.stream_plainly;
  streaming_ = true;
  auto group = std::make_shared<database::Group>();
  group->first_piece = event.first_piece;
  group->last_piece = event.last_piece;
  group->plainly = streaming_plainly_;
  group->on_conflict = decided;
  group->low_watermark = event.last_piece ? event.end : watermark_.low();
  group->applied = watermark_.applied_by(0);
  if (transaction->recheck) group->cascades = definitions_.cascades();
  group->transactions.push_back(std::move(transaction));
  send(0, std::move(group));
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

// Rows per second, if the operator limits them; at most one second's rows are saved up.
bool Session::may_dispatch() {
  const uint32_t rate = desired_.throttle_rows_per_second() != 0 ? desired_.throttle_rows_per_second()
                                                                 : job_.context.spec().throttle_rows_per_second();
  if (rate == 0) return true;
  const auto now = Clock::now();
  throttle_tokens_ += std::chrono::duration<double>(now - throttle_at_).count() * rate;
  throttle_tokens_ = std::min<double>(throttle_tokens_, rate);
  throttle_at_ = now;
  return throttle_tokens_ > 0;
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
      throttle_tokens_ -= static_cast<double>(transaction->rows.size());
      if (transaction->recheck) group->cascades = definitions_.cascades();
      if (transaction->alone) group->on_conflict = decided_policy(transaction->id);
    }
    group->transactions = std::move(transactions);
    send(applier, std::move(group));
  }
}

Status Session::settle() {
  if (ended_ || finishing_) return {};
  // The Store has moved: the next session reads from its new place.
  if (!leaving_ && !desired_.store_address().empty() && desired_.store_address() != store_address_)
    leaving_ = SessionEnd::kRestart;
  if (leaving_) {
    if (leaving_since_ == Clock::time_point()) leaving_since_ = Clock::now();
    if (flying_ == 0 && !barrier_.raised()) {
      finish(*leaving_);
    } else if (Clock::now() - leaving_since_ > kLeavePatience) {
      // A DDL statement is ended by a stop only: another session would begin it anew.
      if (leaving_ == SessionEnd::kStopped || !barrier_.raised()) ended_ = leaving_;
    }
    return {};
  }
  if (window_ && !seeking_ && quiet() && !window_end().empty() && reached(window_end())) SLUICE_TRY(close_window());
  if (ended_ || finishing_) return {};
  SLUICE_TRY(settle_hold());
  return settle_drain();
}

Status Session::settle_hold() {
  const auto& hold = desired_.hold();
  if (hold.id() == 0) {
    if (hold_seen_ == 0) return {};
    hold_seen_ = 0;
    job_.change([](IncrProgress& progress) { progress.hold = {}; });
    return advance();
  }
  const auto now = Clock::now();
  if (hold.id() != hold_seen_) {
    hold_seen_ = hold.id();
    hold_over_ = false;
    hold_until_ = now + (hold.patience_ms() > 0 ? std::chrono::milliseconds(hold.patience_ms()) : 60'000ms);
  }
  if (hold_over_) return {};
  if (now > hold_until_) {
    hold_over_ = true;
    job_.change([&](IncrProgress& progress) { progress.hold = {hold.id(), false, {}}; });
    return advance();
  }
  if (!quiet()) return {};
  if (hold.has_apply_to()) {
    const Position to = net::from_proto(hold.apply_to());
    if (!reached(to)) return {};
    if (stands_before(to, changed_)) {
      // More is applied than the one who holds has seen; what it compares would differ.
      hold_over_ = true;
      job_.change([&](IncrProgress& progress) { progress.hold = {hold.id(), false, {}}; });
      return advance();
    }
    watermark_.pass(to);
  }
  job_.change([&](IncrProgress& progress) { progress.hold = {hold.id(), true, watermark_.low()}; });
  return {};
}

Status Session::settle_drain() {
  if (!desired_.drain()) return {};
  auto drain_to = job_.sample().drain_to;
  if (!drain_to) {
    SLUICE_ASSIGN(auto* source, source_catalog());
    SLUICE_ASSIGN(drain_to, mysql::end_position(*source));
    job_.change([&](IncrProgress& progress) { progress.drain_to = drain_to; });
    log::info(kLog, "drains", {{"to", drain_to->to_string()}});
  }
  if (window_ && greater(window_end(), *drain_to)) {
    // A table that was copied again is newer than the end that was asked for: the others have to reach it.
    drain_to = window_end();
    job_.change([&](IncrProgress& progress) { progress.drain_to = drain_to; });
    return advance();
  }
  if ((window_ && !seeking_) || !quiet() || !reached(*drain_to)) return {};
  watermark_.pass(*drain_to);
  finish(SessionEnd::kFinished);
  return {};
}

// Writes the last checkpoint, then ends.
void Session::finish(SessionEnd how) {
  finishing_ = how;
  if (streaming_ || watermark_.low() == persisted_) {
    ended_ = how;
    publish();
    return;
  }
  auto group = std::make_shared<database::Group>();
  group->low_watermark = watermark_.low();
  group->applied = watermark_.applied_by(0);
  send(0, std::move(group));
}

void Session::publish() {
  int64_t complete = watermark_.oldest_open_time_us();
  if (complete == 0 && !queue_.empty()) complete = queue_.front().commit_time_us;
  const bool nothing_left =
      queue_.empty() && batches_.empty() && watermark_.open() == 0 && !streaming_ && item_caught_up_;
  const bool caught_up = nothing_left && (source_end_.empty() || !greater(source_end_, item_end_));
  if (caught_up) {
    caught_up_us_ = source_asked_us_;
    complete = source_asked_us_;
  }
  if (complete == 0) complete = std::max(watermark_.low_time_us(), caught_up_us_);
  static auto groups = metrics::gauge("sluice_incr_sync_groups", "Target transactions under way");
  static auto waiting =
      metrics::gauge("sluice_incr_sync_transactions_waiting", "Source transactions not handed out yet");
  groups.set(static_cast<double>(flying_));
  waiting.set(static_cast<double>(scheduler_.undispatched()));
  job_.change([&](IncrProgress& progress) {
    progress.applied = persisted_;  // a Store that is placed anew begins here: not behind what a restart finds
    progress.complete_until_us = complete;
    progress.caught_up = caught_up;
    // A Store that the source has not answered yet knows less than the one before.
    if (source_asked_us_ == 0) return;
    progress.source_asked_us = source_asked_us_;
    progress.source_heard = heard_;
  });
}

}  // namespace sluice::agents
