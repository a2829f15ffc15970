// Session: rows behind cascading foreign keys, read again from the source (exactness.md section 3).
#include <algorithm>
#include <map>
#include <set>

#include "agents/components/incr_sync/session.hpp"
#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/positions.hpp"
#include "engines/mysql/row_decoder.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::incr_sync {
namespace {

constexpr std::string_view kLog = "incr_sync";
constexpr int kRoundsMax = 50;
constexpr size_t kRowsAtOnce = 10'000;  // with what hangs below them; a single recorded row may have more
constexpr size_t kPacketBytes = 1 << 20;

// Both definitions of a table whose rows are read again.
struct Sides {
  TableName target;
  TableSchema source_schema, target_schema;
  std::vector<std::pair<uint32_t, uint32_t>> columns;  // source, target
  std::vector<std::string> unmatched;                  // of the target
};

Result<std::optional<Sides>> sides_of(const TableName& source, const TableMapping& mapping,
                                      mysql::Connection& source_catalog, mysql::Connection& target_catalog) {
  Sides sides;
  sides.target = mapping.target_of(source);
  auto from = mysql::read_table(source_catalog, source);
  auto to = mysql::read_table(target_catalog, sides.target);
  for (const auto* read : {&from, &to}) {
    if (read->ok()) continue;
    // Dropped in the meantime: the log will say so.
    if (read->error().code() == ErrorCode::NOT_FOUND) return std::optional<Sides>();
    return read->error();
  }
  sides.source_schema = std::move(*from);
  sides.target_schema = std::move(*to);
  for (uint32_t i = 0; i < sides.target_schema.columns.size(); ++i) {
    if (sides.target_schema.columns[i].generated) continue;
    const int column = database::find_column(sides.source_schema, sides.target_schema.columns[i].name);
    if (column >= 0)
      sides.columns.emplace_back(static_cast<uint32_t>(column), i);
    else
      sides.unmatched.push_back(sides.target_schema.columns[i].name);
  }
  return std::optional<Sides>(std::move(sides));
}

struct Replacement {
  std::string sql;  // empty when the source has no such row
  uint64_t empty_enums = 0;
};

// The row as the source has it now, to be written to the target.
Result<Replacement> replacement(const Sides& sides, const std::string& condition, mysql::Connection& source) {
  const TableSchema& schema = sides.source_schema;
  const std::string query = "SELECT " + mysql::select_list(schema) + " FROM " +
                            mysql::quote_table(schema.database, schema.name) + " WHERE " + condition;
  std::vector<ValueView> values(schema.columns.size());
  Replacement result;
  SLUICE_TRY(source.stream(query, [&](const std::vector<mysql::Cell>& cells) -> Status {
    for (size_t i = 0; i < values.size(); ++i) SLUICE_TRY(mysql::decode_cell(schema.columns[i], cells[i], values[i]));
    std::string names, literals;
    for (const auto& [from, to] : sides.columns) {
      if (!names.empty()) names += ',', literals += ',';
      names += mysql::quote_name(sides.target_schema.columns[to].name);
      mysql::append_literal(literals, schema.columns[from], values[from]);
      if (mysql::is_empty_enum(schema.columns[from], values[from])) ++result.empty_enums;
    }
    result.sql = "REPLACE INTO " + mysql::quote_table(sides.target) + " (" + names + ") VALUES (" + literals + ")";
    return {};
  }));
  return result;
}

// Statements on their way to the target, as few packets as may be.
class Packets {
 public:
  Packets(mysql::Connection& connection, Lease& lease)
      : connection_(connection), lease_(lease), limit_(std::min(kPacketBytes, connection.max_allowed_packet() / 2)) {}
  Status add(std::string_view sql) {
    if (!sql_.empty() && sql_.size() + sql.size() > limit_) SLUICE_TRY(flush());
    if (!sql_.empty()) sql_ += ';';
    sql_ += sql;
    return {};
  }
  // With empty ENUM values a statement goes alone, in a session that is not strict for so long.
  Status add(const Replacement& row) {
    if (row.sql.empty()) return {};
    if (row.empty_enums == 0) return add(row.sql);
    SLUICE_TRY(flush());
    SLUICE_TRY(connection_.exec("SET SESSION sql_mode='" + std::string(mysql::kLenientMode) + "'"));
    SLUICE_ASSIGN(const auto done, connection_.exec(row.sql));
    SLUICE_TRY(connection_.exec("SET SESSION sql_mode='" + std::string(mysql::kDataMode) + "'"));
    if (done.warnings == row.empty_enums) return {};
    return Error(ErrorCode::VALUE_REJECTED, std::to_string(done.warnings) + " warnings while " +
                                                std::to_string(row.empty_enums) + " empty ENUM values were stored");
  }
  Status flush() {
    if (sql_.empty()) return {};
    SLUICE_TRY(lease_.check());
    SLUICE_TRY(connection_.exec_multi(sql_));
    sql_.clear();
    return {};
  }

 private:
  mysql::Connection& connection_;
  Lease& lease_;
  const size_t limit_;
  std::string sql_;
};

}  // namespace

struct Session::Rereading {
  std::vector<database::RecheckRow> rows;
  std::string ids;  // of the recorded rows
  std::map<TableName, std::optional<Sides>> tables;
};

// Recorded rows, as many as are written at once, and what the target has below them.
Result<Session::Rereading> Session::collect_rereading(const std::vector<database::RecheckRow>& rows) {
  SLUICE_ASSIGN(auto* source_names, source_catalog());
  SLUICE_ASSIGN(auto* target_names, target_catalog());
  SLUICE_ASSIGN(auto* connection, control());
  Rereading reading;
  std::set<std::pair<TableName, std::string>> known;
  auto add = [&](const database::RecheckRow& row) {
    if (!row.key.empty() && known.insert({row.table, row.key[0]}).second) reading.rows.push_back(row);
  };
  for (const database::RecheckRow& row : rows) {
    if (reading.rows.size() >= kRowsAtOnce) break;
    reading.ids += (reading.ids.empty() ? "" : ",") + std::to_string(row.id);
    add(row);
    if (row.key.empty()) continue;
    SLUICE_TRY(definitions_.know(row.table, *target_names, source_names));
    SLUICE_ASSIGN(const auto below, database::rows_below(*connection, *definitions_.cascades(),
                                                         job_.mapping.target_of(row.table), row.key[0]));
    for (const database::RecheckRow& one : below) add(one);
  }
  return reading;
}

// False: a definition on the source is newer than the target's, which is waited for.
Result<bool> Session::find_sides(Rereading& reading) {
  SLUICE_ASSIGN(auto* source_names, source_catalog());
  SLUICE_ASSIGN(auto* target_names, target_catalog());
  for (const database::RecheckRow& row : reading.rows) {
    if (reading.tables.contains(row.table)) continue;
    SLUICE_ASSIGN(auto sides, sides_of(row.table, job_.mapping, *source_names, *target_names));
    bool settled = true;
    for (const std::string& column : sides ? sides->unmatched : std::vector<std::string>()) {
      if (unmatched_columns_.insert({row.table, column}).second) settled = false;
    }
    if (!settled) return wait_for_definitions(row.table);
    reading.tables.emplace(row.table, std::move(sides));
  }
  return true;
}

// DDL on the source stands behind what is applied: the log is followed to it first. A column of the target that has no
// counterpart before and after that is the target's own.
Result<bool> Session::wait_for_definitions(const TableName& table) {
  end_snapshot();
  if (++recheck_rounds_ > kRoundsMax)
    return Error(ErrorCode::COPY_ROUNDS_EXHAUSTED, "its definition kept changing while its rows were read again",
                 table.to_string());
  SLUICE_ASSIGN(auto* source, source_catalog());
  SLUICE_ASSIGN(extended_end_, mysql::end_position(*source));
  log::info(kLog, "rows are read again when the source's DDL is applied", {{"table", table.to_string()}});
  return false;
}

Status Session::rewrite(const Rereading& reading, mysql::Connection& source, mysql::Connection& target) {
  Packets packets(target, *job_.apply.lease);
  for (const database::RecheckRow& row : reading.rows) {
    const std::optional<Sides>& sides = reading.tables.at(row.table);
    if (!sides) continue;
    SLUICE_ASSIGN(const Replacement now, replacement(*sides, row.key[0], source));
    SLUICE_TRY(packets.add("DELETE FROM " + mysql::quote_table(sides->target) + " WHERE " + row.key[0]));
    SLUICE_TRY(packets.add(now));
  }
  SLUICE_TRY(packets.add("DELETE FROM " + mysql::quote_table(job_.apply.owner.meta_database, "recheck") +
                         " WHERE project = " + mysql::quoted(job_.apply.owner.project) + " AND id IN (" + reading.ids +
                         ")"));
  return packets.flush();
}

// In one target transaction. `snapshot` is a connection that sees the source at the window's end, or null: then the
// window goes on to a later one. False: definitions have to settle first.
Result<bool> Session::recheck(const std::vector<database::RecheckRow>& rows, mysql::Connection* snapshot) {
  mysql::Connection* source = snapshot;
  if (source == nullptr) {
    if (++recheck_rounds_ > kRoundsMax)
      return Error(ErrorCode::COPY_ROUNDS_EXHAUSTED, "rows of cascading foreign keys kept changing",
                   rows[0].table.to_string());
    SLUICE_ASSIGN(source, source_data());
  }
  SLUICE_ASSIGN(Rereading reading, collect_rereading(rows));
  SLUICE_ASSIGN(const bool settled, find_sides(reading));
  if (!settled) return false;
  SLUICE_ASSIGN(auto* connection, control());
  SLUICE_TRY(connection->exec("START TRANSACTION"));
  if (auto done = rewrite(reading, *source, *connection); !done.ok()) {
    // A table was rebuilt after the snapshot.
    if (done.error().code() != ErrorCode::DEADLOCK || !connection->alive()) return done.error();
    SLUICE_TRY(connection->exec("ROLLBACK"));
    return wait_for_definitions(rows[0].table);
  }
  Position end = extended_end_;
  if (snapshot == nullptr) {  // taken after the reading: nothing that was read is newer
    SLUICE_ASSIGN(auto* source_names, source_catalog());
    SLUICE_ASSIGN(end, mysql::end_position(*source_names));
  }
  SLUICE_TRY(write_marker({.end = end}, true));
  extended_end_ = end;
  for (const auto& [table, sides] : reading.tables) windows_.extend(table, end);
  log::info(kLog, "rows behind cascading foreign keys were read again",
            {{"rows", reading.rows.size()}, {"window_end", end.to_string()}});
  return true;
}

}  // namespace sluice::agents::incr_sync
