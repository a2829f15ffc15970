// What sql_text, chunks, labels and error codes look like; what a server makes of them is in integration/mysql.
#include "engines/mysql/sql_text.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "engines/mysql/column_types.hpp"
#include "engines/mysql/error_codes.hpp"
#include "engines/mysql/scan.hpp"

namespace sluice::mysql {
namespace {

Column column(const std::string& name, ColumnType type) {
  Column c;
  c.name = name;
  c.type = type;
  c.nullable = false;
  return c;
}

std::string literal(ColumnType type, const ValueView& value) {
  std::string sql;
  append_literal(sql, column("c", type), value);
  return sql;
}

TableSchema keyed(std::vector<Column> columns, size_t parts) {
  TableSchema schema;
  schema.database = "d";
  schema.name = "t";
  schema.columns = std::move(columns);
  Key key;
  key.name = "PRIMARY";
  key.unique = key.primary = true;
  for (uint32_t i = 0; i < parts; ++i) key.parts.push_back({i, 0});
  schema.keys.push_back(key);
  return schema;
}

TEST(SqlText, NamesAreQuoted) {
  EXPECT_EQ(quote_name("a`b"), "`a``b`");
  EXPECT_EQ(quote_table("d", "t.x"), "`d`.`t.x`");
}

TEST(SqlText, QuotedBytesEscapeWhatEndsOrChangesALiteral) {
  EXPECT_EQ(quoted(std::string_view("a'b\\c\0d\n\r\x1a\"%", 12)), "'a\\'b\\\\c\\0d\\n\\r\\Z\"%'");
  EXPECT_EQ(quoted(""), "''");
}

TEST(SqlText, LiteralsOfNumbers) {
  EXPECT_EQ(literal(ColumnType::kBigInt, ValueView::of_int(INT64_MIN)), "-9223372036854775808");
  EXPECT_EQ(literal(ColumnType::kBit, ValueView::of_uint(UINT64_MAX)), "18446744073709551615");
  EXPECT_EQ(literal(ColumnType::kDecimal, ValueView::of_bytes("-12.30")), "-12.30");
  EXPECT_EQ(literal(ColumnType::kFloat, ValueView::of_float(1.1F)), "1.100000023841858e+00");
  EXPECT_EQ(literal(ColumnType::kDouble, ValueView::of_double(0.1)), "1e-01");
  EXPECT_EQ(literal(ColumnType::kDouble, ValueView::of_double(-0.0)), "'-0'");
  EXPECT_EQ(literal(ColumnType::kInt, ValueView::of_null(Physical::kInt)), "NULL");
}

TEST(SqlText, TypesThatTakeTextGetACharacterSet) {
  EXPECT_EQ(literal(ColumnType::kUuid, ValueView::of_bytes("123e")), "_latin1'123e'");
  EXPECT_EQ(literal(ColumnType::kJson, ValueView::of_bytes("{}")), "_utf8mb4'{}'");
  EXPECT_EQ(literal(ColumnType::kVarchar, ValueView::of_bytes("\xe4")), "'\xe4'");
}

TEST(Chunk, ConditionOfACompositeKeyLeadsWithTheFirstColumn) {
  const auto schema = keyed({column("a", ColumnType::kInt), column("b", ColumnType::kInt)}, 2);
  Chunk chunk;
  EXPECT_EQ(chunk.condition(schema), "1");
  chunk.after = {"1", "2"};
  EXPECT_EQ(chunk.condition(schema), "(`a`>=1 AND (`a`>1 OR (`a`=1 AND `b`>2)))");
  chunk.upto = {"3", "4"};
  EXPECT_EQ(chunk.condition(schema, "t."),
            "(t.`a`>=1 AND (t.`a`>1 OR (t.`a`=1 AND t.`b`>2))) AND (t.`a`<=3 AND (t.`a`<3 OR (t.`a`=3 AND t.`b`<=4)))");
}

TEST(Chunk, EnumRangesAreLists) {
  Column e = column("e", ColumnType::kEnum);
  e.labels = {"x", "y", "z"};
  Chunk chunk;
  chunk.after = {"1"};
  chunk.upto = {"2"};
  EXPECT_EQ(chunk.condition(keyed({e}, 1)), "(`e` IN (2,3)) AND (`e` IN (0,1,2))");
  chunk.after = {"3"};
  EXPECT_EQ(chunk.condition(keyed({e}, 1)), "(0) AND (`e` IN (0,1,2))");
}

TEST(Chunk, SurvivesItsTextForm) {
  Chunk chunk;
  chunk.number = 7;
  chunk.after = {"'a;,\\0b'", "1"};
  for (const auto& upto : {std::vector<std::string>{}, std::vector<std::string>{"'\xff'", "2"}}) {
    chunk.upto = upto;
    const auto back = Chunk::decode(chunk.encode());
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back->number, 7U);
    EXPECT_EQ(back->after, chunk.after);
    EXPECT_EQ(back->upto, chunk.upto);
  }
  for (const char* bad : {"", "x;;", "1", "1;", "1;61", "1;6;", "1;6g;", "1;61,;", "1;,61;"}) {
    EXPECT_FALSE(Chunk::decode(bad).ok()) << bad;
  }
}

TEST(ColumnTypes, LabelsAreUnquoted) {
  EXPECT_EQ(parse_labels("enum('a','b''c','','d\\\\e','f,g')"),
            (std::vector<std::string>{"a", "b'c", "", "d\\e", "f,g"}));
}

TEST(ColumnTypes, UnknownTypesAreRefused) {
  EXPECT_EQ(make_column({.name = "c", .data_type = "roaring"}).error().code(), ErrorCode::UNSUPPORTED);
}

TEST(ErrorCodes, OneNumberTwoMeanings) {
  EXPECT_EQ(classify(1290, "running with the --read-only option"), ErrorCode::SERVER_READ_ONLY);
  EXPECT_EQ(classify(1290, "running with the --secure-file-priv option"), ErrorCode::STATEMENT_FAILED);
  EXPECT_EQ(classify(1213, ""), ErrorCode::DEADLOCK);
  EXPECT_EQ(classify(99'999, ""), ErrorCode::STATEMENT_FAILED);
  EXPECT_TRUE(ends_session(2013));
  EXPECT_FALSE(ends_session(1062));
}

}  // namespace
}  // namespace sluice::mysql
