// DdlSnapshot: what the journal keeps of the tables that a DDL statement concerns, and what a restart makes of it. The
// server's table ids show a RENAME swap and a TRUNCATE, definitions do not.
// A value; taking one blocks on the given connection, on its thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/table_mapping.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/dialect/ddl.hpp"

namespace sluice::database {

struct DdlSnapshot {
  struct Entry {
    std::string definition, id;  // empty: there is nothing of that name; the id may not be visible
    bool neighbour = false;      // not named by the statement, but bound to what is (foreign keys, views)
    bool operator==(const Entry&) const = default;
  };
  std::map<TableName, Entry> entries;  // by name on the target; a database has no table name

  // `catalog` is a connection for reading definitions.
  static Result<DdlSnapshot> look(mysql::Connection& catalog, const std::vector<TableName>& named,
                                  const std::vector<TableName>& neighbours);
  // The same names again.
  Result<DdlSnapshot> look_again(mysql::Connection& catalog) const;
  std::string to_json() const;
  static Result<DdlSnapshot> from_json(const std::string& text);
  bool operator==(const DdlSnapshot&) const = default;
};

enum class DdlFinding : uint8_t { kDone, kNotDone, kUnknown };
// Whether an interrupted statement was carried out.
DdlFinding find_out(const mysql::DdlStatement& statement, const DdlSnapshot& before, const DdlSnapshot& now);

}  // namespace sluice::database
