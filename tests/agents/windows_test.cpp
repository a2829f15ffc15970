// What a table's window means for statements of the log.
#include "agents/components/incr_sync/windows.hpp"

#include <gtest/gtest.h>

#include "core/schema.hpp"

namespace sluice::agents::incr_sync {
namespace {

using database::TableRow;
using database::TableState;
using What = DdlVerdict::What;

Position at(uint64_t offset) { return {"b.000001", offset, {}}; }

TableRow copied(const std::string& table, uint64_t start, uint64_t end, const std::string& parent = {}) {
  TableRow row;
  row.source = row.target = {"d", table};
  row.state = TableState::kCopied;
  row.window_start = at(start);
  row.window_end = at(end);
  TableSchema schema;
  schema.database = "d";
  schema.name = table;
  schema.columns.emplace_back().name = "id";
  if (!parent.empty()) {
    ForeignKey key;
    key.name = "f";
    key.columns = key.referenced_columns = {"id"};
    key.referenced_database = "d";
    key.referenced_table = parent;
    schema.foreign_keys.push_back(key);
  }
  row.definition = schema.encode();
  return row;
}

class WindowsOfTables : public ::testing::Test {
 protected:
  void SetUp() override { windows_.set({copied("p", 10, 20), copied("c", 12, 30, "p"), copied("o", 50, 60)}); }

  DdlVerdict verdict(const std::string& sql, uint64_t position, bool open = true) {
    return windows_.ddl(*mysql::parse_ddl(sql, "d", 0), TableMapping(), at(position), open);
  }
  std::string text(const DdlVerdict& verdict) {
    std::string names = verdict.what == What::kNeedsCopy ? "copy:" : verdict.what == What::kApply ? "apply:" : "other:";
    for (const TableName& name : verdict.tables) names += " " + name.table;
    return names;
  }

  Windows windows_;
};

TEST_F(WindowsOfTables, AnOpenWindowFollowsWhatKeysDependOn) {
  EXPECT_EQ(text(verdict("CREATE TABLE n (id int, FOREIGN KEY (id) REFERENCES p (id))", 40)), "copy: n");
  EXPECT_EQ(text(verdict("CREATE TABLE n (id int)", 40)), "apply:");
  EXPECT_EQ(text(verdict("RENAME TABLE c TO x", 40)), "copy: c x");
  EXPECT_EQ(text(verdict("RENAME TABLE p TO q", 40)), "copy: c");
  EXPECT_EQ(text(verdict("ALTER TABLE p RENAME TO q", 40)), "copy: c");
  EXPECT_EQ(text(verdict("ALTER TABLE p CHANGE id i int", 40)), "copy: c");
  EXPECT_EQ(text(verdict("ALTER TABLE c RENAME COLUMN id TO i", 40)), "copy: c");
  EXPECT_EQ(text(verdict("ALTER TABLE c ADD x int, CHANGE y z int", 40)), "apply:");
  EXPECT_EQ(text(verdict("ALTER TABLE p RENAME COLUMN y TO z", 40)), "apply:");
  EXPECT_EQ(text(verdict("ALTER TABLE o CHANGE id i int", 70)), "apply:");
  EXPECT_EQ(text(verdict("ALTER TABLE n ADD g int, DROP FOREIGN KEY f", 40)), "copy: n");
}

// The parent's copy has the new name already, the child's has not.
TEST_F(WindowsOfTables, AParentThatWasCopiedLaterCounts) {
  windows_.set({copied("p", 45, 50), copied("c", 12, 30, "p")});
  EXPECT_EQ(text(verdict("ALTER TABLE p CHANGE id i int", 40)), "copy: c");
  windows_.set({copied("p", 10, 20), copied("c", 45, 50, "p")});
  EXPECT_EQ(text(verdict("ALTER TABLE p CHANGE id i int", 40)), "apply:");
}

TEST_F(WindowsOfTables, WithTheKeysInPlaceTheTargetFollowsByItself) {
  for (const char* sql : {"CREATE TABLE n (id int, FOREIGN KEY (id) REFERENCES p (id))", "RENAME TABLE p TO q",
                          "ALTER TABLE c CHANGE id i int", "ALTER TABLE c DROP FOREIGN KEY f"})
    EXPECT_EQ(text(verdict(sql, 70, false)), "apply:") << sql;
}

// Of a database that was made again, tables whose copies are newer stay.
TEST_F(WindowsOfTables, ADatabaseIsDroppedButForNewerCopies) {
  EXPECT_EQ(text(verdict("DROP DATABASE d", 70)), "apply:");
  EXPECT_EQ(text(verdict("DROP DATABASE d", 40)), "other: c p");
  EXPECT_EQ(verdict("DROP DATABASE d", 40).what, What::kDropOnly);
  EXPECT_EQ(text(verdict("DROP DATABASE d", 5)), "other:");
  EXPECT_EQ(text(verdict("DROP DATABASE elsewhere", 5)), "apply:");
  TableRow copying = copied("c", 12, 0);
  copying.state = TableState::kCopying;
  windows_.set({copied("p", 10, 20), copying});
  EXPECT_EQ(verdict("DROP DATABASE d", 40).what, What::kWait);
  EXPECT_EQ(text(verdict("DROP DATABASE d", 40)), "other: c");
}

TEST_F(WindowsOfTables, WhatWouldBeMadeOtherwiseIsCopied) {
  EXPECT_EQ(text(verdict("CREATE OR REPLACE TABLE c (id int)", 40)), "copy: c");
  EXPECT_EQ(text(verdict("CREATE OR REPLACE TABLE p (id int)", 40)), "apply:");
  EXPECT_EQ(text(verdict("CREATE OR REPLACE TABLE c (id int)", 40, false)), "apply:");
  EXPECT_EQ(text(verdict("CREATE TABLE n LIKE o", 40)), "copy: n") << "o is as it became later";
  EXPECT_EQ(text(verdict("CREATE TABLE n LIKE p", 40)), "apply:");
}

}  // namespace
}  // namespace sluice::agents::incr_sync
