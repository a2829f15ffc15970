// Compares databases of two servers without using any code of Sluice: plain SELECTs of every column as HEX, sorted by
// the server, compared as text.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/mariadb.hpp"

namespace sluice::testing {

struct CompareOptions {
  std::map<std::string, std::string> database_renames;  // source database -> target database
  std::vector<std::string> ignore_tables;               // "database.table" on the source
  bool columns_of_source_only = false;                  // the target may have more columns
  size_t differences_max = 20;                          // per table
};

// One line per difference: missing tables, row counts, rows that only one side has. Empty: equal.
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
