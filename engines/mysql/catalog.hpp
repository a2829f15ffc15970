// Catalog: reads definitions from a server. Each function runs queries on the given connection (Purpose::kCatalog) and
// keeps no state. Works on thousands of tables without one query per table where the whole scope is asked for.
// Thread: the one that owns the connection. Errors: those of the connection; NOT_FOUND for a single object that is not
// there; UNSUPPORTED for a type of column that has no canonical form.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/schema.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

bool is_transactional(std::string_view engine);
// utf8 is what older servers call utf8mb3, also inside names of collations.
std::string modern_name(std::string charset);

// By its type: "BASE TABLE", "VIEW", "SEQUENCE", "SYSTEM VERSIONED".
inline bool is_table(std::string_view type) { return type != "VIEW" && type != "SEQUENCE"; }

struct TableInfo {
  TableName name;
  std::string engine;
  std::string collation;
  std::string type;
  uint64_t rows_estimated = 0;
  bool is_table() const { return mysql::is_table(type); }
  bool transactional() const;
};

Result<std::vector<std::string>> list_databases(Connection&, const TableMapping&);  // in scope, sorted
Result<std::vector<TableInfo>> list_tables(Connection&, const TableMapping&);       // in scope, sorted by name
// Definitions with keys and foreign keys. NOT_FOUND when the table does not exist.
Result<TableSchema> read_table(Connection&, const TableName&);
// Many at once, in a bounded number of queries. Missing tables are left out.
Result<std::map<TableName, TableSchema>> read_tables(Connection&, const std::vector<TableName>&);
Result<std::string> show_create_table(Connection&, const TableName&);
Result<std::string> show_create_database(Connection&, std::string_view database);
Result<std::string> show_create_view(Connection&, const TableName&);
// Every foreign key that points to one of these tables from anywhere on the server: child table and key.
struct ChildKey {
  TableName child;
  ForeignKey key;
};
Result<std::vector<ChildKey>> foreign_keys_to(Connection&, const std::vector<TableName>&);
// The server's own id of a table (INNODB_SYS_TABLES / INNODB_TABLES); empty when there is none. Changes with TRUNCATE
// and moves with RENAME (exactness.md section 4, DDL 3).
Result<std::string> server_table_id(Connection&, const TableName&);
Result<std::string> variable(Connection&, std::string_view name);  // @@global.name
Result<std::vector<std::string>> show_grants(Connection&);

}  // namespace sluice::mysql
