#include "sinks/database/apply/ddl_runner.hpp"

#include <nlohmann/json.hpp>

#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::database {
namespace {

constexpr std::string_view kLog = "apply.ddl";

Error crashed() { return Error(ErrorCode::CANCELLED, "ended at a crash point"); }

// The text of what exists under a name, empty when nothing does.
Result<std::string> definition_of(mysql::Connection& connection, const TableName& name) {
  auto table = mysql::show_create_table(connection, name);
  if (table.ok()) return table;
  auto view = mysql::show_create_view(connection, name);
  if (view.ok()) return view;
  const ErrorCode code = table.error().code();
  if (code == ErrorCode::NOT_FOUND) return std::string();
  return table.error();
}

bool is_database(mysql::DdlKind kind) {
  return kind == mysql::DdlKind::kCreateDatabase || kind == mysql::DdlKind::kAlterDatabase ||
         kind == mysql::DdlKind::kDropDatabase;
}

}  // namespace

DdlEvent DdlEvent::of(const Ddl& ddl, std::string position) {
  DdlEvent event;
  event.position = std::move(position);
  event.database = ddl.database;
  event.sql = ddl.sql;
  event.sql_mode = ddl.sql_mode;
  event.timestamp_us = ddl.timestamp_us;
  event.collation_connection = ddl.collation_connection;
  event.collation_server = ddl.collation_server;
  event.time_zone = ddl.time_zone;
  event.foreign_key_checks = ddl.foreign_key_checks != 0;
  event.explicit_defaults_for_timestamp = ddl.explicit_defaults_for_timestamp;
  return event;
}

std::string DdlRunner::Snapshot::to_json() const {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, what] : tables) json[name] = {{"definition", what.first}, {"id", what.second}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<DdlRunner::Snapshot> DdlRunner::Snapshot::from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return Error(ErrorCode::CORRUPTED, "a journal entry cannot be read");
  Snapshot snapshot;
  for (const auto& [name, what] : json.items())
    snapshot.tables[name] = {what.value("definition", std::string()), what.value("id", std::string())};
  return snapshot;
}

Status DdlRunner::load_journal(mysql::Connection& control) {
  SLUICE_ASSIGN(auto rows, read_ddl(control, options_.owner, false));
  known_.clear();
  for (DdlRow& row : rows) {
    std::string position = row.position;
    known_.emplace(std::move(position), std::move(row));
  }
  return {};
}

Status DdlRunner::journal(mysql::Connection& control, DdlRow& row, DdlState state) {
  row.state = state;
  SLUICE_TRY(options_.lease->check());
  SLUICE_TRY(write_ddl(control, options_.owner, row));
  known_[row.position] = row;
  return {};
}

// A look on a connection of its own: the control connection speaks charset binary.
Result<DdlRunner::Snapshot> DdlRunner::look(const mysql::DdlStatement& statement) const {
  mysql::ConnectOptions connect;
  connect.purpose = mysql::Purpose::kCatalog;
  SLUICE_ASSIGN(auto catalog, mysql::Connection::open(options_.target, connect));
  Snapshot snapshot;
  auto add = [&](const TableName& source) -> Status {
    if (source.table.empty() || !mapping_.includes(source.database, source.table)) return {};
    const TableName name = mapping_.target_of(source.database, source.table);
    SLUICE_ASSIGN(std::string definition, definition_of(*catalog, name));
    auto id = mysql::server_table_id(*catalog, name);
    snapshot.tables[name.to_string()] = {std::move(definition), id.ok() ? *id : std::string()};
    return {};
  };
  for (const mysql::DdlTable& table : statement.tables) {
    SLUICE_TRY(add(table.source));
    SLUICE_TRY(add(table.rename_to));
  }
  if (is_database(statement.kind) && mapping_.includes_database(statement.database)) {
    const std::string name = mapping_.target_database_of(statement.database);
    auto text = mysql::show_create_database(*catalog, name);
    snapshot.tables[name] = {text.ok() ? *text : std::string(), std::string()};
  }
  return snapshot;
}

DdlRunner::Verdict DdlRunner::decide(const mysql::DdlStatement& statement, const Snapshot& before,
                                     const Snapshot& now) const {
  size_t changed = 0, could_change = 0;
  bool without_id = false;
  for (const auto& [name, what] : before.tables) {
    const auto found = now.tables.find(name);
    const bool missing_before = what.first.empty();
    if (statement.kind == mysql::DdlKind::kDropTable && missing_before) continue;
    // A name in the middle of a swap is free before and after it.
    const bool missing_now = found == now.tables.end() || found->second.first.empty();
    if (statement.kind == mysql::DdlKind::kRenameTable && missing_before && missing_now) continue;
    ++could_change;
    if (found == now.tables.end() || found->second != what) ++changed;
    if (!missing_before && what.second.empty()) without_id = true;
  }
  using enum mysql::DdlKind;
  if (changed == 0) {
    // A swap of equal tables, and a TRUNCATE, show in the server's ids only.
    const bool needs_ids = statement.kind == kRenameTable || statement.kind == kAlterTable;
    return needs_ids && without_id && statement.kind == kRenameTable ? Verdict::kUnknown : Verdict::kNotDone;
  }
  if (changed == could_change) return Verdict::kDone;
  if (statement.kind == kDropTable) return Verdict::kNotDone;  // the rest is dropped
  // One table of several: whatever names them all either did all or is not atomic on this server.
  return statement.tables.size() > 1 ? Verdict::kUnknown : Verdict::kDone;
}

bool DdlRunner::wanted(const mysql::DdlStatement& statement) const {
  if (options_.types.empty()) return true;
  const std::string_view type = mysql::ddl_type_name(statement.kind);
  return type.empty() || options_.types.contains(type);
}

std::string DdlRunner::drop_again(const mysql::DdlStatement& statement) const {
  std::string sql = "DROP TABLE IF EXISTS ";
  bool first = true;
  for (const mysql::DdlTable& table : statement.tables) {
    if (!mapping_.includes(table.source.database, table.source.table)) continue;
    if (!first) sql += ", ";
    first = false;
    sql += mysql::quote_table(mapping_.target_of(table.source.database, table.source.table));
  }
  return sql;
}

Result<DdlOutcome> DdlRunner::run(const DdlEvent& event, const mysql::DdlStatement& statement, bool window,
                                  mysql::Connection& control) {
  const auto known = known_.find(event.position);
  if (known != known_.end() && known->second.state == DdlState::kDone) return DdlOutcome::kApplied;
  if (known != known_.end() && known->second.state == DdlState::kSkipped) return DdlOutcome::kSkipped;
  mysql::DdlRewriteOptions rewrite;
  rewrite.comment = "sluice " + options_.owner.project + " " + event.position;
  rewrite.drop_foreign_keys = window;
  auto sql = mysql::rewrite_ddl(event.sql, statement, mapping_, event.sql_mode, rewrite);
  if (!sql.ok()) return sql.error().with_position(event.position);
  if (sql->empty()) return DdlOutcome::kNothing;
  DdlRow row;
  row.position = event.position;
  row.statement = *sql;
  if (options_.policy == DdlPolicy::kStop)
    return Error(ErrorCode::DDL_STOPPED, event.sql.substr(0, 500), {}, event.position);
  if (options_.policy == DdlPolicy::kSkip || !wanted(statement)) {
    SLUICE_TRY(journal(control, row, DdlState::kSkipped));
    log::warn(kLog, "a DDL statement is skipped by the project's policy", {{"position", event.position}});
    return DdlOutcome::kSkipped;
  }
  if (known != known_.end() && known->second.state == DdlState::kExecuting) {
    SLUICE_ASSIGN(const Snapshot before, Snapshot::from_json(known->second.before));
    SLUICE_ASSIGN(const Snapshot now, look(statement));
    row = known->second;
    const Verdict verdict = decide(statement, before, now);
    log::info(kLog, "an interrupted DDL statement was found",
              {{"position", event.position}, {"done", verdict == Verdict::kDone ? "yes" : "no"}});
    if (verdict == Verdict::kUnknown)
      return Error(ErrorCode::DDL_UNDECIDED, event.sql.substr(0, 500), {}, event.position);
    if (verdict == Verdict::kDone) {
      SLUICE_TRY(journal(control, row, DdlState::kDone));
      return DdlOutcome::kApplied;
    }
    const bool partly = statement.kind == mysql::DdlKind::kDropTable && before != now;
    return execute(event, statement, partly ? drop_again(statement) : *sql, window, std::move(row), control);
  }
  SLUICE_ASSIGN(const Snapshot before, look(statement));
  row.before = before.to_json();
  SLUICE_TRY(journal(control, row, DdlState::kBefore));
  return execute(event, statement, *sql, window, std::move(row), control);
}

Status DdlRunner::prepare_session(mysql::Connection& session, const DdlEvent& event, bool window) const {
  std::string sql = "SET SESSION sql_mode=" + std::to_string(event.sql_mode) +
                    ", SESSION foreign_key_checks=" + (event.foreign_key_checks && !window ? "1" : "0") +
                    ", TIMESTAMP=" + std::to_string(event.timestamp_us / 1'000'000) + "." +
                    std::to_string(1'000'000 + event.timestamp_us % 1'000'000).substr(1);
  if (!event.time_zone.empty()) sql += ", SESSION time_zone=" + mysql::quoted(event.time_zone);
  if (!event.collation_connection.empty())
    sql += ", SESSION collation_connection=" + mysql::quoted(event.collation_connection);
  if (!event.collation_server.empty()) sql += ", SESSION collation_server=" + mysql::quoted(event.collation_server);
  SLUICE_TRY(session.exec(sql));
  if (event.explicit_defaults_for_timestamp > 1) return {};
  const std::string wanted = event.explicit_defaults_for_timestamp == 1 ? "1" : "0";
  auto now = session.query_value("SELECT @@session.explicit_defaults_for_timestamp");
  if (!now.ok() || *now == wanted) return {};
  SLUICE_TRY(session.exec("SET SESSION explicit_defaults_for_timestamp=" + wanted));
  return {};
}

Result<DdlOutcome> DdlRunner::execute(const DdlEvent& event, const mysql::DdlStatement& statement, std::string sql,
                                      bool window, DdlRow row, mysql::Connection& control) {
  const std::string object = statement.tables.empty() ? statement.database : statement.tables[0].source.to_string();
  mysql::ConnectOptions connect;
  connect.purpose = mysql::Purpose::kCatalog;
  connect.io_timeout = std::chrono::milliseconds(0);  // an ALTER takes as long as it takes
  connect.application = "sluice ddl";
  SLUICE_ASSIGN(auto session, open_registered(options_.target, connect, options_.owner, *options_.lease));
  Status done = prepare_session(*session, event, window);
  if (done.ok()) {
    SLUICE_TRY(journal(control, row, DdlState::kExecuting));
    if (crash_point == CrashPoint::kAfterExecuting) return crashed();
    SLUICE_TRY(options_.lease->check());
    auto executed = session->exec(sql);
    if (!executed.ok()) done = executed.error();
  }
  if (done.ok()) {
    if (crash_point == CrashPoint::kAfterStatement) return crashed();
    SLUICE_TRY(journal(control, row, DdlState::kDone));
    if (crash_point == CrashPoint::kAfterDone) return crashed();
    log::info(kLog, "applied a DDL statement", {{"position", event.position}, {"object", object}});
    return DdlOutcome::kApplied;
  }
  const Error& error = done.error();
  if (!session->alive() || error.code() == ErrorCode::DEADLOCK || error.code() == ErrorCode::TIMED_OUT ||
      error.code() == ErrorCode::CANCELLED)
    return Error(ErrorCode::CONNECTION_LOST, error.cause(), object, event.position);
  row.error = error.to_string();
  SLUICE_TRY(journal(control, row, DdlState::kFailed));
  return Error(ErrorCode::DDL_FAILED, error.cause(), object, event.position);
}

}  // namespace sluice::database
