#include "agents/components/checker/table_pair.hpp"

#include <algorithm>

#include "engines/mysql/catalog.hpp"
#include "engines/mysql/dialect/fold.hpp"

namespace sluice::agents::checker {
namespace {

const Column* find_column(const TableSchema& schema, const std::string& name) {
  const auto found = std::find_if(schema.columns.begin(), schema.columns.end(),
                                  [&](const Column& column) { return mysql::same_name(column.name, name); });
  return found == schema.columns.end() ? nullptr : &*found;
}

bool has_charset(const Column& column) {
  return column.is_character() || column.type == ColumnType::kEnum || column.type == ColumnType::kSet;
}

bool is_indexed(const TableSchema& schema, const Column& column) {
  return std::any_of(schema.keys.begin(), schema.keys.end(), [&](const Key& key) {
    return std::any_of(key.parts.begin(), key.parts.end(), [&](const KeyPart& part) {
      return part.column != KeyPart::kExpression && schema.columns[part.column].name == column.name;
    });
  });
}

// Bytes are compared where they mean the same on both sides, else characters.
bool needs_conversion(const Column& source, const Column& target) {
  if (!has_charset(source) || !has_charset(target)) return false;
  const bool text = source.is_character() && target.is_character();
  return text ? source.charset != target.charset : source.type != target.type || source.labels != target.labels;
}

// The index that holds the row key on the target; without one the server has to search.
std::string index_name(const TableSchema& target, const std::vector<std::string>& columns) {
  for (const Key& key : target.keys) {
    if (key.parts.size() < columns.size() || key.hash || key.ignored) continue;
    bool matches = true;
    for (size_t i = 0; matches && i < columns.size(); ++i) {
      const KeyPart& part = key.parts[i];
      matches = part.column != KeyPart::kExpression && part.prefix_length == 0 &&
                mysql::same_name(target.columns[part.column].name, columns[i]);
    }
    if (matches) return key.name;
  }
  return {};
}

// Gives both sides the source's range key, when both have its columns and order them alike.
void set_key(TablePair& pair, const TableSchema& source, const TableSchema& target) {
  const Key* key = source.range_key();
  if (key == nullptr) return;
  Key source_key, target_key;
  source_key.name = key->name;
  source_key.unique = source_key.primary = target_key.unique = target_key.primary = true;
  std::vector<std::string> names;
  for (const KeyPart& part : key->parts) {
    const int at = pair.source.column_index(source.columns[part.column].name);
    if (at < 0) return;
    const Column& a = pair.source.columns[static_cast<size_t>(at)];
    const Column& b = pair.target.columns[static_cast<size_t>(at)];
    if (a.type != b.type || a.collation != b.collation || a.labels != b.labels) return;
    source_key.parts.push_back({static_cast<uint32_t>(at), 0});
    target_key.parts.push_back({static_cast<uint32_t>(at), 0});
    names.push_back(a.name);
  }
  target_key.name = index_name(target, names);
  pair.source.keys = {source_key};
  pair.target.keys = {target_key};
  pair.by_key = true;
}

}  // namespace

TablePair make_pair(const TableName& source_name, const TableName& target_name, const TableSchema& source,
                    const TableSchema* target) {
  TablePair pair;
  pair.source_name = source_name;
  pair.target_name = target_name;
  pair.source.database = source_name.database;
  pair.source.name = source_name.table;
  pair.target.database = target_name.database;
  pair.target.name = target_name.table;
  pair.target_missing = target == nullptr;
  pair.has_snapshots = mysql::is_transactional(source.engine);
  for (const Column& column : source.columns) {
    if (column.is_virtual && !is_indexed(source, column)) {
      pair.virtual_columns.push_back(column.name);
      continue;
    }
    const Column* other = target == nullptr ? nullptr : find_column(*target, column.name);
    if (other == nullptr) {
      if (target != nullptr) pair.missing_columns.push_back(column.name);
      continue;
    }
    pair.source.columns.push_back(column);
    pair.target.columns.push_back(*other);
    if (needs_conversion(column, *other)) {
      pair.source_converted.insert(column.name);
      pair.target_converted.insert(other->name);
    }
  }
  if (target != nullptr) set_key(pair, source, *target);
  return pair;
}

Result<TablePairs> read_pairs(mysql::Connection& source, mysql::Connection& target, const TableMapping& mapping) {
  SLUICE_ASSIGN(const auto listed, mysql::list_tables(source, mapping));
  std::vector<TableName> names, target_names;
  std::vector<uint64_t> estimates;
  for (const auto& table : listed) {
    if (table.type != "BASE TABLE" && table.type != "SYSTEM VERSIONED") continue;
    names.push_back(table.name);
    target_names.push_back(mapping.target_of(table.name));
    estimates.push_back(table.rows_estimated);
  }
  SLUICE_ASSIGN(const auto sources, mysql::read_tables(source, names));
  SLUICE_ASSIGN(const auto targets, mysql::read_tables(target, target_names));
  auto pairs = std::make_shared<std::vector<TablePair>>();
  for (size_t i = 0; i < names.size(); ++i) {
    const auto from = sources.find(names[i]);
    if (from == sources.end()) continue;  // dropped since
    const auto to = targets.find(target_names[i]);
    pairs->push_back(make_pair(names[i], target_names[i], from->second, to == targets.end() ? nullptr : &to->second));
    pairs->back().rows_estimated = estimates[i];
  }
  return TablePairs(std::move(pairs));
}

}  // namespace sluice::agents::checker
