#include "engines/mysql/catalog.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <set>

#include "core/ascii.hpp"
#include "engines/mysql/column_types.hpp"
#include "engines/mysql/name_folding.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::mysql {
namespace {

using Row = std::vector<std::optional<std::string>>;
using Tables = std::map<TableName, TableSchema>;

std::string text(const Row& row, size_t at) { return at < row.size() ? row[at].value_or("") : std::string(); }
uint64_t number(const Row& row, size_t at) { return std::strtoull(text(row, at).c_str(), nullptr, 10); }

// information_schema opens only what a comparison with a constant names, so the scope is asked for database by
// database, and table by table where only few tables of a database are wanted.
constexpr size_t kTablesOneByOne = 6;

std::vector<std::string> scopes(const std::vector<TableName>& tables, const std::string& schema_column,
                                const std::string& table_column) {
  std::map<std::string, std::set<std::string>> by_database;
  for (const auto& name : tables) by_database[name.database].insert(name.table);
  std::vector<std::string> conditions;
  for (const auto& [database, names] : by_database) {
    const std::string condition = schema_column + "=" + quoted(database);
    if (names.size() > kTablesOneByOne) {
      conditions.push_back(condition);
      continue;
    }
    for (const auto& table : names) conditions.push_back(condition + " AND " + table_column + "=" + quoted(table));
  }
  return conditions;
}

// Runs `select WHERE scope order` for every scope and gives each row to `visit`.
template <class Visit>
Status for_each_row(Connection& connection, const std::vector<std::string>& scopes, const std::string& select,
                    const std::string& order, Visit visit) {
  for (const auto& scope : scopes) {
    SLUICE_ASSIGN(const auto table, connection.query(select + " WHERE " + scope + " " + order));
    for (const auto& row : table.rows) SLUICE_TRY(visit(row));
  }
  return {};
}

TableName name_of(const Row& row) { return {text(row, 0), text(row, 1)}; }

Status read_engines(Connection& connection, const NameFolding& folding, const std::vector<TableName>& names,
                    Tables& tables) {
  const std::set<TableName> wanted(names.begin(), names.end());
  return for_each_row(connection, scopes(names, "table_schema", "table_name"),
                      "SELECT table_schema,table_name,engine FROM information_schema.tables", "",
                      [&](const Row& row) -> Status {
                        const TableName name = folding.key(name_of(row));
                        if (wanted.count(name) == 0) return {};
                        TableSchema& schema = tables[name];
                        schema.database = text(row, 0);
                        schema.name = text(row, 1);
                        schema.engine = text(row, 2);
                        return {};
                      });
}

Status read_columns(Connection& connection, const NameFolding& folding, const std::vector<TableName>& names,
                    Tables& tables) {
  return for_each_row(
      connection, scopes(names, "table_schema", "table_name"),
      "SELECT table_schema,table_name,column_name,data_type,column_type,is_nullable,extra,character_set_name,"
      "collation_name,character_maximum_length,character_octet_length,numeric_precision,numeric_scale,"
      "datetime_precision FROM information_schema.columns",
      "ORDER BY table_schema,table_name,ordinal_position", [&](const Row& row) -> Status {
        const auto table = tables.find(folding.key(name_of(row)));
        if (table == tables.end()) return {};
        ColumnText column{text(row, 2), text(row, 3), text(row, 4), text(row, 5), text(row, 6), row[7],
                          row[8],       row[9],       row[10],      row[11],      row[12],      row[13]};
        auto made = make_column(column);
        if (!made.ok()) return made.error().with_object(table->first.to_string() + "." + column.name);
        table->second.columns.push_back(std::move(*made));
        return {};
      });
}

Status add_key_part(TableSchema& schema, const Row& row) {
  const std::string name = text(row, 2), column_name = text(row, 5);
  if (schema.keys.empty() || schema.keys.back().name != name) {
    Key& key = schema.keys.emplace_back();
    key.name = name;
    key.unique = text(row, 3) == "0";
    key.primary = name == "PRIMARY";
    key.hash = text(row, 7) == "HASH";
    key.ignored = text(row, 8) == "YES";
  }
  KeyPart part;
  const int column = schema.column_index(column_name);
  part.column = row[5] && column >= 0 ? static_cast<uint32_t>(column) : KeyPart::kExpression;
  part.prefix_length = static_cast<uint32_t>(number(row, 6));
  schema.keys.back().parts.push_back(part);
  return {};
}

// Whether queries leave an index alone, as the server's statistics tell it.
std::string ignored_column(const ServerVersion& version) {
  if (version.mariadb) return version.number >= 100'600 ? "ignored" : "'NO'";
  return version.number >= 80'000 ? "IF(is_visible='NO','YES','NO')" : "'NO'";
}

Status read_keys(Connection& connection, const NameFolding& folding, const std::vector<TableName>& names,
                 Tables& tables) {
  SLUICE_TRY(for_each_row(connection, scopes(names, "table_schema", "table_name"),
                          "SELECT table_schema,table_name,index_name,non_unique,seq_in_index,column_name,sub_part,"
                          "index_type," +
                              ignored_column(connection.version()) + " FROM information_schema.statistics",
                          "ORDER BY table_schema,table_name,index_name,seq_in_index", [&](const Row& row) -> Status {
                            const auto table = tables.find(folding.key(name_of(row)));
                            return table == tables.end() ? Status() : add_key_part(table->second, row);
                          }));
  for (auto& [name, schema] : tables) {
    std::stable_sort(schema.keys.begin(), schema.keys.end(), [](const Key& a, const Key& b) {
      return std::pair(!a.primary, !a.unique) < std::pair(!b.primary, !b.unique);
    });
  }
  return {};
}

ForeignKeyAction action_of(const std::string& rule) {
  if (rule == "CASCADE") return ForeignKeyAction::kCascade;
  if (rule == "SET NULL") return ForeignKeyAction::kSetNull;
  if (rule == "SET DEFAULT") return ForeignKeyAction::kSetDefault;
  return ForeignKeyAction::kRestrict;
}

// Foreign keys by child table and name. Two queries per scope, joined here: the server would open every table twice.
using ForeignKeys = std::map<TableName, std::map<std::string, ForeignKey>>;

Result<ForeignKeys> read_foreign_keys(Connection& connection, const std::vector<std::string>& column_scopes,
                                      const std::vector<std::string>& rule_scopes) {
  ForeignKeys keys;
  SLUICE_TRY(for_each_row(connection, column_scopes,
                          "SELECT table_schema,table_name,constraint_name,column_name,referenced_table_schema,"
                          "referenced_table_name,referenced_column_name FROM information_schema.key_column_usage",
                          "AND referenced_table_name IS NOT NULL "
                          "ORDER BY table_schema,table_name,constraint_name,ordinal_position",
                          [&](const Row& row) -> Status {
                            ForeignKey& key = keys[{text(row, 0), text(row, 1)}][text(row, 2)];
                            key.name = text(row, 2);
                            key.columns.push_back(text(row, 3));
                            key.referenced_database = text(row, 4);
                            key.referenced_table = text(row, 5);
                            key.referenced_columns.push_back(text(row, 6));
                            return {};
                          }));
  if (keys.empty()) return keys;
  SLUICE_TRY(for_each_row(connection, rule_scopes,
                          "SELECT constraint_schema,table_name,constraint_name,delete_rule,update_rule "
                          "FROM information_schema.referential_constraints",
                          "", [&](const Row& row) -> Status {
                            const auto table = keys.find({text(row, 0), text(row, 1)});
                            if (table == keys.end()) return {};
                            const auto key = table->second.find(text(row, 2));
                            if (key == table->second.end()) return {};
                            key->second.on_delete = action_of(text(row, 3));
                            key->second.on_update = action_of(text(row, 4));
                            return {};
                          }));
  return keys;
}

std::string name_condition(std::string_view column, const std::set<std::string>& values) {
  std::string list;
  for (const auto& value : values) list += (list.empty() ? "" : ",") + quoted(value);
  return std::string(column) + " IN (" + list + ")";
}

Result<std::string> show_create(Connection& connection, const std::string& statement, size_t column) {
  SLUICE_ASSIGN(const auto table, connection.query(statement));
  if (table.rows.empty() || table.rows[0].size() <= column || !table.rows[0][column]) {
    return Error(ErrorCode::MISSING_PRIVILEGE, "the server does not show the definition: " + statement);
  }
  return *table.rows[0][column];
}

}  // namespace

bool is_transactional(std::string_view engine) {
  const std::string name = ascii::lower(engine);
  return name == "innodb" || name == "rocksdb" || name == "tokudb" || name == "oceanbase" || name == "ndbcluster";
}

std::string modern_name(std::string charset) {
  if (charset == "utf8" || charset.starts_with("utf8_")) charset.insert(4, "mb3");
  return charset;
}

bool TableInfo::transactional() const { return is_transactional(engine); }

Result<std::vector<std::string>> list_databases(Connection& connection, const TableMapping& mapping) {
  SLUICE_ASSIGN(const auto table, connection.query("SELECT schema_name FROM information_schema.schemata"));
  std::vector<std::string> names;
  for (const auto& row : table.rows) {
    if (mapping.includes_database(text(row, 0))) names.push_back(text(row, 0));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<TableInfo>> list_tables(Connection& connection, const TableMapping& mapping) {
  SLUICE_ASSIGN(const auto databases, list_databases(connection, mapping));
  std::vector<TableInfo> tables;
  for (const auto& database : databases) {
    SLUICE_ASSIGN(const auto found, connection.query("SELECT table_name,engine,table_collation,table_type,table_rows "
                                                     "FROM information_schema.tables WHERE table_schema=" +
                                                     quoted(database)));
    for (const auto& row : found.rows) {
      if (!mapping.includes(database, text(row, 0))) continue;
      tables.push_back({{database, text(row, 0)}, text(row, 1), text(row, 2), text(row, 3), number(row, 4)});
    }
  }
  std::sort(tables.begin(), tables.end(), [](const TableInfo& a, const TableInfo& b) { return a.name < b.name; });
  return tables;
}

Result<TableSchema> read_table(Connection& connection, const TableName& name) {
  SLUICE_ASSIGN(auto tables, read_tables(connection, {name}));
  const auto found = tables.find(name);
  if (found == tables.end()) return Error(ErrorCode::NOT_FOUND, "no such table", name.to_string());
  return std::move(found->second);
}

Result<Tables> read_tables(Connection& connection, const std::vector<TableName>& requested) {
  Tables tables;
  if (requested.empty()) return tables;
  SLUICE_ASSIGN(const auto folding, NameFolding::of(connection));
  std::vector<TableName> names;
  for (const auto& name : requested) names.push_back(folding.key(name));
  SLUICE_TRY(read_engines(connection, folding, names, tables));
  SLUICE_TRY(read_columns(connection, folding, names, tables));
  // A table that was dropped between the queries has no columns.
  std::erase_if(tables, [](const auto& entry) { return entry.second.columns.empty(); });
  SLUICE_TRY(read_keys(connection, folding, names, tables));
  SLUICE_ASSIGN(auto foreign, read_foreign_keys(connection, scopes(names, "table_schema", "table_name"),
                                                scopes(names, "constraint_schema", "table_name")));
  for (auto& [name, keys] : foreign) {
    const auto table = tables.find(folding.key(name));
    if (table == tables.end()) continue;
    for (auto& [key_name, key] : keys) table->second.foreign_keys.push_back(std::move(key));
  }
  if (folding.mode() == NameFolding::Mode::kAsWritten) return tables;
  Tables by_requested;
  for (size_t i = 0; i < requested.size(); ++i) {
    const auto table = tables.find(names[i]);
    if (table != tables.end()) by_requested.insert_or_assign(requested[i], table->second);
  }
  return by_requested;
}

Result<std::string> show_create_table(Connection& connection, const TableName& name) {
  return show_create(connection, "SHOW CREATE TABLE " + quote_table(name), 1);
}
Result<std::string> show_create_database(Connection& connection, std::string_view database) {
  return show_create(connection, "SHOW CREATE DATABASE " + quote_name(database), 1);
}
Result<std::string> show_create_view(Connection& connection, const TableName& name) {
  return show_create(connection, "SHOW CREATE VIEW " + quote_table(name), 1);
}

Result<std::vector<ChildKey>> foreign_keys_to(Connection& connection, const std::vector<TableName>& parents) {
  std::vector<ChildKey> result;
  if (parents.empty()) return result;
  SLUICE_ASSIGN(const auto folding, NameFolding::of(connection));
  std::set<TableName> wanted;
  std::set<std::string> databases;
  for (const auto& parent : parents) {
    const auto key = wanted.insert(folding.key(parent)).first;
    databases.insert(key->database);
  }
  // A child may be in any database of users. Each is named in a query of its own: without an equality the server opens
  // every table and view that it has, those of `sys` included, which is slow and has crashed MariaDB 10.11.
  SLUICE_ASSIGN(const auto users, list_databases(connection, TableMapping()));
  std::vector<std::string> columns, rules;
  for (const auto& database : users) {
    columns.push_back("table_schema=" + quoted(database) + " AND " +
                      name_condition("referenced_table_schema", databases));
    rules.push_back("constraint_schema=" + quoted(database) + " AND " +
                    name_condition("unique_constraint_schema", databases));
  }
  SLUICE_ASSIGN(auto keys, read_foreign_keys(connection, columns, rules));
  for (auto& [child, by_name] : keys) {
    for (auto& [name, key] : by_name) {
      if (wanted.contains(folding.key({key.referenced_database, key.referenced_table})))
        result.push_back({child, std::move(key)});
    }
  }
  return result;
}

Result<std::string> server_table_id(Connection& connection, const TableName& name) {
  const auto& version = connection.version();
  const bool renamed = !version.mariadb && version.number >= 80'000;
  // InnoDB knows a table by its file name, and a partitioned one by the names of its partitions.
  const std::string file = "CONCAT(CAST(CONVERT(_utf8mb4" + quoted(name.database) +
                           " USING filename) AS BINARY),'/',CAST(CONVERT(_utf8mb4" + quoted(name.table) +
                           " USING filename) AS BINARY))";
  const std::string table = renamed ? "information_schema.innodb_tables" : "information_schema.innodb_sys_tables";
  SLUICE_ASSIGN(const auto ids,
                connection.query("SELECT table_id FROM " + table + " WHERE CAST(name AS BINARY)=" + file +
                                 " OR LOWER(CAST(name AS CHAR)) LIKE CONCAT(LOWER(REPLACE(REPLACE(CAST(" + file +
                                 " AS CHAR),'_','\\_'),'%','\\%')),'#p#%') ORDER BY table_id"));
  std::string id;
  for (const auto& row : ids.rows) id += (id.empty() ? "" : ",") + text(row, 0);
  return id;
}

Result<std::string> variable(Connection& connection, std::string_view name) {
  const bool valid = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.';
  });
  if (!valid) return Error(ErrorCode::INVALID_ARGUMENT, "not a variable's name: " + std::string(name));
  auto value = connection.query("SELECT @@global." + std::string(name));
  if (!value.ok()) {
    constexpr uint32_t kUnknownVariable = 1193;
    if (connection.last_errno() != kUnknownVariable) return value.error();
    return Error(ErrorCode::NOT_FOUND, "the server has no such variable", std::string(name));
  }
  return value->rows.empty() ? std::string() : text(value->rows[0], 0);
}

Result<std::vector<std::string>> show_grants(Connection& connection) {
  SLUICE_ASSIGN(const auto table, connection.query("SHOW GRANTS"));
  std::vector<std::string> grants;
  for (const auto& row : table.rows) grants.push_back(text(row, 0));
  return grants;
}

}  // namespace sluice::mysql
