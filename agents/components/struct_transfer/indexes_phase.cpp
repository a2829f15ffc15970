// Phase INDEXES: non-unique indexes that phase TABLES has left out, added to tables that are filled.
#include <algorithm>

#include "agents/components/struct_transfer/session.hpp"
#include "engines/mysql/dialect/create_table.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::struct_transfer {
namespace {

using database::TableRow;

bool has_index(const TableSchema& target, const std::string& name) {
  return std::any_of(target.keys.begin(), target.keys.end(), [&](const Key& key) { return key.name == name; });
}

}  // namespace

Status add_indexes(Session& s) {
  SLUICE_ASSIGN(auto rows, database::read_tables(*s.meta, s.owner));
  std::vector<TableName> targets;
  for (const TableRow& row : rows) targets.push_back(row.target);
  SLUICE_ASSIGN(auto schemas, s.target_schemas(targets));
  for (const TableRow& row : rows) {
    if (s.stop_desired()) return {};
    auto target = schemas.find(s.folded(row.target));
    if (target == schemas.end()) continue;
    auto shown = mysql::show_create_table(*s.source, row.source);
    if (!shown.ok() && shown.error().code() == ErrorCode::NOT_FOUND) continue;  // dropped; the log tells
    if (!shown.ok()) return shown.error();
    mysql::SplitOptions options;
    options.defer_indexes = true;
    SLUICE_ASSIGN(auto parts, mysql::split_create_table(*shown, row.source, s.mapping, options));
    std::string clauses;
    for (const mysql::IndexDefinition& index : parts.deferred_indexes)
      if (!has_index(target->second, index.name)) clauses += (clauses.empty() ? "ADD " : ", ADD ") + index.text;
    if (!clauses.empty())
      SLUICE_TRY(s.exec("ALTER TABLE " + mysql::quote_table(row.target) + " " + clauses, row.target.to_string()));
    s.report(row.source, row.target, "INDEXED");
  }
  return {};
}

}  // namespace sluice::agents::struct_transfer
