// Session: the end of the copy's window (exactness.md section 3).
#include <algorithm>
#include <map>

#include "agents/components/incr_sync/session.hpp"
#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/positions.hpp"
#include "engines/mysql/row_decoder.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents {
namespace {

constexpr std::string_view kLog = "incr_sync";
constexpr int kRoundsMax = 50;
constexpr size_t kRechecksAtOnce = 500;

// Both definitions of a table whose rows are read again.
struct Sides {
  TableName target;
  TableSchema source_schema, target_schema;
  std::vector<std::pair<uint32_t, uint32_t>> columns;  // source, target
};

Result<std::optional<Sides>> sides_of(const TableName& source, const TableMapping& mapping,
                                      mysql::Connection& source_catalog, mysql::Connection& target_catalog) {
  Sides sides;
  sides.target = mapping.target_of(source.database, source.table);
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
    if (column >= 0) sides.columns.emplace_back(static_cast<uint32_t>(column), i);
  }
  return std::optional<Sides>(std::move(sides));
}

// The row as the source has it now, written to the target; without it only the removal.
Result<std::string> rewrite_row(const Sides& sides, const std::string& condition, mysql::Connection& source) {
  const std::string table = mysql::quote_table(sides.target);
  std::string sql = "DELETE FROM " + table + " WHERE " + condition;
  const TableSchema& schema = sides.source_schema;
  const std::string query = "SELECT " + mysql::select_list(schema) + " FROM " +
                            mysql::quote_table(schema.database, schema.name) + " WHERE " + condition;
  std::vector<ValueView> values(schema.columns.size());
  SLUICE_TRY(source.stream(query, [&](const std::vector<mysql::Cell>& cells) -> Status {
    for (size_t i = 0; i < values.size(); ++i) SLUICE_TRY(mysql::decode_cell(schema.columns[i], cells[i], values[i]));
    std::string names, literals;
    for (const auto& [from, to] : sides.columns) {
      if (!names.empty()) names += ',', literals += ',';
      names += mysql::quote_name(sides.target_schema.columns[to].name);
      mysql::append_literal(literals, schema.columns[from], values[from]);
    }
    sql += ";REPLACE INTO " + table + " (" + names + ") VALUES (" + literals + ")";
    return {};
  }));
  return sql;
}

}  // namespace

Position Session::window_end() const {
  Position end = windows_.last_end();
  for (const Position& other : {net::from_proto(desired_.window_end()), extended_end_}) {
    if (compare_in_log(other, end) > 0) end = other;
  }
  // Nothing was copied, so there is nothing to wait for.
  if (end.empty() && windows_.empty() && desired_.follow_strictly()) return start_;
  return end;
}

// Everything up to the window's end is applied. Rows that the log could not tell are read again, which extends the
// window; when none is left the window is closed and the foreign keys can be added.
Status Session::close_window() {
  if (!window_closed_) {
    SLUICE_ASSIGN(auto* connection, control());
    SLUICE_ASSIGN(const auto rows, database::read_rechecks(*connection, job_.apply.owner, kRechecksAtOnce));
    if (!rows.empty()) return recheck(rows);
    window_closed_ = true;
    log::info(kLog, "the window is closed", {{"end", window_end().to_string()}});
  }
  if (!job_.context.spec().with_incremental()) {
    watermark_.pass(window_end());
    SLUICE_TRY(write_marker(window_end(), true, {}));
    job_.change([](IncrProgress& progress) { progress.window_closed = true; });
    finish(SessionEnd::kFinished);
    return {};
  }
  job_.change([](IncrProgress& progress) { progress.window_closed = true; });
  return desired_.follow_strictly() ? become_strict() : Status{};
}

Status Session::recheck(const std::vector<database::RecheckRow>& rows) {
  if (++recheck_rounds_ > kRoundsMax)
    return Error(ErrorCode::COPY_ROUNDS_EXHAUSTED, "rows of cascading foreign keys kept changing",
                 rows[0].table.to_string());
  SLUICE_ASSIGN(auto* source, source_data());
  SLUICE_ASSIGN(auto* source_names, source_catalog());
  SLUICE_ASSIGN(auto* target_names, target_catalog());
  std::map<TableName, std::optional<Sides>> tables;
  std::string sql, ids;
  for (const database::RecheckRow& row : rows) {
    ids += (ids.empty() ? "" : ",") + std::to_string(row.id);
    auto found = tables.find(row.table);
    if (found == tables.end()) {
      SLUICE_ASSIGN(auto sides, sides_of(row.table, job_.mapping, *source_names, *target_names));
      found = tables.emplace(row.table, std::move(sides)).first;
    }
    if (!found->second || row.key.empty()) continue;
    SLUICE_ASSIGN(std::string one, rewrite_row(*found->second, row.key[0], *source));
    sql += one + ";";
  }
  // Taken after the reading: nothing that was read is newer.
  SLUICE_ASSIGN(const Position end, mysql::end_position(*source_names));
  sql += "DELETE FROM " + mysql::quote_table(job_.apply.owner.meta_database, "recheck") +
         " WHERE project = " + mysql::quoted(job_.apply.owner.project) + " AND id IN (" + ids + ")";
  SLUICE_TRY(write_marker(end, false, sql));
  extended_end_ = end;
  for (const auto& [table, sides] : tables) windows_.extend(table, end);
  log::info(kLog, "rows behind cascading foreign keys were read again",
            {{"rows", rows.size()}, {"window_end", end.to_string()}});
  return advance();
}

// The foreign keys are in place: from here on the target does what the source did.
Status Session::become_strict() {
  SLUICE_TRY(write_marker(window_end(), true, {}));
  window_ = false;
  forget_definitions();
  log::info(kLog, "follows strictly", {{"from", watermark_.low().to_string()}});
  return advance();
}

}  // namespace sluice::agents
