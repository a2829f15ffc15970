// Session: DDL, and tables that must be copied again.
#include <algorithm>

#include "agents/components/incr_sync/session.hpp"
#include "core/log.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::incr_sync {
namespace {

using namespace std::chrono_literals;
using mysql::DdlKind;
constexpr std::string_view kLog = "incr_sync";
constexpr auto kLookPause = std::chrono::seconds(1);
constexpr uint32_t kCopyRoundsMax = 10;
constexpr size_t kStatementShown = 500;

bool is_view(DdlKind kind) {
  return kind == DdlKind::kCreateView || kind == DdlKind::kAlterView || kind == DdlKind::kDropView;
}

bool is_rename(const mysql::DdlStatement& statement) {
  return std::any_of(statement.tables.begin(), statement.tables.end(),
                     [](const mysql::DdlTable& table) { return !table.rename_to.table.empty(); });
}

}  // namespace

void Session::forget_definitions() {
  definitions_.forget();
  uses_.clear();
}

// CREATE TABLE … SELECT with more rows than are kept at once: exact when no copy holds the table.
Status Session::check_large(const LogEvent& event) const {
  for (const database::DdlEvent& ddl : event.ddl) {
    SLUICE_ASSIGN(const auto statement, mysql::parse_ddl(ddl.sql, ddl.database, ddl.sql_mode));
    for (const auto& table : statement.tables) {
      if (!ddl.position.empty() && !windows_.contains(table.source)) continue;
      return Error(ErrorCode::TRANSACTION_TOO_LARGE,
                   "it makes a table that was copied since, or has no name; raise the component's memory",
                   table.source.to_string(), event.id);
    }
  }
  return {};
}

// False: the event has to wait. Everything before it is committed.
Result<bool> Session::run_ddl(LogEvent& event) {
  // Of a large transaction only the beginning is known; the windows' starts have been moved to before it.
  Position end = event.end;
  if (end.empty()) {
    end = consumed_;
    ++end.offset;
    SLUICE_TRY(check_large(event));
  }
  for (const database::DdlEvent& ddl : event.ddl) {
    SLUICE_ASSIGN(const bool done, run_statement(ddl, end));
    if (!done) return false;
  }
  return true;
}

Result<bool> Session::run_statement(const database::DdlEvent& ddl, const Position& end) {
  auto parsed = mysql::parse_ddl(ddl.sql, ddl.database, ddl.sql_mode);
  if (!parsed.ok()) return decided_or(ddl, parsed.error());
  const mysql::DdlStatement& statement = *parsed;
  const bool concerned = std::any_of(statement.tables.begin(), statement.tables.end(), [&](const auto& table) {
    return job_.mapping.includes(table.source) || job_.mapping.includes(table.rename_to);
  });
  switch (statement.kind) {
    case DdlKind::kPassedOver:
    case DdlKind::kTransaction:
      return true;
    case DdlKind::kDataChange:
      if (!concerned) return true;
      return decided_or(ddl, Error(ErrorCode::STATEMENT_IN_LOG, ddl.sql.substr(0, kStatementShown),
                                   statement.tables[0].source.to_string()));
    case DdlKind::kUnknown:
      if (!ddl.database.empty() && !job_.mapping.includes_database(ddl.database)) return true;
      if (job_.ddl.policy == database::DdlPolicy::kSkip) return true;
      return decided_or(ddl,
                        Error(ErrorCode::UNSUPPORTED,
                              "a statement that is not understood (`sluice project decide` skips or replaces it): " +
                                  ddl.sql.substr(0, kStatementShown),
                              ddl.database));
    default:
      break;
  }
  if (statement.temporary || (!statement.tables.empty() && !concerned)) return true;
  // Views are created from the source when the window is closed.
  if (window_ && is_view(statement.kind)) return true;
  if (window_ && statement.kind == DdlKind::kCreateDatabase) {
    SLUICE_ASSIGN(auto* target, target_catalog());
    if (mysql::show_create_database(*target, job_.mapping.target_database_of(statement.database)).ok()) return true;
  }
  const DdlVerdict verdict = windows_.ddl(statement, job_.mapping, end, window_);
  switch (verdict.what) {
    case DdlVerdict::What::kSkip:
      return true;
    case DdlVerdict::What::kWait:
      for (const TableName& name : verdict.tables) awaited_[name] = 0;
      wait_for_copies();
      return false;
    case DdlVerdict::What::kNeedsCopy:
      SLUICE_TRY(need_copies(verdict.tables, statement.needs_copy ? statement.needs_copy_reason
                                                                  : "its definition changed while it was copied"));
      return false;
    case DdlVerdict::What::kDropOnly: {
      std::vector<TableName> dropped = verdict.tables;
      if (statement.kind == DdlKind::kDropDatabase) SLUICE_TRY(add_tables_of_log(statement.database, dropped));
      SLUICE_TRY(drop_tables(ddl, dropped));
      return true;
    }
    case DdlVerdict::What::kApply:
      break;
  }
  if (window_) {
    SLUICE_ASSIGN(const auto absent, absent_tables(statement));
    if (absent) {
      if (absent->empty()) return true;
      SLUICE_TRY(need_copies(*absent, "it was not there when the tables were listed"));
      return false;
    }
  }
  return carry_out(ddl, statement);
}

// A statement that cannot be run as the log has it: what the journal or the operator says of it, else the error. A
// change of data can only be skipped: no other word would tell what its rows are.
Result<bool> Session::decided_or(const database::DdlEvent& ddl, const Error& error) {
  SLUICE_ASSIGN(auto* connection, control());
  const bool only_skip = error.code() == ErrorCode::STATEMENT_IN_LOG;
  SLUICE_ASSIGN(const auto outcome, ddl_->decided(ddl, mode_of(ddl), only_skip, *connection));
  if (!outcome) return error.with_position(ddl.position);
  if (*outcome == database::DdlOutcome::kApplied) job_.change([](IncrProgress& progress) { ++progress.ddl; });
  forget_definitions();
  return true;
}

// Inside the window: a statement about a table that was gone, or had another name, when the tables were listed. Then
// what the source has of its tables now is copied; none when the statement is about the present tables.
Result<std::optional<std::vector<TableName>>> Session::absent_tables(const mysql::DdlStatement& statement) {
  const bool makes = statement.kind == DdlKind::kCreateTable || statement.kind == DdlKind::kCreateTableLike ||
                     statement.kind == DdlKind::kCreateTableSelect;
  bool absent = false;
  SLUICE_ASSIGN(auto* target, target_catalog());
  for (const auto& table : statement.tables) {
    if (makes || is_view(statement.kind) || !job_.mapping.includes(table.source) || windows_.contains(table.source))
      continue;
    const auto found = mysql::read_table(*target, job_.mapping.target_of(table.source));
    if (found.ok()) continue;
    if (found.error().code() != ErrorCode::NOT_FOUND) return found.error();
    absent = true;
  }
  if (!absent) return std::optional<std::vector<TableName>>();
  std::vector<TableName> present;
  SLUICE_ASSIGN(auto* source, source_catalog());
  for (const auto& table : statement.tables) {
    for (const TableName& name : {table.source, table.rename_to}) {
      if (!job_.mapping.includes(name) || windows_.contains(name)) continue;
      const auto found = mysql::read_table(*source, name);
      if (!found.ok() && found.error().code() != ErrorCode::NOT_FOUND) return found.error();
      if (found.ok()) present.push_back(name);
    }
  }
  return std::optional<std::vector<TableName>>(std::move(present));
}

// How a statement of the log is run when nothing is under way.
database::DdlMode Session::mode_of(const database::DdlEvent& ddl) const {
  database::DdlMode mode{.window = window_, .neighbours = {}, .decision = {}};
  if (const auto found = decisions_.ddl.find(ddl.position); found != decisions_.ddl.end())
    mode.decision = found->second;
  return mode;
}

Result<bool> Session::carry_out(const database::DdlEvent& ddl, const mysql::DdlStatement& statement) {
  SLUICE_ASSIGN(auto* connection, control());
  auto outcome = ddl_->run(ddl, statement, mode_of(ddl), *connection);
  if (!outcome.ok()) {
    if (outcome.error().code() == ErrorCode::UNSUPPORTED && is_rename(statement)) return across_border(ddl, statement);
    return outcome.error();
  }
  SLUICE_TRY(after_statement(statement, *outcome));
  return true;
}

// It is done, or skipped: what was known of its tables counts no more.
Status Session::after_statement(const mysql::DdlStatement& statement, database::DdlOutcome outcome) {
  const bool applied = outcome == database::DdlOutcome::kApplied;
  if (applied) job_.change([](IncrProgress& progress) { ++progress.ddl; });
  std::vector<TableName> dropped;
  if (statement.kind == DdlKind::kDropTable)
    for (const auto& table : statement.tables) dropped.push_back(table.source);
  if (statement.kind == DdlKind::kDropDatabase && applied) dropped = windows_.tables_of(statement.database);
  for (const TableName& table : dropped) {
    windows_.forget(table);
    if (!applied) continue;
    // A table that gets the name later has foreign keys of its own.
    SLUICE_ASSIGN(auto* connection, control());
    SLUICE_TRY(database::forget_table(*connection, job_.apply.owner, table));
  }
  forget_definitions();
  return {};
}

// The tables of a database that the log has made on the target: no copy knows them.
Status Session::add_tables_of_log(const std::string& database, std::vector<TableName>& tables) {
  SLUICE_ASSIGN(auto* target, target_catalog());
  const std::string there = job_.mapping.target_database_of(database);
  SLUICE_ASSIGN(const auto rows,
                target->query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE='BASE TABLE' AND "
                              "TABLE_SCHEMA=" +
                              mysql::quoted(there)));
  for (const auto& row : rows.rows) {
    const TableName name{database, row[0].value_or("")};
    const bool ours = job_.mapping.includes(name) && job_.mapping.target_of(name) == TableName{there, name.table};
    if (ours && !windows_.contains(name)) tables.push_back(name);
  }
  return {};
}

// RENAME over the border of the project's scope: what leaves is dropped, what enters is copied with its rows.
Result<bool> Session::across_border(const database::DdlEvent& ddl, const mysql::DdlStatement& statement) {
  std::vector<TableName> enter, leave;
  for (const auto& table : statement.tables) {
    if (job_.mapping.includes(table.rename_to)) enter.push_back(table.rename_to);
  }
  for (const auto& table : statement.tables) {
    if (job_.mapping.includes(table.source) && std::find(enter.begin(), enter.end(), table.source) == enter.end())
      leave.push_back(table.source);
  }
  if (!leave.empty()) SLUICE_TRY(drop_tables(ddl, leave));
  if (enter.empty()) return true;
  SLUICE_TRY(need_copies(enter, "it was renamed into the project's scope"));
  return false;
}

Status Session::drop_tables(const database::DdlEvent& ddl, const std::vector<TableName>& tables) {
  if (tables.empty()) return {};
  database::DdlMode mode = mode_of(ddl);
  mode.window = true;
  database::DdlEvent drop = ddl;
  drop.sql = "DROP TABLE IF EXISTS ";
  drop.position += "d";
  for (size_t i = 0; i < tables.size(); ++i) drop.sql += (i > 0 ? ", " : "") + mysql::quote_table(tables[i]);
  drop.sql_mode = 0;
  SLUICE_ASSIGN(const auto statement, mysql::parse_ddl(drop.sql, drop.database, 0));
  SLUICE_ASSIGN(auto* connection, control());
  SLUICE_ASSIGN(const auto outcome, ddl_->run(drop, statement, mode, *connection));
  if (outcome == database::DdlOutcome::kApplied) job_.change([](IncrProgress& progress) { ++progress.ddl; });
  for (const TableName& table : tables) {
    windows_.forget(table);
    SLUICE_TRY(database::forget_table(*connection, job_.apply.owner, table));
  }
  forget_definitions();
  return {};
}

// The coordinator has these tables copied again; the event that asked for it stays at the front and is looked at anew
// when the copies are finished: their windows then begin behind it.
Status Session::need_copies(const std::vector<TableName>& tables, const std::string& reason) {
  end_snapshot();  // a copy takes long
  SLUICE_ASSIGN(auto* connection, control());
  std::vector<TableCopy> wishes;
  for (const TableName& table : tables) {
    if (windows_.round(table) >= kCopyRoundsMax)
      return Error(ErrorCode::COPY_ROUNDS_EXHAUSTED, reason, table.to_string());
    database::TableRow row;
    row.source = table;
    row.target = job_.mapping.target_of(table);
    for (const database::TableRow& known : tables_) {
      if (known.source == table) row = known;
    }
    // A table of this name that is gone may have been copied in rounds whose wishes are fulfilled for ever.
    for (const auto& done : desired_.recopied_tables()) {
      const TableCopy copy = net::from_proto(done);
      if (copy.table == table) row.round = std::max(row.round, copy.round);
    }
    row.state = database::TableState::kNeedsCopy;
    SLUICE_TRY(database::write_table(*connection, job_.apply.owner, row));
    awaited_[table] = row.round;
    wishes.push_back({table, row.round + 1});
    log::warn(kLog, "a table is copied again",
              {{"error", Error(ErrorCode::TABLE_NEEDS_COPY, reason, table.to_string())}});
  }
  SLUICE_TRY(load_tables());
  job_.asked.insert(wishes.begin(), wishes.end());
  job_.change([&](IncrProgress& progress) { progress.needs_copy.assign(job_.asked.begin(), job_.asked.end()); });
  blocked_ = true;
  return {};
}

// Tables whose copy is not finished: asked for again when nobody has begun it.
void Session::wait_for_copies() {
  end_snapshot();
  blocked_ = true;
  std::set<TableCopy> wishes = job_.asked;
  for (const auto& row : tables_) {
    if (awaited_.contains(row.source) && row.state == database::TableState::kNeedsCopy)
      wishes.insert({row.source, windows_.round(row.source) + 1});
  }
  job_.change([&](IncrProgress& progress) { progress.needs_copy.assign(wishes.begin(), wishes.end()); });
}

// A wish stands until the coordinator knows that the copy is finished: then it also knows that the new table has no
// foreign keys, and `follow_strictly` counts again.
void Session::hear_of_copies() {
  const size_t before = job_.asked.size();
  for (const auto& done : desired_.recopied_tables()) job_.asked.erase(net::from_proto(done));
  if (job_.asked.size() == before || blocked_) return;
  job_.change([this](IncrProgress& progress) { progress.needs_copy.assign(job_.asked.begin(), job_.asked.end()); });
}

Status Session::look_for_copies() {
  const auto now = Clock::now();
  if (now - looked_at_ < kLookPause) return {};
  looked_at_ = now;
  SLUICE_ASSIGN(auto* connection, control());
  SLUICE_ASSIGN(const auto rows, database::read_tables(*connection, job_.apply.owner));
  for (const auto& [table, round] : awaited_) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.source == table; });
    if (row != rows.end() && row->state != database::TableState::kCopied) return {};
    if (row != rows.end() && row->round <= round && round != 0) return {};
  }
  awaited_.clear();
  SLUICE_TRY(load_tables());
  const bool reopened = !window_ && compare_in_log(windows_.last_end(), watermark_.low()) > 0;
  if (reopened) {
    // A process that dies behind the window's end must not take itself for a strict one: the new tables have no
    // foreign keys yet.
    SLUICE_TRY(write_marker({.end = extended_end_}));
    window_ = true;
    window_closed_ = false;
    recheck_rounds_ = 0;
  }
  blocked_ = orphans_recorded_ = false;
  // In one step: a closed window without a wish for copies means that foreign keys can be added.
  job_.change([&](IncrProgress& progress) {
    progress.needs_copy.assign(job_.asked.begin(), job_.asked.end());
    if (reopened) progress.window_closed = false;
  });
  log::info(kLog, "the copies are finished", {{"window_end", window_end().to_string()}});
  return {};
}

}  // namespace sluice::agents::incr_sync
