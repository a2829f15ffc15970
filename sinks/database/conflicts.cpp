// Rows of conflicts, and their totals. A total has a row per writer, so that two writers never wait for each other.
#include <algorithm>
#include <array>

#include "sinks/database/bookkeeping_sql.hpp"

namespace sluice::database {
namespace {

constexpr std::array<std::string_view, 3> kPolicies{"STOP", "OVERWRITE", "SKIP"};
constexpr size_t kMaxKey = 64 << 10, kMaxCause = 4096, kMaxPosition = 512;  // bytes

std::string where_project(const Owner& owner) { return " WHERE project = " + mysql::quoted(owner.project); }

std::string values_of(const Owner& owner, const ConflictRow& row) {
  // A condition that is cut would name other rows: none instead, and the whole table counts.
  const std::string_view key = row.key.size() <= kMaxKey ? std::string_view(row.key) : std::string_view();
  std::string values = "(" + mysql::quoted(owner.project);
  for (const std::string_view text :
       {std::string_view(row.table.database), std::string_view(row.table.table), key, std::string_view(row.kind),
        kPolicies[static_cast<size_t>(row.policy)], std::string_view(row.position).substr(0, kMaxPosition),
        std::string_view(row.cause).substr(0, kMaxCause)}) {
    values += ", " + mysql::quoted(text);
  }
  return values + ")";
}

Result<ConflictPolicy> policy_of(const std::string& text) {
  for (size_t i = 0; i < kPolicies.size(); ++i) {
    if (kPolicies[i] == text) return static_cast<ConflictPolicy>(i);
  }
  return Error(ErrorCode::CORRUPTED, "the bookkeeping holds the unknown policy '" + text + "'");
}

Result<std::pair<uint64_t, uint64_t>> sums(mysql::Connection& connection, const Owner& owner) {
  SLUICE_ASSIGN(auto found, connection.query("SELECT COALESCE(SUM(total), 0), COALESCE(SUM(skipped), 0) FROM " +
                                             sql::table(owner, "conflict_count") + where_project(owner)));
  SLUICE_ASSIGN(const uint64_t total, sql::number_of(found.rows[0][0]));
  SLUICE_ASSIGN(const uint64_t skipped, sql::number_of(found.rows[0][1]));
  return std::pair(total, skipped);
}

}  // namespace

Status record_conflicts(mysql::Connection& connection, const Owner& owner, uint32_t slot,
                        const std::vector<ConflictRow>& rows, uint64_t total, uint64_t skipped) {
  if (total == 0) return {};
  SLUICE_ASSIGN(const auto before, sums(connection, owner));
  std::string values;
  uint64_t room = kConflictsKept - std::min(kConflictsKept, before.first);
  for (const ConflictRow& row : rows) {
    if (room-- == 0) break;
    values += (values.empty() ? "" : ", ") + values_of(owner, row);
  }
  if (!values.empty())
    SLUICE_TRY(connection.exec("INSERT INTO " + sql::table(owner, "conflict") +
                               " (project, source_database, source_table, row_key, kind, policy, position, cause) "
                               "VALUES " +
                               values));
  SLUICE_TRY(connection.exec("INSERT INTO " + sql::table(owner, "conflict_count") +
                             " (project, component, slot, total, skipped) VALUES (" + mysql::quoted(owner.project) +
                             ", " + mysql::quoted(owner.component) + ", " + std::to_string(slot) + ", " +
                             std::to_string(total) + ", " + std::to_string(skipped) +
                             ") ON DUPLICATE KEY UPDATE total = total + VALUES(total), skipped = skipped + "
                             "VALUES(skipped)"));
  return {};
}

Result<std::vector<ConflictRow>> read_conflicts(mysql::Connection& connection, const Owner& owner, size_t limit) {
  SLUICE_ASSIGN(auto found, connection.query("SELECT source_database, source_table, row_key, kind, policy, position, "
                                             "cause FROM " +
                                             sql::table(owner, "conflict") + where_project(owner) +
                                             " ORDER BY id LIMIT " + std::to_string(limit)));
  std::vector<ConflictRow> rows;
  for (const auto& cells : found.rows) {
    ConflictRow row;
    row.table = {sql::text_of(cells[0]), sql::text_of(cells[1])};
    row.key = sql::text_of(cells[2]);
    row.kind = sql::text_of(cells[3]);
    SLUICE_ASSIGN(row.policy, policy_of(sql::text_of(cells[4])));
    row.position = sql::text_of(cells[5]);
    row.cause = sql::text_of(cells[6]);
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<ConflictTotals> read_conflict_totals(mysql::Connection& connection, const Owner& owner) {
  SLUICE_ASSIGN(const auto all, sums(connection, owner));
  ConflictTotals totals{all.first, all.second, 0};
  SLUICE_ASSIGN(auto found,
                connection.query("SELECT COUNT(*) FROM " + sql::table(owner, "conflict") + where_project(owner)));
  SLUICE_ASSIGN(totals.kept, sql::number_of(found.rows[0][0]));
  return totals;
}

}  // namespace sluice::database
