// Phase INDEXES: the indexes that phase TABLES has left out, added to tables that are filled, before the log is
// followed.
//
// They come from the text of which the table was created: the source may have others by now, and its changes come
// through the log. A table that was copied anew since has all of its indexes.
#include <algorithm>

#include "agents/components/struct_transfer/session.hpp"
#include "core/log.hpp"
#include "engines/mysql/dialect/create_table.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::struct_transfer {
namespace {

using database::TableRow;

constexpr std::string_view kLog = "struct_transfer";

const Key* find_key(const TableSchema& schema, const std::string& name) {
  auto found = std::find_if(schema.keys.begin(), schema.keys.end(), [&](const Key& key) { return key.name == name; });
  return found == schema.keys.end() ? nullptr : &*found;
}

std::vector<std::pair<std::string, uint32_t>> parts_of(const TableSchema& schema, const Key& key) {
  std::vector<std::pair<std::string, uint32_t>> parts;
  for (const KeyPart& part : key.parts)
    parts.emplace_back(part.column < schema.columns.size() ? schema.columns[part.column].name : std::string(),
                       part.prefix_length);
  return parts;
}

// The target must end with the source's indexes, no more and no less.
Status compare_indexes(const TableSchema& source, const TableSchema& target, const TableName& name) {
  for (const Key& key : source.keys) {
    const Key* found = find_key(target, key.name);
    if (found == nullptr || found->unique != key.unique || parts_of(source, key) != parts_of(target, *found))
      return Error(ErrorCode::UNSUPPORTED, "the target has not got the index " + key.name + " as the source has it",
                   name.to_string());
  }
  for (const Key& key : target.keys)
    if (find_key(source, key.name) == nullptr)
      return Error(ErrorCode::UNSUPPORTED, "the target has an index that the source has not: " + key.name,
                   name.to_string());
  return {};
}

Status add_missing(Session& s, const TableRow& row, const TableSchema& target) {
  mysql::SplitOptions options;
  options.defer_indexes = true;
  SLUICE_ASSIGN(auto parts, mysql::split_create_table(row.created_from, row.source, s.mapping, options));
  std::string clauses;
  for (const mysql::IndexDefinition& index : parts.deferred_indexes)
    if (find_key(target, index.name) == nullptr) clauses += (clauses.empty() ? "ADD " : ", ADD ") + index.text;
  if (clauses.empty()) return {};
  log::info(kLog, "adds indexes", {{"table", row.target.to_string()}});
  return s.exec("ALTER TABLE " + mysql::quote_table(row.target) + " " + clauses, row.target.to_string());
}

}  // namespace

Status add_indexes(Session& s) {
  SLUICE_ASSIGN(auto rows, database::read_tables(*s.meta, s.owner));
  std::erase_if(rows, [](const TableRow& row) { return row.created_from.empty(); });  // not ours to change
  std::vector<TableName> targets;
  for (const TableRow& row : rows) targets.push_back(row.target);
  SLUICE_ASSIGN(auto before, s.target_schemas(targets));
  for (const TableRow& row : rows) {
    if (s.stop_desired()) return {};
    auto target = before.find(s.folded(row.target));
    if (target == before.end()) continue;  // gone from the source before it was copied
    SLUICE_TRY(add_missing(s, row, target->second));
    s.report(row.source, row.target, "INDEXED");
  }
  SLUICE_ASSIGN(auto after, s.target_schemas(targets));
  for (const TableRow& row : rows) {
    auto target = after.find(s.folded(row.target));
    if (target == after.end()) continue;
    SLUICE_ASSIGN(const TableSchema source, TableSchema::decode(row.definition));
    SLUICE_TRY(compare_indexes(source, target->second, row.target));
  }
  return {};
}

}  // namespace sluice::agents::struct_transfer
