// The objects in scope.
#include <algorithm>

#include "agents/components/precheck/checks.hpp"
#include "core/ascii.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::precheck {
namespace {

// A pattern that names nothing is a slip of the pen, unless it is a wildcard for tables that are still to come.
Result<Outcome> scope(Facts& facts) {
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  std::vector<std::string> named, wild;
  for (const std::string& text : facts.mapping.include_patterns()) {
    SLUICE_ASSIGN(const TableName pattern, parse_table_pattern(text));
    const bool found = std::any_of(tables->begin(), tables->end(), [&](const mysql::TableInfo& info) {
      return matches_pattern(pattern.database, info.name.database) && matches_pattern(pattern.table, info.name.table);
    });
    if (found) continue;
    (text.find_first_of("*?") == std::string::npos ? named : wild).push_back(text);
  }
  const bool follows = facts.has_step("INCR_TRANSFER");
  if (!follows) named.insert(named.end(), wild.begin(), wild.end());
  const std::string cure = "Look at the names (their case counts), at --exclude and at the user's privileges";
  if (!named.empty())
    return failed(ErrorCode::NOT_FOUND, "these patterns match nothing on the source: " + some_of(named), cure,
                  named.front());
  if (tables->empty())
    return failed(ErrorCode::NOT_FOUND, "no table, view or sequence is in the project's scope", cure,
                  wild.empty() ? std::string() : wild.front());
  if (!wild.empty()) return warning("these patterns match nothing on the source yet: " + some_of(wild), cure);
  return passed();
}

Result<Outcome> tables_supported(Facts& facts) {
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  Findings found;
  for (const mysql::TableInfo& info : *tables) {
    std::string engine = ascii::lower(info.engine);
    bool without_rows = false;
    for (std::string_view e : {"blackhole", "mrg_myisam", "federated", "connect", "spider", "s3", "sphinx", "oqgraph"})
      without_rows = without_rows || engine == e;
    if (info.is_table() && without_rows) found.emplace_back(info.name, info.engine);
    if (info.type == "SYSTEM VERSIONED") found.emplace_back(info.name, "system versioned");
  }
  if (found.empty()) return passed();
  return failed(ErrorCode::UNSUPPORTED, "these tables cannot be carried over exactly", found,
                "Leave them out with --exclude");
}

Result<Outcome> tables_transactional(Facts& facts) {
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  Findings keyed, keyless;
  for (const mysql::TableInfo& info : *tables) {
    if (!info.is_table()) continue;
    auto schema = schemas->find(info.name);
    const bool has_key = schema != schemas->end() && schema->second.row_key() != nullptr;
    // Only InnoDB's snapshots are tied to a position of the log.
    if (!has_key && ascii::lower(info.engine) != "innodb") keyless.emplace_back(info.name, info.engine);
    if (has_key && !info.transactional()) keyed.emplace_back(info.name, info.engine);
  }
  const std::string cure = "ALTER TABLE … ENGINE=InnoDB on the source";
  if (!keyless.empty())
    return failed(ErrorCode::UNSUPPORTED, "tables without a key need a snapshot, and their engine has none", keyless,
                  cure);
  if (!keyed.empty())
    return warning(
        "the source's engine is not transactional, a statement that fails half-way stays half done there; "
        "the target uses InnoDB",
        keyed, cure);
  return passed();
}

Result<Outcome> tables_without_key(Facts& facts) {
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  Findings found;
  for (const auto& [name, schema] : *schemas)
    if (schema.row_key() == nullptr) found.emplace_back(name);
  if (found.empty()) return passed();
  return warning(
      "tables without a primary key or a unique key over NOT NULL columns are copied in one long "
      "transaction and followed row by row",
      found, "Add a primary key to each of them");
}

Result<Outcome> key_types(Facts& facts) {
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  std::vector<std::string> names;
  for (const auto& [name, schema] : *schemas) {
    const Key* key = schema.row_key();
    if (key == nullptr) continue;
    for (const KeyPart& part : key->parts) {
      if (part.column >= schema.columns.size()) continue;
      ColumnType type = schema.columns[part.column].type;
      if (type == ColumnType::kFloat || type == ColumnType::kDouble)
        names.push_back(name.to_string() + "." + schema.columns[part.column].name);
    }
  }
  if (names.empty()) return passed();
  return warning("approximate numbers are part of a key: " + some_of(names), "Use DECIMAL or an integer in keys");
}

Result<Outcome> foreign_keys_cross_scope(Facts& facts) {
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  Findings cascading, plain;
  for (const auto& [name, schema] : *schemas) {
    for (const ForeignKey& key : schema.foreign_keys) {
      if (facts.mapping.includes(key.referenced_database, key.referenced_table)) continue;
      (key.changes_child() ? cascading : plain)
          .emplace_back(name, key.name + " to " + key.referenced_database + "." + key.referenced_table);
    }
  }
  if (!cascading.empty())
    return failed(
        ErrorCode::UNSUPPORTED,
        "the source does not log what CASCADE and SET NULL change in these tables, and the parent is not part "
        "of the project",
        cascading, "Include the parent tables, or exclude these");
  if (!plain.empty())
    return warning("foreign keys to tables that are not part of the project are left out", plain,
                   "Include the parent tables");
  return passed();
}

Result<Outcome> triggers_on_target(Facts& facts) {
  if (facts.spec.truncate_target()) return passed("tables that exist are dropped with their triggers");
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  SLUICE_ASSIGN(const auto databases, facts.target_databases());
  std::set<TableName> targets;
  for (const mysql::TableInfo& info : *tables) {
    if (!info.is_table()) continue;
    SLUICE_ASSIGN(TableName target, facts.folded(facts.mapping.target_of(info.name)));
    targets.insert(std::move(target));
  }
  std::vector<std::string> names;
  std::string cure;
  for (const std::string& database : databases) {
    SLUICE_ASSIGN(auto found, facts.target->query("SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM "
                                                  "information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = " +
                                                  mysql::quoted(database)));
    for (const auto& row : found.rows) {
      SLUICE_ASSIGN(const TableName target, facts.folded({database, row[0].value_or("")}));
      if (targets.count(target) == 0) continue;
      names.push_back(database + "." + row[1].value_or(""));
      cure += "DROP TRIGGER " + mysql::quote_table(database, row[1].value_or("")) + "; ";
    }
  }
  if (names.empty()) return passed();
  return failed(ErrorCode::PRECHECK_FAILED, "triggers on the target would change rows a second time: " + some_of(names),
                cure, names.front());
}

Result<Outcome> lower_case_table_names(Facts& facts) {
  SLUICE_ASSIGN(const std::string from, variable_or_empty(*facts.source, "lower_case_table_names"));
  SLUICE_ASSIGN(const std::string to, variable_or_empty(*facts.target, "lower_case_table_names"));
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  std::map<TableName, TableName> seen;
  for (const mysql::TableInfo& info : *tables) {
    TableName target = facts.mapping.target_of(info.name);
    SLUICE_ASSIGN(target, facts.folded(std::move(target)));
    auto [at, fresh] = seen.emplace(target, info.name);
    if (!fresh)
      return failed(ErrorCode::INVALID_ARGUMENT,
                    at->second.to_string() + " and " + info.name.to_string() + " have the same name on the target",
                    "Rename one of them with --rename", target.to_string());
  }
  if (from == to) return passed();
  return warning("lower_case_table_names is " + from + " on the source and " + to +
                     " on the target: names may be written in other letters there",
                 "");
}

Result<Outcome> target_charsets(Facts& facts) {
  std::set<std::string> known;
  // Newer MariaDB servers keep the whole names of some collations only in the second table.
  for (const char* query :
       {"SELECT COLLATION_NAME FROM information_schema.COLLATIONS",
        "SELECT FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"}) {
    auto found = facts.target->query(query);
    if (!found.ok() && !facts.target->alive()) return found.error();
    if (!found.ok()) continue;
    for (const auto& row : found->rows) known.insert(mysql::modern_name(row[0].value_or("")));
  }
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  std::map<std::string, std::string> unknown;  // collation -> first user
  auto use = [&](const std::string& collation, const std::string& user) {
    if (!collation.empty() && known.count(mysql::modern_name(collation)) == 0) unknown.emplace(collation, user);
  };
  for (const auto& [name, schema] : *schemas)
    for (const Column& column : schema.columns) use(column.collation, name.to_string() + "." + column.name);
  for (const mysql::TableInfo& info : *tables)
    if (info.is_table()) use(info.collation, info.name.to_string());
  if (unknown.empty()) return passed();
  Findings found;
  for (const auto& [collation, user] : unknown) found.emplace_back(user, collation + " (" + user + ")");
  return failed(ErrorCode::UNSUPPORTED, "the target does not know these collations", found,
                "Change the columns to a collation that both servers know, or use a newer target");
}

}  // namespace

const std::vector<Check> kTableChecks = {
    {"SCOPE", scope, true, false},
    {"TABLES_SUPPORTED", tables_supported, true, false},
    {"TABLES_TRANSACTIONAL", tables_transactional, true, false},
    {"TABLES_WITHOUT_KEY", tables_without_key, true, false},
    {"KEY_TYPES", key_types, true, false},
    {"FOREIGN_KEYS_CROSS_SCOPE", foreign_keys_cross_scope, true, false},
    {"TRIGGERS_ON_TARGET", triggers_on_target, true, true},
    {"LOWER_CASE_TABLE_NAMES", lower_case_table_names, true, true},
    {"TARGET_CHARSETS", target_charsets, true, true},
};

}  // namespace sluice::agents::precheck
