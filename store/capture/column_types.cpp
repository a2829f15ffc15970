#include "store/capture/column_types.hpp"

#include <sstream>

#include "engines/mysql/dialect/columns.hpp"
#include "engines/mysql/dialect/fold.hpp"
#include "store/ddl_scope.hpp"

namespace sluice::store {
namespace {

constexpr std::string_view kRow = "columns ";
constexpr struct {
  ColumnType type;
  std::string_view name;
} kSpecial[] = {{ColumnType::kUuid, "UUID"}, {ColumnType::kInet4, "INET4"}, {ColumnType::kInet6, "INET6"}};

ColumnType type_of_word(std::string_view word) {
  for (const auto& special : kSpecial)
    if (special.name == word) return special.type;
  return ColumnType::kBinary;
}

std::string_view word_of(ColumnType type) {
  for (const auto& special : kSpecial)
    if (special.type == type) return special.name;
  return "BINARY";
}

}  // namespace

void ColumnTypes::know(const TableSchema& schema) {
  Table& table = tables_[{schema.database, schema.name}];
  table = {.complete = true, .columns = {}};
  learned_.insert({schema.database, schema.name});
  for (const Column& column : schema.columns)
    if (word_of(column.type) != "BINARY") table.columns[mysql::fold_name(column.name)] = column.type;
}

void ColumnTypes::apply_to(Table& table, const Ddl& ddl) const {
  for (const mysql::ColumnNews& news : mysql::column_news(ddl.sql, ddl.database, ddl.sql_mode)) {
    auto from = table.columns.find(news.renamed_from);
    if (!news.type.empty()) {
      table.columns[news.column] = type_of_word(news.type);
    } else if (news.renamed_from.empty()) {
      table.columns.erase(news.column);
    } else if (from != table.columns.end()) {
      table.columns[news.column] = from->second;
      table.columns.erase(from);
    } else if (!table.complete) {
      table.columns.erase(news.column);
    }  // else a plain one, or a statement that is read again
  }
}

std::vector<KeptRow> ColumnTypes::apply(const mysql::DdlStatement& statement, const Ddl& ddl) {
  using mysql::DdlKind;
  std::map<TableName, Table> before = tables_;
  switch (statement.kind) {
    case DdlKind::kCreateTable:
    case DdlKind::kCreateTableSelect:
    case DdlKind::kCreateTableLike:
      for (const auto& table : statement.tables) {
        if (statement.if_not_exists && tables_.contains(table.source)) continue;
        Table made{.complete = statement.kind == DdlKind::kCreateTable, .columns = {}};
        if (statement.kind == DdlKind::kCreateTableLike && !statement.reads.empty())
          if (auto known = tables_.find(statement.reads[0]); known != tables_.end()) made = known->second;
        apply_to(made, ddl);
        tables_[table.source] = std::move(made);
      }
      break;
    case DdlKind::kAlterTable:
      for (const auto& table : statement.tables) apply_to(tables_[table.source], ddl);
      [[fallthrough]];
    case DdlKind::kRenameTable:
      for (const auto& table : statement.tables) {
        if (table.rename_to.table.empty()) continue;
        tables_.erase(table.rename_to);
        auto moved = tables_.extract(table.source);
        if (moved) moved.key() = table.rename_to, tables_.insert(std::move(moved));
      }
      break;
    case DdlKind::kCreateIndex:
    case DdlKind::kDropIndex:
    case DdlKind::kTruncateTable:
      break;
    default: {
      auto changed = tables_changed_by(statement);
      std::erase_if(tables_, [&](const auto& one) { return covers(changed, one.first); });
    }
  }
  std::vector<KeptRow> rows;
  for (const auto& [name, table] : tables_) {
    auto old = before.find(name);
    if (old != before.end() && old->second == table && !learned_.contains(name)) continue;
    std::string text = table.complete ? "complete" : "partial";
    for (const auto& [column, type] : table.columns) text += "\n" + std::string(word_of(type)) + " " + column;
    rows.push_back({std::string(kRow) + name.database + "\n" + name.table, std::move(text)});
  }
  learned_.clear();
  for (const auto& [name, table] : before)
    if (!tables_.contains(name)) rows.push_back({std::string(kRow) + name.database + "\n" + name.table, std::nullopt});
  return rows;
}

void ColumnTypes::restore(std::string_view name, std::string_view bytes) {
  if (!name.starts_with(kRow)) return;
  name.remove_prefix(kRow.size());
  size_t split = name.find('\n');
  if (split == std::string_view::npos) return;
  Table& table = tables_[{std::string(name.substr(0, split)), std::string(name.substr(split + 1))}];
  std::stringstream in{std::string(bytes)};
  std::string line;
  std::getline(in, line);
  table.complete = line == "complete";
  while (std::getline(in, line)) {
    size_t space = line.find(' ');
    if (space != std::string::npos) table.columns[line.substr(space + 1)] = type_of_word(line.substr(0, space));
  }
}

std::optional<ColumnType> ColumnTypes::type_of(const TableName& name, const std::string& column) const {
  auto table = tables_.find(name);
  if (table == tables_.end()) return std::nullopt;
  auto known = table->second.columns.find(mysql::fold_name(column));
  if (known != table->second.columns.end()) return known->second;
  return table->second.complete ? std::optional(ColumnType::kBinary) : std::nullopt;
}

}  // namespace sluice::store
