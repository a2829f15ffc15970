// Definitions of the source that the target could not take, or that would not mean the same there: said before hours of
// copying instead of behind them.
#include <algorithm>

#include "agents/components/precheck/checks.hpp"
#include "engines/mysql/dialect/fold.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::precheck {
namespace {

// MyISAM counts per group when the column is not the first of a key; InnoDB refuses such a table (1075).
Result<Outcome> auto_increment_keys(Facts& facts) {
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  Findings found;
  for (const auto& [name, schema] : *schemas) {
    for (size_t column = 0; column < schema.columns.size(); ++column) {
      if (!schema.columns[column].auto_increment) continue;
      const bool first = std::any_of(schema.keys.begin(), schema.keys.end(), [&](const Key& key) {
        return !key.parts.empty() && key.parts.front().column == column;
      });
      if (!first) found.emplace_back(name, schema.columns[column].name);
    }
  }
  if (found.empty()) return passed();
  return failed(ErrorCode::UNSUPPORTED, "an AUTO_INCREMENT column must be the first of a key in InnoDB, and is not",
                found, "ALTER TABLE … ADD KEY (the column) on the source, or leave the table out with --exclude");
}

// InnoDB knows foreign keys by database and name, without regard to the case of either.
Result<Outcome> foreign_key_names(Facts& facts) {
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  std::map<std::pair<std::string, std::string>, std::string> seen;  // target database, key -> table
  Findings found;
  for (const auto& [name, schema] : *schemas) {
    SLUICE_ASSIGN(const TableName target, facts.folded(facts.mapping.target_of(name)));
    for (const ForeignKey& key : schema.foreign_keys) {
      if (!facts.mapping.includes(key.referenced_database, key.referenced_table)) continue;
      const auto [at, fresh] =
          seen.emplace(std::pair(mysql::fold_name(target.database), mysql::fold_name(key.name)), name.to_string());
      if (!fresh) found.emplace_back(name.to_string(), name.to_string() + " and " + at->second + " (" + key.name + ")");
    }
  }
  if (found.empty()) return passed();
  return failed(ErrorCode::ALREADY_EXISTS, "foreign keys get the same name in one database of the target", found,
                "Give one of them another name on the source, or move the databases to different ones");
}

// Columns whose value the server works out when a row is written, in the time zone of whoever writes.
Result<Outcome> generated_time_zone(Facts& facts) {
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  SLUICE_ASSIGN(const auto* databases, facts.databases());
  Findings found;
  for (const std::string& database : *databases) {
    SLUICE_ASSIGN(const auto generated,
                  facts.source->query("SELECT TABLE_NAME, COLUMN_NAME, GENERATION_EXPRESSION FROM "
                                      "information_schema.COLUMNS WHERE TABLE_SCHEMA = " +
                                      mysql::quoted(database) +
                                      " AND (EXTRA LIKE '%STORED GENERATED%' OR EXTRA LIKE '%PERSISTENT%')"));
    for (const auto& row : generated.rows) {
      const TableName name{database, row[0].value_or("")};
      const auto schema = schemas->find(name);
      if (schema == schemas->end()) continue;
      const std::string expression = mysql::fold_name(row[2].value_or(""));
      bool depends = expression.find("from_unixtime") != std::string::npos ||
                     expression.find("unix_timestamp") != std::string::npos;
      for (const Column& column : schema->second.columns)
        depends = depends || (column.type == ColumnType::kTimestamp &&
                              expression.find(mysql::fold_name(mysql::quote_name(column.name))) != std::string::npos);
      const std::string object = name.to_string() + "." + row[1].value_or("");
      if (depends) found.emplace_back(object, object);
    }
  }
  if (found.empty()) return passed();
  return failed(ErrorCode::UNSUPPORTED,
                "stored generated columns depend on the time zone of the session that writes, and Sluice writes in UTC",
                found,
                "Make them VIRTUAL, or use DATETIME instead of TIMESTAMP; where every session of the source is in UTC, "
                "--skip-check GENERATED_TIME_ZONE");
}

// A key over a period ends with the two columns of the period; only the definition's text tells it from others.
bool may_be_over_period(const TableSchema& schema) {
  return std::any_of(schema.keys.begin(), schema.keys.end(), [&](const Key& key) {
    if (!key.unique || key.parts.size() < 2) return false;
    return std::all_of(key.parts.end() - 2, key.parts.end(), [&](const KeyPart& part) {
      if (part.column >= schema.columns.size()) return false;
      const ColumnType type = schema.columns[part.column].type;
      return type == ColumnType::kDate || type == ColumnType::kDatetime || type == ColumnType::kTimestamp;
    });
  });
}

Result<Outcome> without_overlaps(Facts& facts) {
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  Findings found;
  for (const auto& [name, schema] : *schemas) {
    if (!may_be_over_period(schema)) continue;
    SLUICE_ASSIGN(const std::string text, mysql::show_create_table(*facts.source, name));
    if (text.find("` WITHOUT OVERLAPS)") != std::string::npos) found.emplace_back(name);
  }
  if (found.empty()) return passed();
  return failed(ErrorCode::UNSUPPORTED,
                "the server takes no REPLACE in tables with a key WITHOUT OVERLAPS, which an exact copy needs", found,
                "Leave them out with --exclude");
}

}  // namespace

const std::vector<Check> kDefinitionChecks = {
    {"AUTO_INCREMENT_KEYS", auto_increment_keys, true, false},
    {"FOREIGN_KEY_NAMES", foreign_key_names, true, true},
    {"GENERATED_TIME_ZONE", generated_time_zone, true, false},
    {"WITHOUT_OVERLAPS", without_overlaps, true, false},
};

}  // namespace sluice::agents::precheck
