// Which texts the collations of a real server take for equal: two that are must share a claim.
#include <gtest/gtest.h>

#include "sinks/database/apply/write_set.hpp"
#include "tests/support/mariadb.hpp"

namespace sluice::database {
namespace {

using testing::MariaDbServer;

bool is_folded(const std::string& charset, const std::string& collation) {
  Column column;
  column.type = ColumnType::kVarchar;
  column.charset = charset;
  column.collation = collation;
  return fold_of(column, Physical::kBytes) == Fold::kAscii;
}

// Every printable ASCII character against every other, and every text of two of them: no two that differ in more than
// case are equal under a collation whose ASCII texts are hashed.
TEST(Collations, WhatIsEqualIsHashedTheSame) {
  MariaDbServer server;
  server.sql(
      "CREATE DATABASE d; USE d; CREATE TABLE one (c VARBINARY(1) PRIMARY KEY, f VARBINARY(1));"
      "INSERT INTO one SELECT CHAR(seq), LOWER(CONVERT(CHAR(seq) USING latin1)) FROM seq_33_to_126;"
      "CREATE TABLE two (c VARBINARY(2) PRIMARY KEY, f VARBINARY(2)) SELECT CONCAT(a.c, b.c) c, CONCAT(a.f, b.f) f "
      "FROM "
      "one a, one b");
  size_t asked = 0;
  for (const auto& row : server.query("SELECT character_set_name, full_collation_name FROM "
                                      "information_schema.collation_character_set_applicability")) {
    const std::string charset = row[0].value_or(""), collation = row[1].value_or("");
    if (!is_folded(charset, collation)) continue;
    ++asked;
    const auto text = [&](const std::string& column) {
      return "CONVERT(" + column + " USING " + charset + ") COLLATE " + collation;
    };
    const auto equal =
        server.query("SELECT a.c, b.c FROM d.one a JOIN d.one b ON a.f < b.f AND " + text("a.c") + " = " + text("b.c"));
    for (const auto& pair : equal) ADD_FAILURE() << collation << ": " << *pair[0] << " = " << *pair[1];
    const auto classes = server.query("SELECT MIN(c), MAX(c) FROM d.two GROUP BY WEIGHT_STRING(" + text("c") +
                                      ") HAVING MIN(f) <> MAX(f) LIMIT 3");
    for (const auto& pair : classes) ADD_FAILURE() << collation << ": " << *pair[0] << " = " << *pair[1];
  }
  EXPECT_GT(asked, 40U);
}

}  // namespace
}  // namespace sluice::database
