// Session: DDL beside the appliers, behind a barrier for the tables that it concerns (exactness.md section 4, DDL 2).
//
// A statement that only has to be run on the target waits until nothing under way touches its tables. It is then an
// open entry of the watermark, so no checkpoint passes it: a restart reads it again, the journal tells what became of
// it, and the applied sets hold what was applied above it. Everything else about DDL happens when nothing is under way.
#include <algorithm>

#include "agents/components/incr_sync/ddl_concern.hpp"
#include "agents/components/incr_sync/session.hpp"
#include "core/log.hpp"

namespace sluice::agents::incr_sync {
namespace {

using mysql::DdlKind;
constexpr std::string_view kLog = "incr_sync";

bool crosses_border(const mysql::DdlStatement& statement, const TableMapping& mapping) {
  return std::any_of(statement.tables.begin(), statement.tables.end(), [&](const mysql::DdlTable& table) {
    return !table.rename_to.table.empty() && mapping.includes(table.source) != mapping.includes(table.rename_to);
  });
}

}  // namespace

Result<Session::DdlStep> Session::pass_ddl(LogEvent& event) {
  if (barrier_.raised()) return DdlStep::kWait;
  SLUICE_ASSIGN(const bool beside, can_run_beside(event));
  if (beside) return run_beside(event);
  beside_.reset();
  if (!quiet()) return DdlStep::kWait;
  SLUICE_ASSIGN(const bool done, run_ddl(event));
  return done ? DdlStep::kDone : DdlStep::kWait;
}

// Whether the event is one statement that is simply carried out; then `beside_` has its order.
Result<bool> Session::can_run_beside(const LogEvent& event) {
  if (window_ || event.ddl.size() != 1 || !event.rows.empty() || event.ddl[0].position.empty()) return false;
  const database::DdlEvent& ddl = event.ddl[0];
  // What the operator says may be about any table.
  if (decisions_.ddl.contains(ddl.position) || ddl_->was_decided(ddl.position)) return false;
  if (beside_ && beside_->order->event.position == ddl.position) return true;
  auto parsed = mysql::parse_ddl(ddl.sql, ddl.database, ddl.sql_mode);
  if (!parsed.ok()) return false;
  mysql::DdlStatement& statement = *parsed;
  const bool is_run = statement.kind != DdlKind::kUnknown && statement.kind != DdlKind::kDataChange &&
                      statement.kind != DdlKind::kPassedOver && statement.kind != DdlKind::kTransaction;
  if (!is_run || statement.temporary || crosses_border(statement, job_.mapping)) return false;
  const bool concerned = std::any_of(statement.tables.begin(), statement.tables.end(),
                                     [&](const auto& table) { return job_.mapping.includes(table.source); });
  if (!statement.tables.empty() && !concerned) return false;
  const DdlVerdict verdict = windows_.ddl(statement, job_.mapping, event.end, false);
  if (verdict.what != DdlVerdict::What::kApply) return false;
  SLUICE_ASSIGN(auto* target, target_catalog());
  Beside next;
  SLUICE_ASSIGN(next.concerned, concerned_by(statement, job_.mapping, *target));
  database::DdlMode mode;
  mode.neighbours.assign(next.concerned.related.begin(), next.concerned.related.end());
  next.order = std::make_shared<const DdlOrder>(DdlOrder{ddl, std::move(statement), std::move(mode)});
  beside_ = std::move(next);
  return true;
}

Result<Session::DdlStep> Session::run_beside(LogEvent& event) {
  if (barrier_.touched(beside_->concerned)) return DdlStep::kWait;
  barrier_.raise(beside_->concerned);
  beside_->number = watermark_.add(event.id, event.end, event.commit_time_us);
  send_ddl_(beside_->order);
  return DdlStep::kRunsBeside;
}

// Whether the event has to wait for the statement that runs.
Result<bool> Session::barred(const LogEvent& event) {
  if (!barrier_.raised()) return false;
  uint64_t last_id = 0;
  bool first = true;
  for (const LoggedRow& row : event.rows) {
    if (!first && row.schema_id == last_id) continue;
    first = false;
    last_id = row.schema_id;
    SLUICE_ASSIGN(TableUse * use, use_of(row.schema_id));
    if (!use->included) continue;
    // The name first: the definition of a table that changes is not read.
    if (barrier_.bars(job_.mapping.target_of(use->source))) return true;
    auto plan = plan_of(*use, row.schema_id, event);
    // What has no place on the target now is looked at when the statement is done.
    if (!plan.ok() && plan.error().code() != ErrorCode::SCHEMA_MISMATCH) return plan.error();
    if (!plan.ok() || (*plan && barrier_.bars(**plan))) return true;
  }
  return false;
}

Status Session::on_ddl(const Result<database::DdlOutcome>& outcome) {
  if (!outcome.ok()) return outcome.error();
  const Beside done = *std::exchange(beside_, std::nullopt);
  // Of all tables: plans hold what cascades from them may reach.
  SLUICE_TRY(after_statement(done.order->statement, *outcome));
  barrier_.lift();
  watermark_.applied(done.number, 0);
  if (stream_end_) return *stream_end_;
  return advance();
}

// A statement that runs is worth more than the stream: the next session would begin it anew.
Status Session::on_stream_end(const Error& error) {
  if (!barrier_.raised() || ended_) return error;
  log::warn(kLog, "the Store's stream has ended; a DDL statement is waited for", {{"cause", error}});
  stream_end_ = error;
  leaving_ = leaving_.value_or(SessionEnd::kRestart);
  job_.change([&](IncrProgress& progress) {
    progress.retrying = error;
    progress.caught_up = false;
  });
  return {};
}

}  // namespace sluice::agents::incr_sync
