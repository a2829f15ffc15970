#include "sinks/database/apply/ddl_runner.hpp"

#include "core/log.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::database {
namespace {

constexpr std::string_view kLog = "apply.ddl";
constexpr std::string_view kReplaced = "REPLACE";  // how the identity of such a decision begins
constexpr size_t kStatementShown = 500;

Error crashed() { return Error(ErrorCode::CANCELLED, "ended at a crash point"); }

bool is_database(mysql::DdlKind kind) {
  return kind == mysql::DdlKind::kCreateDatabase || kind == mysql::DdlKind::kAlterDatabase ||
         kind == mysql::DdlKind::kDropDatabase;
}

// What an error names: the journal's key without the mark of a part of a statement ("d").
std::string position_of(const DdlEvent& event) {
  const bool part = !event.position.empty() && event.position.back() == 'd';
  return part ? event.position.substr(0, event.position.size() - 1) : event.position;
}

// Not every server has the variable, nor may everyone set it to what it is.
Status set_where_known(mysql::Connection& session, const std::string& variable, const std::string& wanted) {
  const auto now = session.query_value("SELECT @@session." + variable);
  if (!now.ok()) return session.alive() ? Status() : Status(now.error());
  if (*now == wanted) return {};
  SLUICE_TRY(session.exec("SET SESSION " + variable + "=" + wanted));
  return {};
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
  event.default_collation_utf8mb4 = ddl.default_collation_utf8mb4;
  event.time_zone = ddl.time_zone;
  event.foreign_key_checks = ddl.foreign_key_checks != 0;
  event.explicit_defaults_for_timestamp = ddl.explicit_defaults_for_timestamp;
  return event;
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

bool DdlRunner::was_decided(const std::string& position) const {
  const auto found = known_.find(position);
  return found != known_.end() && !found->second.decision.empty();
}

const DdlRow* DdlRunner::known(const DdlEvent& event) const {
  const auto found = known_.find(event.position);
  return found == known_.end() ? nullptr : &found->second;
}

// A decision that has not been carried out.
const DdlDecision* DdlRunner::pending(const DdlEvent& event, const DdlMode& mode) const {
  if (!mode.decision) return nullptr;
  const DdlRow* row = known(event);
  return row != nullptr && row->decision == mode.decision->identity ? nullptr : &*mode.decision;
}

// Definitions are read on a connection of their own: the control connection speaks charset binary.
Result<std::unique_ptr<mysql::Connection>> DdlRunner::catalog() const {
  mysql::ConnectOptions connect;
  connect.purpose = mysql::Purpose::kCatalog;
  return mysql::Connection::open(options_.target, connect);
}

// On the target.
std::vector<TableName> DdlRunner::named_by(const mysql::DdlStatement& statement) const {
  std::vector<TableName> names;
  for (const mysql::DdlTable& table : statement.tables) {
    for (const TableName& name : {table.source, table.rename_to}) {
      if (mapping_.includes(name)) names.push_back(mapping_.target_of(name));
    }
  }
  if (is_database(statement.kind) && mapping_.includes_database(statement.database))
    names.push_back({mapping_.target_database_of(statement.database), {}});
  return names;
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
    if (!mapping_.includes(table.source)) continue;
    if (!first) sql += ", ";
    first = false;
    sql += mysql::quote_table(mapping_.target_of(table.source));
  }
  return sql;
}

Result<std::optional<DdlOutcome>> DdlRunner::settle(const DdlEvent& event, DdlState state, const DdlDecision& decision,
                                                    mysql::Connection& control) {
  DdlRow row;
  if (const DdlRow* before = known(event)) row = *before;
  row.position = event.position;
  if (row.statement.empty()) row.statement = event.sql;
  row.decision = decision.identity;
  SLUICE_TRY(journal(control, row, state));
  log::warn(kLog, "the operator decided on a DDL statement",
            {{"position", event.position},
             {"decision", state == DdlState::kDone ? "done" : "skipped"},
             {"statement", event.sql.substr(0, kStatementShown)}});
  return std::optional(state == DdlState::kDone ? DdlOutcome::kApplied : DdlOutcome::kSkipped);
}

Result<std::optional<DdlOutcome>> DdlRunner::decided(const DdlEvent& event, const DdlMode& mode, bool only_skip,
                                                     mysql::Connection& control) {
  using What = DdlDecision::What;
  const DdlRow* row = known(event);
  if (row != nullptr && row->state == DdlState::kDone) return std::optional(DdlOutcome::kApplied);
  if (row != nullptr && row->state == DdlState::kSkipped) return std::optional(DdlOutcome::kSkipped);
  const DdlDecision* decision = pending(event, mode);
  if (decision != nullptr && decision->what == What::kSkip)
    return settle(event, DdlState::kSkipped, *decision, control);
  if (only_skip) return std::optional<DdlOutcome>();
  if (decision != nullptr && decision->what == What::kDone) return settle(event, DdlState::kDone, *decision, control);
  const bool begun = decision == nullptr && row != nullptr && row->decision.starts_with(kReplaced);
  if (!begun && (decision == nullptr || decision->what != What::kReplace)) return std::optional<DdlOutcome>();
  SLUICE_ASSIGN(const DdlOutcome outcome, replace(event, decision, mode, control));
  return std::optional(outcome);
}

// `decision` is null when an earlier process has begun to carry it out.
Result<DdlOutcome> DdlRunner::replace(const DdlEvent& event, const DdlDecision* decision, const DdlMode& mode,
                                      mysql::Connection& control) {
  const DdlRow* row = known(event);
  const std::string sql = decision != nullptr ? decision->statement : row->statement;
  std::string database;
  if (!event.database.empty() && mapping_.includes_database(event.database))
    database = mapping_.target_database_of(event.database);
  mysql::DdlStatement statement;  // unknown, unless it can be read
  if (auto parsed = mysql::parse_ddl(sql, database, event.sql_mode); parsed.ok()) statement = std::move(*parsed);
  const Task task{event, statement, sql, database};
  if (decision == nullptr) {
    if (row->state == DdlState::kFailed)
      return Error(ErrorCode::DDL_FAILED, "the statement that replaces it failed: " + row->error, {},
                   position_of(event));
    if (row->state == DdlState::kExecuting) return recover(task, mode, *row, control);
    return execute(task, mode, *row, control);
  }
  log::warn(kLog, "the operator replaced a DDL statement",
            {{"position", event.position},
             {"statement", event.sql.substr(0, kStatementShown)},
             {"replaced_by", sql.substr(0, kStatementShown)}});
  std::vector<TableName> named;  // its names are the target's
  for (const mysql::DdlTable& table : statement.tables) {
    named.push_back(table.source);
    if (!table.rename_to.table.empty()) named.push_back(table.rename_to);
  }
  return begin(task, mode, named, decision->identity, control);
}

Result<DdlOutcome> DdlRunner::run(const DdlEvent& event, const mysql::DdlStatement& statement, const DdlMode& mode,
                                  mysql::Connection& control) {
  SLUICE_ASSIGN(const auto settled, decided(event, mode, false, control));
  if (settled) return *settled;
  mysql::DdlRewriteOptions rewrite;
  rewrite.comment = "sluice " + options_.owner.project + " " + event.position;
  rewrite.drop_foreign_keys = mode.window;
  auto sql = mysql::rewrite_ddl(event.sql, statement, mapping_, event.sql_mode, rewrite);
  if (!sql.ok()) return sql.error().with_position(position_of(event));
  if (sql->empty()) return DdlOutcome::kNothing;
  const Task task{event, statement, std::move(*sql), {}};
  const DdlDecision* retry = pending(event, mode);  // the only decision that can be left
  const DdlRow* row = known(event);
  if (retry == nullptr && row != nullptr && row->state == DdlState::kExecuting)
    return recover(task, mode, *row, control);
  const std::string decision = retry != nullptr ? retry->identity : row != nullptr ? row->decision : std::string();
  const bool ordered =
      retry != nullptr || (row != nullptr && row->state == DdlState::kBefore && !row->decision.empty());
  if (!ordered && options_.policy == DdlPolicy::kStop)
    return Error(ErrorCode::DDL_STOPPED, event.sql.substr(0, kStatementShown), {}, position_of(event));
  if (!ordered && (options_.policy == DdlPolicy::kSkip || !wanted(statement))) {
    DdlRow skipped{event.position, task.sql, {}, DdlState::kSkipped, {}, {}};
    SLUICE_TRY(journal(control, skipped, DdlState::kSkipped));
    log::warn(kLog, "a DDL statement is skipped by the project's policy", {{"position", event.position}});
    return DdlOutcome::kSkipped;
  }
  return begin(task, mode, named_by(statement), decision, control);
}

Result<DdlOutcome> DdlRunner::run_beside(const DdlEvent& event, const mysql::DdlStatement& statement,
                                         const DdlMode& mode) {
  mysql::ConnectOptions connect;
  connect.application = "sluice ddl control";
  SLUICE_ASSIGN(auto control, open_registered(options_.target, connect, options_.owner, *options_.lease));
  const Running running(*this, *control);
  return run(event, statement, mode, *control);
}

Result<DdlOutcome> DdlRunner::begin(const Task& task, const DdlMode& mode, const std::vector<TableName>& named,
                                    const std::string& decision, mysql::Connection& control) {
  DdlRow row{task.event.position, task.sql, {}, DdlState::kBefore, {}, decision};
  SLUICE_ASSIGN(auto names, catalog());
  const Running looking(*this, *names);
  SLUICE_ASSIGN(const DdlSnapshot before, DdlSnapshot::look(*names, named, mode.neighbours));
  row.before = before.to_json();
  SLUICE_TRY(journal(control, row, DdlState::kBefore));
  if (options_.crash == DdlCrash::kAfterBefore) return crashed();
  return execute(task, mode, std::move(row), control);
}

// The statement may or may not have been carried out by a process that is gone.
Result<DdlOutcome> DdlRunner::recover(const Task& task, const DdlMode& mode, DdlRow row, mysql::Connection& control) {
  SLUICE_ASSIGN(const DdlSnapshot before, DdlSnapshot::from_json(row.before));
  SLUICE_ASSIGN(auto names, catalog());
  const Running looking(*this, *names);
  SLUICE_ASSIGN(const DdlSnapshot now, before.look_again(*names));
  const DdlFinding finding = find_out(task.statement, before, now);
  log::info(kLog, "an interrupted DDL statement was found",
            {{"position", task.event.position}, {"done", finding == DdlFinding::kDone ? "yes" : "no"}});
  if (finding == DdlFinding::kUnknown)
    return Error(ErrorCode::DDL_UNDECIDED, row.statement.substr(0, kStatementShown), {}, position_of(task.event));
  if (finding == DdlFinding::kDone) {
    SLUICE_TRY(journal(control, row, DdlState::kDone));
    return DdlOutcome::kApplied;
  }
  Task again = task;
  if (task.statement.kind == mysql::DdlKind::kDropTable && before != now && row.decision.empty())
    again.sql = drop_again(task.statement);
  return execute(again, mode, std::move(row), control);
}

Status DdlRunner::prepare_session(mysql::Connection& session, const Task& task, bool window) const {
  const DdlEvent& event = task.event;
  if (!task.default_database.empty()) SLUICE_TRY(session.exec("USE " + mysql::quote_name(task.default_database)));
  std::string sql = "SET SESSION sql_mode=" + std::to_string(event.sql_mode) +
                    ", SESSION foreign_key_checks=" + (event.foreign_key_checks && !window ? "1" : "0") +
                    ", TIMESTAMP=" + std::to_string(event.timestamp_us / 1'000'000) + "." +
                    std::to_string(1'000'000 + event.timestamp_us % 1'000'000).substr(1);
  if (!event.time_zone.empty()) sql += ", SESSION time_zone=" + mysql::quoted(event.time_zone);
  if (!event.collation_connection.empty())
    sql += ", SESSION collation_connection=" + mysql::quoted(event.collation_connection);
  if (!event.collation_server.empty()) sql += ", SESSION collation_server=" + mysql::quoted(event.collation_server);
  SLUICE_TRY(session.exec(sql));
  if (!event.default_collation_utf8mb4.empty())
    SLUICE_TRY(set_where_known(session, "default_collation_for_utf8mb4", event.default_collation_utf8mb4));
  SLUICE_TRY(switch_off_check_constraints(session));
  if (event.explicit_defaults_for_timestamp > 1) return {};
  return set_where_known(session, "explicit_defaults_for_timestamp",
                         event.explicit_defaults_for_timestamp == 1 ? "1" : "0");
}

DdlRunner::Running::Running(DdlRunner& runner, mysql::Connection& session) : runner_(runner), session_(session) {
  std::lock_guard lock(runner_.mutex_);
  runner_.running_.insert(&session);
  if (runner_.aborted_) session.abort();
}

DdlRunner::Running::~Running() {
  std::lock_guard lock(runner_.mutex_);
  runner_.running_.erase(&session_);
}

void DdlRunner::abort() {
  std::lock_guard lock(mutex_);
  aborted_ = true;
  for (mysql::Connection* session : running_) session->abort();
}

Result<DdlOutcome> DdlRunner::execute(const Task& task, const DdlMode& mode, DdlRow row, mysql::Connection& control) {
  const std::string position = position_of(task.event);
  const std::string object =
      task.statement.tables.empty() ? task.statement.database : task.statement.tables[0].source.to_string();
  mysql::ConnectOptions connect;
  connect.purpose = mysql::Purpose::kCatalog;
  connect.io_timeout = std::chrono::milliseconds(0);  // an ALTER takes as long as it takes
  connect.application = "sluice ddl";
  SLUICE_ASSIGN(auto session, open_registered(options_.target, connect, options_.owner, *options_.lease));
  const Running running(*this, *session);
  Status done = prepare_session(*session, task, mode.window);
  if (done.ok()) {
    SLUICE_TRY(journal(control, row, DdlState::kExecuting));
    if (options_.crash == DdlCrash::kAfterExecuting) return crashed();
    SLUICE_TRY(options_.lease->check());
    auto executed = session->exec(task.sql);
    if (!executed.ok()) done = executed.error();
  }
  if (done.ok()) {
    if (options_.crash == DdlCrash::kAfterStatement) return crashed();
    SLUICE_TRY(journal(control, row, DdlState::kDone));
    if (options_.crash == DdlCrash::kAfterDone) return crashed();
    log::info(kLog, "applied a DDL statement", {{"position", task.event.position}, {"object", object}});
    return DdlOutcome::kApplied;
  }
  const Error& error = done.error();
  if (!session->alive() || error.code() == ErrorCode::DEADLOCK || error.code() == ErrorCode::TIMED_OUT ||
      error.code() == ErrorCode::CANCELLED)
    return Error(ErrorCode::CONNECTION_LOST, error.cause(), object, position);
  row.error = error.to_string();
  SLUICE_TRY(journal(control, row, DdlState::kFailed));
  return Error(ErrorCode::DDL_FAILED, error.cause(), object, position);
}

}  // namespace sluice::database
