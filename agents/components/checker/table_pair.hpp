// TablePair: a table of the source, its counterpart on the target, and how the two are compared. Plain data; built
// once, then shared by all threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/digest.hpp"

namespace sluice::agents::checker {

struct TablePair {
  TableName source_name, target_name;
  uint64_t rows_estimated = 0;
  bool target_missing = false;
  std::vector<std::string> missing_columns;  // of the source, that the target does not have
  // Virtual columns that no index keeps: they are computed when they are read, from columns that are compared, and may
  // be other at each look (NOW()) or raise warnings. Left out.
  std::vector<std::string> virtual_columns;
  bool has_snapshots = true;  // of the source's engine
  // Only what is compared: the columns of both sides, in the same order, and the source's row key if rows are compared
  // by key. Names are those of each side.
  TableSchema source, target;
  mysql::ConvertedColumns source_converted, target_converted;
  // Compared chunk by chunk along the row key. Otherwise as a multiset of rows: tables without a key, and tables whose
  // key the two servers order differently.
  bool by_key = false;
};
using TablePairs = std::shared_ptr<const std::vector<TablePair>>;

// Makes the pair of two definitions; `target` null: it does not exist.
TablePair make_pair(const TableName& source_name, const TableName& target_name, const TableSchema& source,
                    const TableSchema* target);
// All tables of the mapping's scope, in order of their names. The connections are of Purpose::kCatalog.
Result<TablePairs> read_pairs(mysql::Connection& source, mysql::Connection& target, const TableMapping& mapping);

}  // namespace sluice::agents::checker
