#include "engines/mysql/positions.hpp"

#include <cstdlib>
#include <thread>

#include "engines/mysql/sql_text.hpp"

namespace sluice::mysql {
namespace {

using namespace std::chrono_literals;

constexpr int kAttempts = 50;

// File and offset of the log's end. BINLOG_DISABLED when the server writes none.
Result<Position> log_end(Connection& connection) {
  const auto& version = connection.version();
  const bool renamed = !version.mariadb && version.number >= 80'200;
  SLUICE_ASSIGN(const auto table, connection.query(renamed ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS"));
  if (table.rows.empty() || table.rows[0].size() < 2 || !table.rows[0][0] || !table.rows[0][1]) {
    return Error(ErrorCode::BINLOG_DISABLED, "SHOW MASTER STATUS is empty");
  }
  const auto& row = table.rows[0];
  Position position;
  position.file = *row[0];
  position.offset = std::strtoull(row[1]->c_str(), nullptr, 10);
  if (!version.mariadb && row.size() >= 5 && row[4]) {
    for (const char c : *row[4]) {
      if (c != '\n' && c != ' ') position.gtids += c;
    }
  }
  return position;
}

// GTIDs up to a place in a MariaDB log, read by the server from that log file.
Result<std::string> gtids_at(Connection& connection, const Position& position) {
  auto value = connection.query_value("SELECT BINLOG_GTID_POS(" + quoted(position.file) + "," +
                                      std::to_string(position.offset) + ")");
  if (!value.ok() && value.error().code() == ErrorCode::NOT_FOUND) {
    return Error(ErrorCode::POSITION_LOST, "the server no longer has the log file", {}, position.to_string());
  }
  return value;
}

// MariaDB: the log's end with its GTIDs. Equal ends before and after mean that no transaction was written in between,
// since both wait for a group that is being written; so the GTIDs belong to it.
Result<Position> log_end_with_gtids(Connection& connection) {
  Position end;
  for (int attempt = 0; attempt < 5; ++attempt) {
    SLUICE_ASSIGN(const auto before, log_end(connection));
    SLUICE_ASSIGN(const auto gtids, connection.query("SELECT @@global.gtid_binlog_pos"));
    SLUICE_ASSIGN(end, log_end(connection));
    if (before != end || gtids.rows.empty()) continue;
    end.gtids = gtids.rows[0][0].value_or("");
    return end;
  }
  SLUICE_ASSIGN(end.gtids, gtids_at(connection, end));
  return end;
}

struct Branches {
  std::string open;       // xids of prepared transactions, for people
  std::string committed;  // counter of XA COMMIT statements
};

Result<Branches> xa_state(Connection& connection) {
  Branches state;
  SLUICE_ASSIGN(const auto status, connection.query("SHOW GLOBAL STATUS LIKE 'Com_xa_commit'"));
  if (!status.rows.empty()) state.committed = status.rows[0][1].value_or("");
  SLUICE_ASSIGN(const auto prepared, connection.query("XA RECOVER"));
  for (const auto& row : prepared.rows) {
    state.open += (state.open.empty() ? "" : ", ") + row.back().value_or("?");
  }
  return state;
}

Status begin_snapshot(Connection& connection) {
  SLUICE_TRY(connection.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
  SLUICE_TRY(connection.exec("START TRANSACTION WITH CONSISTENT SNAPSHOT"));
  return {};
}

// The place in the log of the snapshot that is open.
Result<Position> snapshot_place(Connection& connection) {
  SLUICE_ASSIGN(const auto status, connection.query("SHOW STATUS LIKE 'binlog_snapshot_%'"));
  Position position;
  for (const auto& row : status.rows) {
    const std::string name = row[0].value_or(""), value = row[1].value_or("");
    if (name == "Binlog_snapshot_file") position.file = value;
    if (name == "Binlog_snapshot_position") position.offset = std::strtoull(value.c_str(), nullptr, 10);
  }
  if (position.file.empty()) return Error(ErrorCode::BINLOG_DISABLED, "the snapshot has no position in a log");
  return position;
}

Result<Position> mariadb_snapshot(Connection& connection) {
  SLUICE_TRY(begin_snapshot(connection));
  SLUICE_ASSIGN(auto position, snapshot_place(connection));
  // Usually nothing came since, and the server need not read its log file to tell the GTIDs.
  SLUICE_ASSIGN(const auto end, log_end_with_gtids(connection));
  if (end.file == position.file && end.offset == position.offset) {
    position.gtids = end.gtids;
  } else {
    SLUICE_ASSIGN(position.gtids, gtids_at(connection, position));
  }
  return position;
}

// MySQL: a position below which everything is committed in the engine. performance_schema.log_status holds commits for
// a moment, so its position is exact; a session without the privilege for it falls back to gtid_executed.
Result<Position> mysql_committed(Connection& connection) {
  auto row = connection.query(
      "SELECT JSON_UNQUOTE(JSON_EXTRACT(LOCAL,'$.binary_log_file')),JSON_EXTRACT(LOCAL,'$.binary_log_position'),"
      "JSON_UNQUOTE(JSON_EXTRACT(LOCAL,'$.gtid_executed')) FROM performance_schema.log_status");
  Position position;
  if (row.ok() && !row->rows.empty() && row->rows[0][0] && row->rows[0][1]) {
    position.file = *row->rows[0][0];
    position.offset = std::strtoull(row->rows[0][1]->c_str(), nullptr, 10);
    for (const char c : row->rows[0][2].value_or("")) {
      if (c != '\n' && c != ' ') position.gtids += c;
    }
    return position;
  }
  SLUICE_ASSIGN(const auto gtids, connection.query("SELECT @@global.gtid_executed"));
  for (const char c : gtids.rows.empty() ? "" : gtids.rows[0][0].value_or("")) {
    if (c != '\n' && c != ' ') position.gtids += c;
  }
  if (position.gtids.empty()) {
    return Error(ErrorCode::MISSING_PRIVILEGE, "GRANT BACKUP_ADMIN ON *.* to the user, or switch gtid_mode on");
  }
  return position;
}

// MySQL has no snapshot that knows its position: equal positions before and after opening it mean that nothing was
// committed in between.
Result<Position> mysql_snapshot(Connection& connection) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    SLUICE_ASSIGN(const auto before, mysql_committed(connection));
    SLUICE_TRY(begin_snapshot(connection));
    SLUICE_ASSIGN(const auto after, mysql_committed(connection));
    if (before == after) return after;
    SLUICE_TRY(connection.exec("ROLLBACK"));
    std::this_thread::sleep_for(20ms);
  }
  return Error(ErrorCode::TIMED_OUT, "the source commits too often for a snapshot tied to a position");
}

Result<Position> snapshot_once(Connection& connection) {
  return connection.version().mariadb ? mariadb_snapshot(connection) : mysql_snapshot(connection);
}

// Calls `take` until no XA transaction can lie across the position it returned: none is prepared before or after, and
// none was committed in between. `undo` ends what `take` opened.
template <class Take, class Undo>
Result<Position> without_prepared(Connection& connection, std::chrono::milliseconds patience, Take take, Undo undo) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    SLUICE_ASSIGN(const auto before, xa_state(connection));
    std::string open = before.open;
    if (open.empty()) {
      SLUICE_ASSIGN(auto position, take());
      SLUICE_ASSIGN(const auto after, xa_state(connection));
      if (after.open.empty() && after.committed == before.committed) return position;
      open = after.open.empty() ? "some that end at once" : after.open;
      SLUICE_TRY(undo());
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error(ErrorCode::XA_PENDING, "prepared XA transactions: " + open);
    }
    std::this_thread::sleep_for(50ms);
  }
}

}  // namespace

Result<Position> end_position(Connection& connection) {
  return connection.version().mariadb ? log_end_with_gtids(connection) : log_end(connection);
}

Result<Position> end_in_file(Connection& connection) { return log_end(connection); }

Result<Position> open_snapshot(Connection& connection) {
  const auto roll_back = [&]() -> Status {
    SLUICE_TRY(connection.exec("ROLLBACK"));
    return {};
  };
  auto position = without_prepared(
      connection, 1s, [&] { return snapshot_once(connection); }, roll_back);
  if (!position.ok() && connection.alive()) SLUICE_TRY(roll_back());
  return position;
}

Result<Position> visible_position(Connection& connection, std::chrono::milliseconds patience) {
  const bool mariadb = connection.version().mariadb;
  const auto end = [&]() -> Status {
    if (mariadb) SLUICE_TRY(connection.exec("COMMIT"));
    return {};
  };
  const auto take = [&] { return mariadb ? mariadb_snapshot(connection) : mysql_committed(connection); };
  auto position = without_prepared(connection, patience, take, end);
  if (mariadb && connection.alive()) SLUICE_TRY(connection.exec("COMMIT"));
  return position;
}

namespace {

// File and offset below which everything is visible; without GTIDs, which cost a look into the log.
Result<Position> visible_now(Connection& connection) {
  if (!connection.version().mariadb) return mysql_committed(connection);
  SLUICE_TRY(begin_snapshot(connection));
  auto position = snapshot_place(connection);
  SLUICE_TRY(connection.exec("COMMIT"));
  return position;
}

}  // namespace

Status wait_until_visible(Connection& connection, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  SLUICE_ASSIGN(const auto end, log_end(connection));
  for (;;) {
    SLUICE_ASSIGN(const auto visible, visible_now(connection));
    // A MySQL that tells this user no place tells its visible set of GTIDs only: there is nothing to wait for.
    if (visible.file.empty() || compare_in_log(visible, end) >= 0) return {};
    if (std::chrono::steady_clock::now() >= deadline)
      return Error(ErrorCode::TIMED_OUT, "the end of the source's log is not visible yet", {}, end.to_string());
    std::this_thread::sleep_for(5ms);
  }
}

Result<int64_t> server_time_us(Connection& connection) {
  SLUICE_ASSIGN(const auto text, connection.query_value("SELECT CAST(UNIX_TIMESTAMP(NOW(6))*1000000 AS SIGNED)"));
  return static_cast<int64_t>(std::strtoll(text.c_str(), nullptr, 10));
}

}  // namespace sluice::mysql
