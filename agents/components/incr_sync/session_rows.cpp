// Session: rows of the log made transactions: definitions, windows, and what is too large to be kept.
#include "agents/components/incr_sync/session.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"

namespace sluice::agents::incr_sync {
namespace {

bool greater(const Position& a, const Position& b) { return compare_in_log(a, b) > 0; }

}  // namespace

Result<Session::TableUse*> Session::use_of(uint64_t schema_id) {
  if (const auto found = uses_.find(schema_id); found != uses_.end()) return &found->second;
  TableUse use;
  use.schema = client_->schema(schema_id);
  if (!use.schema) return Error(ErrorCode::CORRUPTED, "the Store did not name a definition that its rows refer to");
  use.source = {use.schema->database, use.schema->name};
  use.included = job_.mapping.includes(use.source);
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
  transaction->pins = std::move(event.pins);
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

// What comes in pieces now may have been small enough to be kept when it was applied: a process with more memory has
// left it above the watermark. Without a GTID its name stands only in its last piece: then the pieces are looked
// through, and read once more when the target does not hold them.
bool Session::may_be_known(const LogEvent& first) const {
  if (!first.id.empty()) return watermark_.is_known(first.id);
  return watermark_.knows_any() && compare_in_log(job_.looked_through, watermark_.low()) != 0;
}

// False: it stays at the front, and the session starts again from the rows, which say that all before it is applied.
bool Session::pass_piece(const LogEvent& event) {
  if (!event.last_piece) return true;
  streaming_ = passing_ = false;
  if (watermark_.is_known(event.id)) {
    watermark_.add_known(event.id, event.end, event.commit_time_us);
    return true;
  }
  job_.looked_through = watermark_.low();
  leaving_ = SessionEnd::kRestart;
  return false;
}

// True: tables are being copied that this transaction may have asked for, before its last piece was lost. What they
// are, and where their windows begin, is Full-Import's to say until it is done.
bool Session::waits_for_recopies() {
  for (const database::TableRow& row : tables_) {
    if (row.state == database::TableState::kNeedsCopy || row.state == database::TableState::kCopying)
      awaited_[row.source] = 0;
  }
  if (awaited_.empty()) return false;
  wait_for_copies();
  return true;
}

// A piece of a transaction that is too large to be kept: everything before it is committed first, and it runs alone.
Result<bool> Session::stream_piece(LogEvent& event) {
  if (flying_ > 0 || !scheduler_.empty() || barrier_.raised()) return false;
  if (event.first_piece && streaming_) return false;
  if (event.first_piece && may_be_known(event)) streaming_ = passing_ = true;
  if (passing_) return pass_piece(event);
  if (event.first_piece && waits_for_recopies()) return false;
  if (event.first_piece) SLUICE_TRY(place_large_transaction(event));
  if (!event.ddl.empty()) {
    SLUICE_ASSIGN(const bool done, run_ddl(event));
    if (!done) return false;
  }
  auto transaction = std::make_shared<database::Transaction>();
  transaction->id = event.id;
  transaction->end = event.end;
  transaction->pins = std::move(event.pins);
  SLUICE_ASSIGN(const bool added, add_rows(event, *transaction));
  if (!added) {
    if (!event.first_piece) return Error(ErrorCode::TABLE_NEEDS_COPY, "a table is copied while it is written");
    event.pins = std::move(transaction->pins);
    return false;
  }
  const auto cascades = transaction->recheck ? definitions_.cascades() : nullptr;  // need_copies() forgets them
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
  group->cascades = cascades;
  group->transactions.push_back(std::move(transaction));
  send(0, std::move(group));
  return true;
}
}  // namespace sluice::agents::incr_sync
