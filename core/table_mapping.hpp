// TableMapping: which tables belong to a project, and what they are called on the target. Plain value, immutable after
// construction, safe to share between threads.
//
// A pattern is `database.table` with `*` and `?` in either part. Without includes every table of every database is in
// scope. Excludes win over includes. System databases (mysql, sys, performance_schema, information_schema) and the
// meta database are never in scope. Renames FROM=TO: `a.t=b.u` a table, `a.*=b.*` a database; the most exact one wins.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace sluice {

struct TableName {
  std::string database, table;
  std::string to_string() const { return database + "." + table; }
  auto operator<=>(const TableName&) const = default;
};

class TableMapping {
 public:
  TableMapping() = default;
  static Result<TableMapping> create(std::vector<std::string> includes, std::vector<std::string> excludes,
                                     std::vector<std::string> renames, std::string meta_database = "sluice");

  bool includes(std::string_view database, std::string_view table) const;
  // False for the name of a database.
  bool includes(const TableName& name) const { return !name.table.empty() && includes(name.database, name.table); }
  // Whether some table of the database can be in scope (CREATE/ALTER/DROP DATABASE).
  bool includes_database(std::string_view database) const;
  TableName target_of(std::string_view database, std::string_view table) const;
  TableName target_of(const TableName& name) const { return target_of(name.database, name.table); }
  std::string target_database_of(std::string_view database) const;

  const std::vector<std::string>& include_patterns() const { return includes_; }
  const std::vector<std::string>& exclude_patterns() const { return excludes_; }
  const std::vector<std::string>& renames() const { return renames_; }
  const std::string& meta_database() const { return meta_database_; }

 private:
  struct Rename {
    TableName from, to;
  };  // table "*" = the whole database
  std::vector<std::string> includes_, excludes_, renames_;
  std::vector<TableName> include_names_, exclude_names_;
  std::vector<Rename> rules_;
  std::string meta_database_ = "sluice";
};

// "a.b" with backquotes allowed around either part (`a.b`.`c` has database "a.b"). Both parts are required.
Result<TableName> parse_table_pattern(std::string_view text);
// Glob match with * and ?; every other character stands for itself.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace sluice
