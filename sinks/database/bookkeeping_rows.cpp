// Rows of tables, chunks, rechecks and the DDL journal.
#include <array>
#include <cstdio>
#include <cstdlib>

#include "sinks/database/bookkeeping_sql.hpp"

namespace sluice::database {
namespace {

constexpr std::array<std::string_view, 4> kTableStates{"PENDING", "COPYING", "COPIED", "NEEDS_COPY"};
constexpr std::array<std::string_view, 5> kDdlStates{"BEFORE", "EXECUTING", "DONE", "FAILED", "SKIPPED"};
constexpr size_t kMaxDdlPosition = 512;

template <class State, size_t N>
Result<State> state_of(const std::array<std::string_view, N>& names, const std::string& text) {
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<State>(i);
  }
  return Error(ErrorCode::CORRUPTED, "the bookkeeping holds the unknown state '" + text + "'");
}

// Runs an INSERT … SELECT from the owner's fence row; no row means that the fence is newer.
Status exec_fenced(mysql::Connection& connection, const Owner& owner, const std::string& statement) {
  SLUICE_ASSIGN(const auto done, connection.exec(statement));
  return done.matched_rows > 0 ? Status{} : sql::stale_epoch(owner);
}

std::string where_table(const Owner& owner, const TableName& table) {
  return " WHERE project = " + mysql::quoted(owner.project) +
         " AND source_database = " + mysql::quoted(table.database) +
         " AND source_table = " + mysql::quoted(table.table);
}

std::string real(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6f", value);
  return text.data();
}

Result<TableRow> table_row(const std::vector<std::optional<std::string>>& cells) {
  TableRow row;
  row.source = {sql::text_of(cells[0]), sql::text_of(cells[1])};
  row.target = {sql::text_of(cells[2]), sql::text_of(cells[3])};
  SLUICE_ASSIGN(row.state, state_of<TableState>(kTableStates, sql::text_of(cells[4])));
  SLUICE_ASSIGN(const uint64_t round, sql::number_of(cells[5]));
  row.round = static_cast<uint32_t>(round);
  SLUICE_ASSIGN(row.window_start, sql::parse_position(sql::text_of(cells[6])));
  SLUICE_ASSIGN(row.window_end, sql::parse_position(sql::text_of(cells[7])));
  row.keyless = sql::text_of(cells[8]) == "1";
  SLUICE_ASSIGN(row.rows, sql::number_of(cells[9]));
  SLUICE_ASSIGN(row.bytes, sql::number_of(cells[10]));
  row.seconds = std::strtod(sql::text_of(cells[11]).c_str(), nullptr);
  row.definition = sql::text_of(cells[12]);
  row.table_id = sql::text_of(cells[13]);
  row.created_from = sql::text_of(cells[14]);
  return row;
}

Result<std::vector<TableRow>> select_tables(mysql::Connection& connection, const Owner& owner,
                                            const std::string& where) {
  SLUICE_ASSIGN(auto found, connection.query("SELECT source_database, source_table, target_database, target_table, "
                                             "state, round, window_start, window_end, keyless, row_count, byte_count, "
                                             "seconds, definition, table_id, created_from FROM " +
                                             sql::table(owner, "table_state") + where));
  std::vector<TableRow> rows;
  for (const auto& cells : found.rows) {
    SLUICE_ASSIGN(TableRow row, table_row(cells));
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::vector<ChunkRow>> select_chunks(mysql::Connection& connection, const Owner& owner, const TableName& table,
                                            uint32_t round, const std::string& rest) {
  SLUICE_ASSIGN(auto found,
                connection.query("SELECT number, key_range, row_count, byte_count FROM " + sql::table(owner, "chunk") +
                                 where_table(owner, table) + " AND round = " + std::to_string(round) + rest));
  std::vector<ChunkRow> rows;
  for (const auto& cells : found.rows) {
    ChunkRow row{table, round, 0, sql::text_of(cells[1]), 0, 0};
    SLUICE_ASSIGN(row.number, sql::number_of(cells[0]));
    SLUICE_ASSIGN(row.rows, sql::number_of(cells[2]));
    SLUICE_ASSIGN(row.bytes, sql::number_of(cells[3]));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

Result<std::vector<TableRow>> read_tables(mysql::Connection& connection, const Owner& owner) {
  return select_tables(connection, owner,
                       " WHERE project = " + mysql::quoted(owner.project) + " ORDER BY source_database, source_table");
}

Result<std::optional<TableRow>> read_table_row(mysql::Connection& connection, const Owner& owner,
                                               const TableName& source) {
  SLUICE_ASSIGN(auto rows, select_tables(connection, owner, where_table(owner, source)));
  if (rows.empty()) return std::optional<TableRow>{};
  return std::optional(std::move(rows[0]));
}

Status write_table(mysql::Connection& connection, const Owner& owner, const TableRow& row) {
  std::string statement =
      "INSERT INTO " + sql::table(owner, "table_state") +
      " (project, source_database, source_table, target_database, target_table, state, round, window_start, "
      "window_end, keyless, row_count, byte_count, seconds, definition, table_id, created_from) SELECT project";
  for (const std::string_view text : {std::string_view(row.source.database), std::string_view(row.source.table),
                                      std::string_view(row.target.database), std::string_view(row.target.table),
                                      kTableStates[static_cast<size_t>(row.state)]}) {
    statement += ", " + mysql::quoted(text);
  }
  statement += ", " + std::to_string(row.round) + ", " + sql::position(row.window_start) + ", " +
               sql::position(row.window_end) + (row.keyless ? ", 1, " : ", 0, ") + std::to_string(row.rows) + ", " +
               std::to_string(row.bytes) + ", " + real(row.seconds) + ", " + mysql::quoted(row.definition) + ", " +
               mysql::quoted(row.table_id) + ", " + mysql::quoted(row.created_from);
  statement += sql::from_own_fence(owner) + " ON DUPLICATE KEY UPDATE ";
  bool first = true;
  for (const std::string_view name :
       {"target_database", "target_table", "state", "round", "window_start", "window_end", "keyless", "row_count",
        "byte_count", "seconds", "definition", "table_id", "created_from"}) {
    if (!first) statement += ", ";
    first = false;
    statement += std::string(name) + " = VALUES(" + std::string(name) + ")";
  }
  return exec_fenced(connection, owner, statement);
}

Status forget_table(mysql::Connection& connection, const Owner& owner, const TableName& source) {
  SLUICE_ASSIGN(auto fence, connection.query("SELECT epoch" + sql::from_own_fence(owner)));
  if (fence.rows.empty()) return sql::stale_epoch(owner);
  // The chunks go first: a table of the same name that is copied later begins with the same numbers.
  for (const char* name : {"chunk", "table_state"})
    SLUICE_TRY(connection.exec("DELETE FROM " + sql::table(owner, name) + where_table(owner, source)));
  return {};
}

Result<std::vector<ChunkRow>> read_chunks(mysql::Connection& connection, const Owner& owner, const TableName& table,
                                          uint32_t round) {
  return select_chunks(connection, owner, table, round, " ORDER BY number");
}

Result<std::optional<ChunkRow>> read_chunk(mysql::Connection& connection, const Owner& owner, const ChunkRow& wanted) {
  SLUICE_ASSIGN(auto rows, select_chunks(connection, owner, wanted.table, wanted.round,
                                         " AND number = " + std::to_string(wanted.number)));
  if (rows.empty()) return std::optional<ChunkRow>{};
  return std::optional(std::move(rows[0]));
}

std::string chunk_sql(const Owner& owner, const ChunkRow& row) {
  return "INSERT INTO " + sql::table(owner, "chunk") +
         " (project, source_database, source_table, round, number, epoch, key_range, row_count, byte_count) SELECT "
         "project, " +
         mysql::quoted(row.table.database) + ", " + mysql::quoted(row.table.table) + ", " + std::to_string(row.round) +
         ", " + std::to_string(row.number) + ", epoch, " + mysql::quoted(row.range) + ", " + std::to_string(row.rows) +
         ", " + std::to_string(row.bytes) + sql::from_own_fence(owner);
}

Status write_rechecks(mysql::Connection& connection, const Owner& owner, const std::vector<RecheckRow>& rows,
                      Lease& lease) {
  constexpr size_t kStatementBytes = 256 << 10;
  const std::string head =
      "INSERT INTO " + sql::table(owner, "recheck") + " (project, source_database, source_table, row_key) VALUES ";
  std::string statement;
  auto flush = [&]() -> Status {
    if (statement.empty()) return {};
    SLUICE_TRY(lease.check());
    SLUICE_TRY(connection.exec(statement));
    statement.clear();
    return {};
  };
  for (const RecheckRow& row : rows) {
    if (row.key.empty()) return Error(ErrorCode::INTERNAL, "a row to be read again has no key", row.table.to_string());
    statement += statement.empty() ? head : ", ";
    statement += "(" + mysql::quoted(owner.project) + ", " + mysql::quoted(row.table.database) + ", " +
                 mysql::quoted(row.table.table) + ", " + mysql::quoted(sql::encode_list(row.key)) + ")";
    if (statement.size() >= kStatementBytes) SLUICE_TRY(flush());
  }
  return flush();
}

Result<std::vector<RecheckRow>> read_rechecks(mysql::Connection& connection, const Owner& owner, size_t limit) {
  SLUICE_ASSIGN(auto found,
                connection.query("SELECT id, source_database, source_table, row_key FROM " +
                                 sql::table(owner, "recheck") + " WHERE project = " + mysql::quoted(owner.project) +
                                 " ORDER BY id LIMIT " + std::to_string(limit)));
  std::vector<RecheckRow> rows;
  for (const auto& cells : found.rows) {
    RecheckRow row;
    SLUICE_ASSIGN(row.id, sql::number_of(cells[0]));
    row.table = {sql::text_of(cells[1]), sql::text_of(cells[2])};
    SLUICE_ASSIGN(row.key, sql::decode_list(sql::text_of(cells[3])));
    rows.push_back(std::move(row));
  }
  return rows;
}

Status write_ddl(mysql::Connection& connection, const Owner& owner, const DdlRow& row) {
  if (row.position.empty() || row.position.size() > kMaxDdlPosition)
    return Error(ErrorCode::INVALID_ARGUMENT, "a journal position has 1 to 512 bytes", {}, row.position);
  return exec_fenced(
      connection, owner,
      "INSERT INTO " + sql::table(owner, "ddl") +
          " (project, position, epoch, statement, before_state, state, error, decision) SELECT project, " +
          mysql::quoted(row.position) + ", epoch, " + mysql::quoted(row.statement) + ", " + mysql::quoted(row.before) +
          ", " + mysql::quoted(kDdlStates[static_cast<size_t>(row.state)]) + ", " + mysql::quoted(row.error) + ", " +
          mysql::quoted(row.decision) + sql::from_own_fence(owner) +
          " ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), statement = VALUES(statement), before_state "
          "= VALUES(before_state), state = VALUES(state), error = VALUES(error), decision = VALUES(decision)");
}

Result<std::vector<DdlRow>> read_ddl(mysql::Connection& connection, const Owner& owner, bool unfinished_only) {
  SLUICE_ASSIGN(auto found,
                connection.query("SELECT position, statement, before_state, state, error, decision FROM " +
                                 sql::table(owner, "ddl") + " WHERE project = " + mysql::quoted(owner.project) +
                                 (unfinished_only ? " AND state IN ('BEFORE', 'EXECUTING', 'FAILED')" : "") +
                                 " ORDER BY updated_at, position"));
  std::vector<DdlRow> rows;
  for (const auto& cells : found.rows) {
    DdlRow row{sql::text_of(cells[0]), sql::text_of(cells[1]), sql::text_of(cells[2]),
               DdlState::kBefore,      sql::text_of(cells[4]), sql::text_of(cells[5])};
    SLUICE_ASSIGN(row.state, state_of<DdlState>(kDdlStates, sql::text_of(cells[3])));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sluice::database
