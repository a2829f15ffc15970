// Which DDL of a source's log concerns a set of tables. Pure function.
#pragma once

#include "core/record.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/dialect/ddl.hpp"

namespace sluice::store {

// True when the statement changes a table or database in scope, or brings one into it (RENAME, EXCHANGE PARTITION).
// What cannot be parsed is kept, as it may do either; users, grants, routines and transaction control are left out.
bool ddl_in_scope(const mysql::DdlStatement& statement, const TableMapping& scope);
bool ddl_in_scope(const Ddl& ddl, const TableMapping& scope);

// The tables whose definitions the statement may change. A name without a table stands for all tables of the database,
// one without either for all there are.
std::vector<TableName> tables_changed_by(const mysql::DdlStatement& statement);
bool covers(const std::vector<TableName>& names, const TableName& table);

}  // namespace sluice::store
