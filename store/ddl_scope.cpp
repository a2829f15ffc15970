#include "store/ddl_scope.hpp"

#include <algorithm>

namespace sluice::store {

bool ddl_in_scope(const mysql::DdlStatement& statement, const TableMapping& scope) {
  using mysql::DdlKind;
  if (statement.kind == DdlKind::kPassedOver || statement.kind == DdlKind::kTransaction) return false;
  if (statement.temporary) return false;
  if (statement.kind == DdlKind::kUnknown) return true;
  // U+FFFD stands for a character that could not be read: the name may be any.
  auto readable = [](const std::string& name) { return name.find("\xef\xbf\xbd") == std::string::npos; };
  if (!statement.database.empty()) return !readable(statement.database) || scope.includes_database(statement.database);
  auto in_scope = [&](const TableName& name) {
    if (name.table.empty()) return false;
    if (!readable(name.database)) return true;
    return readable(name.table) ? scope.includes(name) : scope.includes_database(name.database);
  };
  for (auto& table : statement.tables)
    if (in_scope(table.source) || in_scope(table.rename_to)) return true;
  return statement.tables.empty();
}

std::vector<TableName> tables_changed_by(const mysql::DdlStatement& statement) {
  using mysql::DdlKind;
  if (statement.kind == DdlKind::kUnknown) return {TableName()};
  if (statement.kind == DdlKind::kDropDatabase || statement.kind == DdlKind::kAlterDatabase)
    return {{statement.database, {}}};
  std::vector<TableName> names;
  for (const mysql::DdlTable& table : statement.tables) {
    names.push_back(table.source);
    if (!table.rename_to.table.empty()) names.push_back(table.rename_to);
  }
  return names;
}

bool covers(const std::vector<TableName>& names, const TableName& table) {
  return std::any_of(names.begin(), names.end(), [&](const TableName& name) {
    return (name.database.empty() || name.database == table.database) &&
           (name.table.empty() || name.table == table.table);
  });
}

bool ddl_in_scope(const Ddl& ddl, const TableMapping& scope) {
  auto statement = mysql::parse_ddl(ddl.sql, ddl.database, ddl.sql_mode);
  return !statement.ok() || ddl_in_scope(statement.value(), scope);
}

}  // namespace sluice::store
