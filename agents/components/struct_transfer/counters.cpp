// AUTO_INCREMENT values and sequences: carried to at least the source's, when the foreign keys are added and once more
// after the last change of the log. The log does not tell all of them: a value that a rolled-back insert has used up is
// gone on the source too.
#include <cstdlib>

#include "agents/components/struct_transfer/session.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::struct_transfer {
namespace {

// Next AUTO_INCREMENT values by name.
Result<std::map<TableName, uint64_t>> counters(mysql::Connection& connection, const std::set<std::string>& databases) {
  std::map<TableName, uint64_t> values;
  // MySQL 8 answers from a cache unless told otherwise; other servers do not know the variable.
  if (!connection.version().mariadb) {
    auto set = connection.exec("SET SESSION information_schema_stats_expiry = 0");
    if (!set.ok() && !connection.alive()) return set.error();
  }
  for (const std::string& database : databases) {
    SLUICE_ASSIGN(auto found, connection.query("SELECT TABLE_SCHEMA, TABLE_NAME, AUTO_INCREMENT FROM "
                                               "information_schema.TABLES WHERE AUTO_INCREMENT IS NOT NULL AND "
                                               "TABLE_SCHEMA = " +
                                               mysql::quoted(database)));
    for (auto& row : found.rows)
      values[{row[0].value_or(""), row[1].value_or("")}] = std::strtoull(row[2].value_or("0").c_str(), nullptr, 10);
  }
  return values;
}

Status carry_auto_increments(Session& s, const std::vector<mysql::TableInfo>& infos) {
  std::set<std::string> from, to;
  for (const mysql::TableInfo& info : infos) {
    from.insert(info.name.database);
    to.insert(s.mapping.target_of(info.name).database);
  }
  SLUICE_ASSIGN(auto source, counters(*s.source, from));
  SLUICE_ASSIGN(auto found, counters(*s.ddl, to));
  std::map<TableName, uint64_t> present;
  for (const auto& [name, value] : found) present[s.folded(name)] = value;
  for (const auto& [name, value] : source) {
    if (!s.mapping.includes(name)) continue;
    TableName target = s.mapping.target_of(name);
    auto now = present.find(s.folded(target));
    if (now == present.end() || now->second >= value) continue;
    SLUICE_TRY(s.exec("ALTER TABLE " + mysql::quote_table(target) + " AUTO_INCREMENT = " + std::to_string(value),
                      target.to_string()));
  }
  return {};
}

Status carry_sequence(Session& s, const TableName& name, const TableName& target) {
  auto found = s.source->query("SELECT next_not_cached_value, cycle_count FROM " + mysql::quote_table(name));
  if (!found.ok() && found.error().code() == ErrorCode::NOT_FOUND) return {};  // dropped just now
  if (!found.ok()) return found.error().with_object(name.to_string());
  const auto& cells = found->rows.at(0);
  // SETVAL never goes back. It answers a row, so it is a query.
  SLUICE_TRY(s.context.lease()->check());
  auto set = s.ddl->query("SELECT SETVAL(" + mysql::quote_table(target) + ", " + cells[0].value_or("0") + ", 0, " +
                          cells[1].value_or("0") + ")");
  if (!set.ok()) return set.error().with_object(target.to_string());
  return {};
}

Status carry_sequences(Session& s, const std::vector<mysql::TableInfo>& infos) {
  std::set<std::string> databases;
  for (const mysql::TableInfo& info : infos)
    if (info.type == "SEQUENCE") databases.insert(s.mapping.target_of(info.name).database);
  SLUICE_ASSIGN(const auto existing, s.existing(databases));
  for (const mysql::TableInfo& info : infos) {
    if (info.type != "SEQUENCE") continue;
    const TableName target = s.mapping.target_of(info.name);
    if (existing.count(s.folded(target)) == 0) {
      s.warn("sequence " + target.to_string() + " does not exist on the target");
      continue;
    }
    SLUICE_TRY(carry_sequence(s, info.name, target));
  }
  return {};
}

}  // namespace

Status carry_counters(Session& s) {
  SLUICE_ASSIGN(const auto infos, mysql::list_tables(*s.source, s.mapping));
  SLUICE_TRY(carry_auto_increments(s, infos));
  return carry_sequences(s, infos);
}

}  // namespace sluice::agents::struct_transfer
