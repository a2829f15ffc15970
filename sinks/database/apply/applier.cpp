#include "sinks/database/apply/applier.hpp"

#include <algorithm>
#include <thread>

#include "core/log.hpp"

namespace sluice::database {
namespace {

constexpr std::string_view kLog = "apply.applier";
constexpr int kAttempts = 60;
constexpr std::chrono::minutes kUnwatchedIoTimeout{2};
constexpr size_t kPacketBytes = 4 << 20;

bool ends_session(const Error& error) {
  return error.code() == ErrorCode::CONNECTION_LOST || error.code() == ErrorCode::TIMED_OUT ||
         error.code() == ErrorCode::CANCELLED;
}

const Change& first_change(const Statement& statement) { return statement.bucket->changes.front(); }

// In plain statements the bucket holds one change.
std::string name_of(const Statement& statement) {
  const TablePlan& plan = *statement.bucket->plan;
  const Change& change = first_change(statement);
  const RowView image = change.before.bytes().empty() ? change.after : change.before;
  return plan.source_name.to_string() + " (" + describe_key(plan, image) + ")";
}

std::string mode_sql(std::string_view mode) { return "SET SESSION sql_mode='" + std::string(mode) + "'"; }

// Without strictness a value that does not fit is cut with a warning: only those that were counted may have one.
Status check_warnings(const Statement& statement, const mysql::ExecResult& result) {
  if (statement.empty_enums == 0 || result.warnings == statement.empty_enums) return {};
  return Error(ErrorCode::VALUE_REJECTED,
               std::to_string(result.warnings) + " warnings while " + std::to_string(statement.empty_enums) +
                   " empty ENUM values were stored",
               statement.bucket != nullptr ? statement.bucket->plan->source_name.to_string() : std::string());
}

std::string verb_of(Action action) {
  switch (action) {
    case Action::kInsert:
      return "INSERT";
    case Action::kUpdate:
      return "UPDATE";
    case Action::kDelete:
      return "DELETE";
    default:
      return "write";
  }
}

uint64_t rows_of(const Group& group) {
  uint64_t rows = 0;
  for (const TransactionPtr& transaction : group.transactions) rows += transaction->rows.size();
  return rows;
}

bool wants_plain(const Group& group) {
  return group.plainly || std::any_of(group.transactions.begin(), group.transactions.end(),
                                      [](const TransactionPtr& t) { return t->alone; });
}

}  // namespace

Result<std::unique_ptr<Applier>> Applier::open(const ApplyOptions& options, uint32_t number, uint64_t seq) {
  std::unique_ptr<Applier> applier(new Applier(options, number, seq));
  mysql::ConnectOptions connect;
  connect.multi_statements = true;
  connect.io_timeout = options.watch ? mysql::kWatchedIoTimeout : kUnwatchedIoTimeout;
  connect.application = "sluice incr-sync";
  SLUICE_ASSIGN(auto connection, open_registered(options.target, connect, options.owner, *options.lease));
  applier->connection_ = mysql::WatchedConnection(std::move(connection), options.watch);
  SLUICE_TRY(applier->connection_->exec("SET SESSION unique_checks=1, SESSION innodb_lock_wait_timeout=10"));
  SLUICE_TRY(switch_off_check_constraints(*applier->connection_));
  return applier;
}

std::string Applier::checkpoint_of(const Group& group) const {
  return checkpoint_sql(options_.owner, {number_, options_.owner.epoch, seq_, group.low_watermark, group.applied},
                        seq_);
}

void Applier::abort() { connection_->abort(); }

void Applier::roll_back() {
  foreign_key_checks_ = -1;
  if (connection_->alive()) (void)connection_->exec("ROLLBACK");
  if (lenient_ && connection_->alive() && connection_->exec(mode_sql(mysql::kDataMode)).ok()) lenient_ = false;
}

Error Applier::guard_failed() {
  roll_back();
  return database::guard_failed(*connection_, options_.owner, number_, seq_);
}

Result<GroupResult> Applier::apply(const Group& group) {
  const bool whole = group.first_piece && group.last_piece;
  bool plainly = wants_plain(group);
  for (int attempt = 1;; ++attempt) {
    SLUICE_TRY(options_.lease->check());
    auto result = plainly ? apply_plainly(group) : apply_merged(group);
    if (result.ok()) return result;
    const Error error = result.error();
    if (error.code() != ErrorCode::STALE_EPOCH && error.code() != ErrorCode::TARGET_LOST_COMMITS) roll_back();
    const bool lost = !connection_->alive();  // then it is the server's, not the row's
    if (lost || ends_session(error))
      return Error(ErrorCode::CONNECTION_LOST, error.cause(), lost ? options_.target.display() : error.object(),
                   error.position());
    if (!whole) return error;
    if (error.code() == ErrorCode::DEADLOCK && attempt < kAttempts) {
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min(attempt * 5, 200)));
      continue;
    }
    const bool final = plainly || error.code() == ErrorCode::STALE_EPOCH ||
                       error.code() == ErrorCode::TARGET_LOST_COMMITS || error.code() == ErrorCode::LEASE_EXPIRED ||
                       error.code() == ErrorCode::DEADLOCK || error.code() == ErrorCode::CORRUPTED;
    if (final) return error;
    // Once more, row by row: to name the row, or to resolve the conflict.
    log::info(kLog, "a merged group is repeated row by row", {{"cause", error}});
    plainly = true;
  }
}

// Before any row of the group is written: on the source nothing could refer to a key that does not exist yet, so what
// refers to it on the target was copied before a cascade took the key away (or is newer, which does no harm).
Result<bool> Applier::begin(const Group& group) {
  bool begun = false;
  for (const TransactionPtr& transaction : group.transactions) {
    for (const RowChange& row : transaction->rows) {
      if (!row.new_key || !group.cascades) continue;
      if (!begun && group.first_piece) SLUICE_TRY(connection_->exec("START TRANSACTION"));
      begun = true;
      SLUICE_ASSIGN(const auto rows, rows_to_recheck(*connection_, *group.cascades, *row.plan, row.after));
      SLUICE_TRY(write_rechecks(*connection_, options_.owner, rows, *options_.lease));
    }
  }
  return begun;
}

Result<std::vector<Applier::Packet>> Applier::packets_of(const Group& group, const std::vector<Statement>& statements,
                                                         bool begun) {
  const size_t limit = std::min<size_t>(kPacketBytes, connection_->max_allowed_packet() / 2);
  std::vector<Packet> packets(1);
  auto add = [&](std::string_view sql, const Statement* statement) {
    if (!packets.back().sql.empty() && packets.back().sql.size() + sql.size() > limit) packets.emplace_back();
    Packet& packet = packets.back();
    if (!packet.sql.empty()) packet.sql += ';';
    packet.sql += sql;
    packet.statements.push_back(statement);
  };
  if (group.first_piece && !begun) add("START TRANSACTION", nullptr);
  int checks = foreign_key_checks_;
  for (const Statement& statement : statements) {
    if (checks != static_cast<int>(statement.foreign_key_checks)) {
      checks = statement.foreign_key_checks ? 1 : 0;
      add("SET SESSION foreign_key_checks=" + std::to_string(checks), nullptr);
    }
    if (statement.empty_enums > 0) add(mode_sql(mysql::kLenientMode), nullptr);
    add(statement.sql, &statement);
    if (statement.empty_enums > 0) add(mode_sql(mysql::kDataMode), nullptr);
    lenient_ = lenient_ || statement.empty_enums > 0;
  }
  foreign_key_checks_ = checks;
  if (group.last_piece) {
    const std::string checkpoint = checkpoint_of(group);
    if (packets.back().sql.size() + checkpoint.size() > limit) packets.emplace_back();
    Packet& packet = packets.back();
    packet.guard_from = packet.statements.size();
    if (!packet.sql.empty()) packet.sql += ';';
    packet.sql += checkpoint;
  }
  return packets;
}

Status Applier::run_packet(const Packet& packet) {
  if (packet.sql.empty()) return {};
  SLUICE_TRY(options_.lease->check());
  size_t done = 0;
  auto results = connection_->exec_multi(packet.sql, &done);
  if (!results.ok()) {
    const bool in_guard = connection_->alive() && packet.guard_from != SIZE_MAX && done > packet.guard_from;
    return in_guard ? guard_failed() : results.error();
  }
  for (size_t i = 0; i < packet.statements.size() && i < results->size(); ++i) {
    const Statement* statement = packet.statements[i];
    if (statement == nullptr) continue;
    SLUICE_TRY(check_warnings(*statement, (*results)[i]));
    if (!statement->counted || (*results)[i].matched_rows == statement->rows) continue;
    return Error(ErrorCode::ROW_CONFLICT,
                 verb_of(statement->bucket->action) + " matched " + std::to_string((*results)[i].matched_rows) +
                     " rows instead of " + std::to_string(statement->rows),
                 statement->bucket->plan->source_name.to_string());
  }
  return {};
}

Status Applier::commit(const Group& group) {
  if (!group.last_piece) return {};
  SLUICE_TRY(options_.lease->check());
  SLUICE_TRY(connection_->exec("COMMIT"));
  ++seq_;
  return {};
}

Result<GroupResult> Applier::apply_merged(const Group& group) {
  SLUICE_ASSIGN(const auto buckets, merge(group.transactions, false));
  SLUICE_ASSIGN(const auto statements, write_statements(buckets));
  SLUICE_ASSIGN(const bool begun, begin(group));
  SLUICE_ASSIGN(const auto packets, packets_of(group, statements, begun));
  for (const Packet& packet : packets) SLUICE_TRY(run_packet(packet));
  SLUICE_TRY(commit(group));
  GroupResult result;
  result.rows = rows_of(group);
  return result;
}

Status Applier::set_foreign_key_checks(bool on) {
  if (foreign_key_checks_ == static_cast<int>(on)) return {};
  SLUICE_TRY(connection_->exec(on ? "SET SESSION foreign_key_checks=1" : "SET SESSION foreign_key_checks=0"));
  foreign_key_checks_ = on ? 1 : 0;
  return {};
}

Result<GroupResult> Applier::apply_plainly(const Group& group) {
  Outcome outcome;
  SLUICE_ASSIGN(const bool begun, begin(group));
  if (group.first_piece && !begun) SLUICE_TRY(connection_->exec("START TRANSACTION"));
  SLUICE_ASSIGN(const auto buckets, merge(group.transactions, true));
  for (const Bucket& bucket : buckets) {
    SLUICE_ASSIGN(const auto statements, write_statements(std::span(&bucket, 1)));
    for (const Statement& statement : statements) SLUICE_TRY(run_plain(group, statement, outcome));
  }
  SLUICE_TRY(record_conflicts(*connection_, options_.owner, number_, outcome.conflicts, outcome.result.conflicts.size(),
                              outcome.result.conflicts_skipped));
  if (group.last_piece) {
    Packet packet;
    packet.guard_from = 0;
    packet.sql = checkpoint_of(group);
    SLUICE_TRY(run_packet(packet));
  }
  SLUICE_TRY(commit(group));
  outcome.result.rows = rows_of(group);
  return std::move(outcome.result);
}

// One statement alone.
Result<mysql::ExecResult> Applier::send(const Statement& statement) {
  SLUICE_TRY(options_.lease->check());
  if (statement.empty_enums == 0) return connection_->exec(statement.sql);
  lenient_ = true;
  SLUICE_TRY(connection_->exec(mode_sql(mysql::kLenientMode)));
  auto done = connection_->exec(statement.sql);
  if (!connection_->alive()) return done;
  SLUICE_TRY(connection_->exec(mode_sql(mysql::kDataMode)));
  lenient_ = false;
  if (done.ok()) SLUICE_TRY(check_warnings(statement, *done));
  return done;
}

Status Applier::run_plain(const Group& group, const Statement& statement, Outcome& outcome) {
  const Change& change = first_change(statement);
  // The window's REPLACE of a key change follows its removal, which has recorded the children already.
  const bool recheck = change.row->recheck && statement.bucket->action != Action::kReplace;
  if (recheck && group.cascades) {
    SLUICE_ASSIGN(const auto rows,
                  rows_to_recheck(*connection_, *group.cascades, *statement.bucket->plan, change.row->before));
    SLUICE_TRY(write_rechecks(*connection_, options_.owner, rows, *options_.lease));
  }
  if (statement.sql.empty()) return {};
  SLUICE_TRY(set_foreign_key_checks(statement.foreign_key_checks));
  const auto done = send(statement);
  if (done.ok()) {
    if (!statement.counted || done->matched_rows == statement.rows) return {};
    return resolve(group, statement,
                   Error(ErrorCode::ROW_CONFLICT, verb_of(statement.bucket->action) + ": the row does not exist"),
                   outcome);
  }
  if (done.error().code() == ErrorCode::DUPLICATE_KEY && statement.counted)
    return resolve(group, statement,
                   Error(ErrorCode::ROW_CONFLICT, verb_of(statement.bucket->action) + ": " + done.error().cause()),
                   outcome);
  return done.error().with_object(name_of(statement)).with_position(change.transaction->end.to_string());
}

Status Applier::resolve(const Group& group, const Statement& statement, const Error& why, Outcome& outcome) {
  const Change& change = first_change(statement);
  const TablePlan& plan = *statement.bucket->plan;
  const Error named = why.with_object(name_of(statement)).with_position(change.transaction->id);
  const ConflictPolicy policy = group.on_conflict.value_or(options_.on_conflict);
  if (policy == ConflictPolicy::kStop) return named;
  if (policy == ConflictPolicy::kOverwrite) SLUICE_TRY(overwrite(statement));
  const std::string_view how = policy == ConflictPolicy::kOverwrite ? "overwritten" : "skipped";
  log::warn(kLog, "a conflict was resolved by policy", {{"how", how}, {"conflict", named}});
  outcome.result.conflicts.push_back(std::string(how) + ": " + named.object() + " at " + named.position() + ": " +
                                     named.cause());
  // A row that was to be deleted and is not there is as the source has it.
  const bool differs = policy == ConflictPolicy::kSkip && statement.bucket->action != Action::kDelete;
  if (differs) ++outcome.result.conflicts_skipped;
  ConflictRow row{plan.source_name, {}, verb_of(statement.bucket->action), policy, named.position(), named.cause()};
  const bool has_before = !change.before.bytes().empty();
  if (has_before) {
    SLUICE_ASSIGN(row.key, key_condition(plan, change.before));
    outcome.conflicts.push_back(row);
  }
  if (change.after.bytes().empty()) return {};
  SLUICE_ASSIGN(std::string key, key_condition(plan, change.after));
  if (has_before && key == row.key) return {};
  row.key = std::move(key);
  outcome.conflicts.push_back(std::move(row));
  return {};
}

// Makes the end state of the change true. Without foreign key checks, so that removing what is in the way does not
// cascade.
Status Applier::overwrite(const Statement& statement) {
  const TablePlan& plan = *statement.bucket->plan;
  const Change& change = first_change(statement);
  if (statement.bucket->action == Action::kDelete) return {};
  SLUICE_TRY(set_foreign_key_checks(false));
  if (statement.bucket->action == Action::kUpdate && !plan.keyless()) {
    SLUICE_ASSIGN(const Statement removal, delete_statement(plan, change.before));
    SLUICE_TRY(send(removal));
  }
  SLUICE_ASSIGN(const Statement replacement, replace_statement(plan, change.after));
  SLUICE_TRY(send(replacement));
  return {};
}

}  // namespace sluice::database
