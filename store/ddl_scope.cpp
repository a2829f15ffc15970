#include "store/ddl_scope.hpp"

namespace sluice::store {

bool ddl_in_scope(const mysql::DdlStatement& statement, const TableMapping& scope) {
  using mysql::DdlKind;
  if (statement.kind == DdlKind::kPassedOver || statement.kind == DdlKind::kTransaction) return false;
  if (statement.temporary) return false;
  if (statement.kind == DdlKind::kUnknown) return true;
  if (!statement.database.empty()) return scope.includes_database(statement.database);
  auto in_scope = [&](const TableName& name) {
    return !name.table.empty() && scope.includes(name.database, name.table);
  };
  for (auto& table : statement.tables)
    if (in_scope(table.source) || in_scope(table.rename_to)) return true;
  return statement.tables.empty();
}

bool ddl_in_scope(const Ddl& ddl, const TableMapping& scope) {
  auto statement = mysql::parse_ddl(ddl.sql, ddl.database, ddl.sql_mode);
  return !statement.ok() || ddl_in_scope(statement.value(), scope);
}

}  // namespace sluice::store
