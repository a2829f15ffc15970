// What columns are that the log shows as BINARY(16) or (4), through statements and restarts.
#include "store/capture/column_types.hpp"

#include <gtest/gtest.h>

namespace sluice::store {
namespace {

struct Types : testing::Test {
  void ddl(const std::string& sql) {
    Ddl record;
    record.database = "d";
    record.sql = sql;
    auto statement = mysql::parse_ddl(sql, "d", 0);
    ASSERT_TRUE(statement.ok()) << sql;
    for (auto& row : types.apply(*statement, record))
      if (row.bytes)
        kept[row.name] = *row.bytes;
      else
        kept.erase(row.name);
  }
  std::string of(const std::string& table, const std::string& column) {
    ColumnTypes again;
    for (auto& [name, bytes] : kept) again.restore(name, bytes);
    auto type = types.type_of({"d", table}, column);
    EXPECT_EQ(type, again.type_of({"d", table}, column)) << table << "." << column;
    if (!type) return "?";
    return *type == ColumnType::kUuid    ? "uuid"
           : *type == ColumnType::kInet4 ? "inet4"
           : *type == ColumnType::kInet6 ? "inet6"
                                         : "binary";
  }
  void know() {
    TableSchema schema;
    schema.database = "d", schema.name = "t";
    schema.columns = {Column{.name = "U", .type = ColumnType::kUuid}, Column{.name = "b", .type = ColumnType::kBinary}};
    types.know(schema);
  }
  ColumnTypes types;
  std::map<std::string, std::string> kept;
};

TEST_F(Types, AKnownDefinitionIsFollowed) {
  EXPECT_EQ(of("t", "u"), "?");
  know();
  ddl("ALTER TABLE t ADD c int");
  EXPECT_EQ(types.type_of({"d", "t"}, "u"), ColumnType::kUuid);
  ddl("ALTER TABLE t RENAME COLUMN u TO v, ADD u binary(16), ADD i inet4");
  EXPECT_EQ(of("t", "v"), "uuid");
  EXPECT_EQ(of("t", "u"), "binary");
  EXPECT_EQ(of("t", "B"), "binary");
  EXPECT_EQ(of("t", "i"), "inet4");
  ddl("ALTER TABLE t MODIFY v binary(16), CHANGE i j inet6");
  EXPECT_EQ(of("t", "v"), "binary");
  EXPECT_EQ(of("t", "j"), "inet6");
  ddl("RENAME TABLE t TO x, x TO y");
  EXPECT_EQ(of("y", "j"), "inet6");
  EXPECT_EQ(of("t", "j"), "?");
  ddl("TRUNCATE TABLE y");
  EXPECT_EQ(of("y", "j"), "inet6");
  ddl("CREATE TABLE z LIKE y");
  EXPECT_EQ(of("z", "j"), "inet6");
  ddl("DROP TABLE y");
  EXPECT_EQ(of("y", "j"), "?");
  ddl("DROP DATABASE d");
  EXPECT_EQ(of("z", "j"), "?");
  EXPECT_TRUE(kept.empty());
}

TEST_F(Types, OnlyWhatStatementsSayIsKnown) {
  ddl("ALTER TABLE t ADD u uuid, ADD b binary(4)");
  EXPECT_EQ(of("t", "u"), "uuid");
  EXPECT_EQ(of("t", "b"), "binary");
  EXPECT_EQ(of("t", "older"), "?");
  ddl("ALTER TABLE t RENAME COLUMN older TO u2");
  EXPECT_EQ(of("t", "u2"), "?");
  ddl("CREATE TABLE made (id int, u uuid, b binary(16))");
  EXPECT_EQ(of("made", "u"), "uuid");
  EXPECT_EQ(of("made", "b"), "binary");
  ddl("CREATE TABLE selected (u uuid) SELECT b FROM made");
  EXPECT_EQ(of("selected", "u"), "uuid");
  EXPECT_EQ(of("selected", "b"), "?");
  ddl("CREATE TABLE IF NOT EXISTS made (u binary(16))");
  EXPECT_EQ(of("made", "u"), "uuid");
  ddl("CREATE OR REPLACE TABLE made (u binary(16))");
  EXPECT_EQ(of("made", "u"), "binary");
}

}  // namespace
}  // namespace sluice::store
