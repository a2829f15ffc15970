// Compares databases of two servers without using any code of Sluice: which tables, views and sequences there are,
// their definitions as information_schema has them, and plain SELECTs of every column as HEX, compared as sorted text.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/mariadb.hpp"

namespace sluice::testing {

struct CompareOptions {
  std::map<std::string, std::string> database_renames;  // source database -> target database
  std::vector<std::string> ignore_tables;               // "database.table" on the source
  bool definitions = true;                              // false: they differ on purpose, only names and rows count
  size_t differences_max = 20;                          // per table
};

// One line per difference: tables, views and sequences that only one side has; columns, indexes, foreign keys, checks,
// partitions, options that only one side has; rows that only one side has. Empty: equal. The target's tables have to be
// InnoDB, whatever the source's are.
std::vector<std::string> compare_databases(MariaDbServer& source, MariaDbServer& target,
                                           const std::vector<std::string>& databases,
                                           const CompareOptions& options = {});

// The same as one text, for EXPECT_EQ(…, "").
std::string differences(MariaDbServer& source, MariaDbServer& target, const std::vector<std::string>& databases,
                        const CompareOptions& options = {});

// The rows of a table as text, one line per row, every value as HEX of its bytes, in sorted order.
std::vector<std::string> dump_table(MariaDbServer& server, const std::string& database, const std::string& table,
                                    const std::vector<std::string>& columns);

}  // namespace sluice::testing
