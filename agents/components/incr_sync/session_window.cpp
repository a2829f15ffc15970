// Session: the end of the copy's window (exactness.md section 3).
#include <algorithm>
#include <map>
#include <set>

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
constexpr int64_t kSmallLagMs = 2000;
constexpr int kCatchUpRounds = 5;

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

// Everything up to the window's end is applied. Rows that the log could not tell are read again first; when none is
// left the window is closed and the foreign keys can be added.
Status Session::close_window() {
  if (!window_closed_) {
    if (!snapshot_ && !orphans_recorded_) SLUICE_TRY(record_orphans());
    SLUICE_ASSIGN(auto* connection, control());
    SLUICE_ASSIGN(const auto rows, database::read_rechecks(*connection, job_.apply.owner, kRechecksAtOnce));
    if (!rows.empty()) return snapshot_ ? recheck_all() : prepare_recheck(rows);
    end_snapshot();
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
  // Tables that were copied again have no foreign keys until the coordinator, which must know of the copies, says so.
  return desired_.follow_strictly() && job_.asked.empty() ? become_strict() : Status{};
}

void Session::end_snapshot() {
  if (snapshot_ && snapshot_->alive()) (void)snapshot_->exec("COMMIT");
  snapshot_.reset();
}

// Rows are waiting to be read again. A snapshot of the source at a known position S makes one reading enough, however
// the source changes meanwhile: the window goes on to S, and what was recorded up to there is read as it was at S. The
// snapshot is opened when little is left to apply, so that it is short. A source without such snapshots is read as it
// is, again and again until nothing is left.
Status Session::prepare_recheck(const std::vector<database::RecheckRow>& rows) {
  if (Clock::now() < recheck_not_before_) return {};
  SLUICE_ASSIGN(auto* source, source_catalog());
  if (!source->version().mariadb) return recheck(rows, nullptr);
  if (lag_ms(job_.sample(), Clock::now()) > kSmallLagMs && ++recheck_rounds_ <= kCatchUpRounds) {
    SLUICE_ASSIGN(extended_end_, mysql::end_position(*source));
    return advance();
  }
  SLUICE_ASSIGN(snapshot_, mysql::Connection::open(job_.source, {}));
  auto position = mysql::open_snapshot(*snapshot_);
  if (!position.ok()) {
    snapshot_.reset();
    if (position.error().code() != ErrorCode::XA_PENDING) return position.error();
    recheck_not_before_ = Clock::now() + std::chrono::seconds(1);
    return {};
  }
  // A transaction that stands in the log may not be visible yet; a snapshot without what is applied already is too old.
  const Position& low = watermark_.low();
  if (compare_in_log(*position, low) < 0 && (low.gtids.empty() || position->gtids != low.gtids)) {
    end_snapshot();
    recheck_not_before_ = Clock::now() + std::chrono::milliseconds(50);
    return {};
  }
  if (compare_in_log(*position, extended_end_) > 0) extended_end_ = *position;
  return advance();
}

// A cascade that went through a row which was copied after it leaves rows behind that refer to nothing.
Status Session::record_orphans() {
  orphans_recorded_ = true;
  SLUICE_ASSIGN(auto* source, source_catalog());
  SLUICE_ASSIGN(auto* target, target_catalog());
  for (const database::TableRow& row : tables_) {
    auto schema = TableSchema::decode(row.definition);
    if (!schema.ok()) continue;
    for (const ForeignKey& key : schema->foreign_keys) {
      if (!key.changes_child() || !job_.mapping.includes(key.referenced_database, key.referenced_table)) continue;
      SLUICE_TRY(definitions_.know({key.referenced_database, key.referenced_table}, *target, source));
    }
  }
  SLUICE_ASSIGN(auto* connection, control());
  SLUICE_ASSIGN(const auto rows, database::orphans(*connection, *definitions_.cascades()));
  for (size_t i = 0; i < rows.size(); i += kRechecksAtOnce) {
    const std::vector<database::RecheckRow> part(
        rows.begin() + static_cast<long>(i),
        rows.begin() + static_cast<long>(std::min(rows.size(), i + kRechecksAtOnce)));
    std::string sql;
    SLUICE_TRY(database::add_rechecks_sql(sql, job_.apply.owner, part));
    SLUICE_TRY(job_.apply.lease->check());
    SLUICE_TRY(connection->exec(sql));
  }
  return {};
}

// All that was recorded up to the snapshot, and what may hang below it.
Status Session::recheck_all() {
  SLUICE_TRY(record_orphans());
  while (true) {
    SLUICE_ASSIGN(auto* connection, control());
    SLUICE_ASSIGN(const auto rows, database::read_rechecks(*connection, job_.apply.owner, kRechecksAtOnce));
    if (rows.empty()) break;
    SLUICE_TRY(recheck(rows, snapshot_.get()));
  }
  return advance();
}

// `snapshot` is a connection that sees the source at the window's end, or null: then the window goes on to a later one.
Status Session::recheck(const std::vector<database::RecheckRow>& rows, mysql::Connection* snapshot) {
  mysql::Connection* source = snapshot;
  if (source == nullptr) {
    if (++recheck_rounds_ > kRoundsMax)
      return Error(ErrorCode::COPY_ROUNDS_EXHAUSTED, "rows of cascading foreign keys kept changing",
                   rows[0].table.to_string());
    SLUICE_ASSIGN(source, source_data());
  }
  SLUICE_ASSIGN(auto* source_names, source_catalog());
  SLUICE_ASSIGN(auto* target_names, target_catalog());
  std::map<TableName, std::optional<Sides>> tables;
  std::set<std::pair<TableName, std::string>> done;
  std::string sql, ids;
  auto add = [&](const database::RecheckRow& row) -> Status {
    auto found = tables.find(row.table);
    if (found == tables.end()) {
      SLUICE_ASSIGN(auto sides, sides_of(row.table, job_.mapping, *source_names, *target_names));
      found = tables.emplace(row.table, std::move(sides)).first;
    }
    if (!found->second || row.key.empty() || !done.insert({row.table, row.key[0]}).second) return {};
    SLUICE_ASSIGN(std::string one, rewrite_row(*found->second, row.key[0], *source));
    sql += one + ";";
    return {};
  };
  SLUICE_ASSIGN(auto* connection, control());
  for (const database::RecheckRow& row : rows) {
    ids += (ids.empty() ? "" : ",") + std::to_string(row.id);
    SLUICE_TRY(add(row));
    if (row.key.empty()) continue;
    SLUICE_TRY(definitions_.know(row.table, *target_names, source_names));
    SLUICE_ASSIGN(const auto below,
                  database::rows_below(*connection, *definitions_.cascades(),
                                       job_.mapping.target_of(row.table.database, row.table.table), row.key[0]));
    for (const database::RecheckRow& one : below) SLUICE_TRY(add(one));
  }
  Position end = extended_end_;
  if (snapshot == nullptr) {  // taken after the reading: nothing that was read is newer
    SLUICE_ASSIGN(end, mysql::end_position(*source_names));
  }
  sql += "DELETE FROM " + mysql::quote_table(job_.apply.owner.meta_database, "recheck") +
         " WHERE project = " + mysql::quoted(job_.apply.owner.project) + " AND id IN (" + ids + ")";
  SLUICE_TRY(write_marker(end, false, sql));
  extended_end_ = end;
  for (const auto& [table, sides] : tables) windows_.extend(table, end);
  log::info(kLog, "rows behind cascading foreign keys were read again",
            {{"rows", done.size()}, {"window_end", end.to_string()}});
  return snapshot == nullptr ? advance() : Status{};
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
