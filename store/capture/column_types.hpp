// ColumnTypes: of columns that a log shows as BINARY(16) or BINARY(4), what they are: MariaDB's UUID and INET look the
// same there. Followed from a table's last known definition through the statements of the log, for rows between two
// statements, of which no catalog tells any more. Capture's thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/dialect/ddl.hpp"
#include "store/log/format.hpp"

namespace sluice::store {

class ColumnTypes {
 public:
  // The definition that a table has when the next statement comes.
  void know(const TableSchema& schema);
  // A statement of the log. The rows say what has changed, for the log to keep.
  std::vector<KeptRow> apply(const mysql::DdlStatement& statement, const Ddl& ddl);
  // A row that apply() gave; others are none of ours.
  void restore(std::string_view name, std::string_view bytes);

  // kBinary, kUuid, kInet4 or kInet6; nothing when it is not known.
  std::optional<ColumnType> type_of(const TableName& table, const std::string& column) const;

 private:
  struct Table {
    bool complete = false;                      // a column that is not listed is a plain one; else nobody knows
    std::map<std::string, ColumnType> columns;  // by name in lower case
    bool operator==(const Table&) const = default;
  };
  void apply_to(Table& table, const Ddl& ddl) const;

  std::map<TableName, Table> tables_;
  std::set<TableName> learned_;  // by know(), since the last statement
};

}  // namespace sluice::store
