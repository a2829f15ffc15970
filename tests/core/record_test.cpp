// The record codec: what goes in comes out, bit by bit, and damaged bytes are refused, never read past.
#include "core/record.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <limits>
#include <random>

namespace sluice {
namespace {

TableSchema sample_schema(std::mt19937_64& random) {
  static const ColumnType kTypes[] = {ColumnType::kInt,    ColumnType::kBigInt,  ColumnType::kFloat,
                                      ColumnType::kDouble, ColumnType::kVarchar, ColumnType::kBlob,
                                      ColumnType::kEnum,   ColumnType::kDecimal};
  TableSchema schema;
  schema.database = "shop";
  schema.name = "t" + std::to_string(random() % 1000);
  const size_t columns = 1 + random() % 20;
  for (size_t index = 0; index < columns; ++index) {
    Column column;
    column.name = "c" + std::to_string(index);
    column.type = kTypes[random() % std::size(kTypes)];
    column.is_unsigned = random() % 2;
    column.labels = {"a", "b'"};
    schema.columns.push_back(column);
  }
  schema.keys.push_back({"PRIMARY", true, true, {{0, 0}}});
  schema.foreign_keys.push_back({"fk", {"c0"}, "shop", "p", {"id"}, ForeignKeyAction::kCascade, {}});
  return schema;
}

// A row with values that own their bytes in `store`.
std::vector<ValueView> sample_row(const TableSchema& schema, std::mt19937_64& random, std::deque<std::string>& store) {
  std::vector<ValueView> row;
  for (const Column& column : schema.columns) {
    if (random() % 5 == 0) {
      row.push_back(ValueView::of_null(column.physical()));
      continue;
    }
    switch (column.physical()) {
      case Physical::kInt:
        row.push_back(ValueView::of_int(static_cast<int64_t>(random())));
        break;
      case Physical::kUInt:
        row.push_back(ValueView::of_uint(random()));
        break;
      case Physical::kFloat:
        row.push_back(ValueView::of_float(random() % 2 ? -0.0F : 1.5F));
        break;
      case Physical::kDouble:
        row.push_back(ValueView::of_double(std::numeric_limits<double>::denorm_min()));
        break;
      case Physical::kBytes:
        store.emplace_back(random() % 300, static_cast<char>(random()));
        row.push_back(ValueView::of_bytes(store.back()));
    }
  }
  return row;
}

bool same(const RowView& image, const TableSchema& schema, const std::vector<ValueView>& row) {
  std::vector<ValueView> values(schema.columns.size());
  return image.decode(schema, values).ok() && values == row;
}

TEST(Record, RandomRowsRoundTrip) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::deque<std::string> store;
    const TableSchema schema = sample_schema(random);
    const uint64_t id = schema.id();
    struct Wanted {
      RowOp op;
      std::vector<ValueView> before, after;
    };
    std::vector<Wanted> wanted;
    BatchBuilder builder;
    for (size_t row = 0; row < random() % 50; ++row) {
      Wanted w{static_cast<RowOp>(1 + random() % 3), sample_row(schema, random, store),
               sample_row(schema, random, store)};
      builder.add_row(schema, id, w.op, static_cast<uint16_t>(random() % 2), w.before, w.after);
      wanted.push_back(std::move(w));
    }
    auto batch = Batch::open(builder.finish());
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->row_count(), wanted.size());
    size_t at = 0;
    Status status = batch->for_each([&](const RecordView& record) -> Status {
      const auto& rows = std::get<Rows>(record);
      EXPECT_EQ(rows.schema_id, id);
      return rows.for_each([&](RowView before, RowView after) -> Status {
        EXPECT_EQ(rows.op, wanted[at].op);
        if (rows.op != RowOp::kInsert) EXPECT_TRUE(same(before, schema, wanted[at].before));
        if (rows.op != RowOp::kDelete) EXPECT_TRUE(same(after, schema, wanted[at].after));
        ++at;
        return {};
      });
    });
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(at, wanted.size());
  }
}

TEST(Record, TransactionRecordsRoundTrip) {
  BatchBuilder builder;
  builder.add(Begin{"0-1-7", 1234567, 1});
  builder.add(Ddl{"db", "CREATE TABLE t (a INT)", 5, 99, "utf8mb4", "utf8mb4_general_ci", "latin1_swedish_ci", "",
                  "+00:00", 0, 1});
  builder.add(Commit{"0-1-7", "binlog.000001", 5000000000ULL, "0-1-7", 1234567, 3});
  builder.add(Heartbeat{"binlog.000001", 5000000000ULL, "0-1-7", 77, "binlog.000002", 4});
  auto batch = Batch::open(builder.finish());
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->record_count(), 4U);
  std::vector<size_t> kinds;
  ASSERT_TRUE(batch
                  ->for_each([&](const RecordView& record) -> Status {
                    kinds.push_back(record.index());
                    if (const auto* ddl = std::get_if<Ddl>(&record)) EXPECT_EQ(ddl->sql, "CREATE TABLE t (a INT)");
                    if (const auto* commit = std::get_if<Commit>(&record))
                      EXPECT_EQ(commit->position().to_string(), "binlog.000001:5000000000;0-1-7");
                    if (const auto* beat = std::get_if<Heartbeat>(&record)) EXPECT_EQ(beat->end_file, "binlog.000002");
                    return {};
                  })
                  .ok());
  EXPECT_EQ(kinds, (std::vector<size_t>{0, 2, 3, 4}));
}

TEST(Record, DamageIsRefused) {
  std::mt19937_64 random(7);
  std::deque<std::string> store;
  const TableSchema schema = sample_schema(random);
  BatchBuilder builder;
  builder.add_row(schema, schema.id(), RowOp::kInsert, 0, {}, sample_row(schema, random, store));
  const std::string good = builder.finish();
  ASSERT_TRUE(Batch::open(good).ok());
  for (size_t at = 0; at < good.size(); ++at) {
    if (at >= 6 && at < 12) continue;   // flags and record count are informative
    if (at >= 24 && at < 32) continue;  // row count, reserved
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    EXPECT_FALSE(Batch::open(bad).ok()) << "byte " << at;
  }
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(Batch::open(good.substr(0, size)).ok());
}

TEST(Record, RowsThatDoNotFitTheirDefinitionAreRefused) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    const TableSchema schema = sample_schema(random);
    std::string image(random() % 64, '\0');
    for (char& c : image) c = static_cast<char>(random());
    std::vector<ValueView> values(schema.columns.size());
    if (RowView(image).decode(schema, values).ok()) EXPECT_EQ(encode_row(schema, values).size(), image.size());
  }
}

TEST(Schema, EncodingRoundTripsAndIdFollowsContent) {
  std::mt19937_64 random(5);
  TableSchema schema = sample_schema(random);
  auto decoded = TableSchema::decode(schema.encode());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, schema);
  EXPECT_EQ(decoded->id(), schema.id());
  const uint64_t id = schema.id();
  schema.columns[0].name += "x";
  EXPECT_NE(schema.id(), id);
  const std::string bytes = schema.encode();
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(TableSchema::decode(bytes.substr(0, size)).ok());
}

TEST(Schema, RowKeyPrefersPrimaryAndNeedsNotNull) {
  TableSchema schema;
  schema.columns = {{.name = "a", .nullable = true}, {.name = "b", .nullable = false}};
  schema.keys = {{"ua", true, false, {{0, 0}}}};
  EXPECT_EQ(schema.row_key(), nullptr);
  schema.keys.push_back({"ub", true, false, {{1, 0}}});
  EXPECT_EQ(schema.row_key()->name, "ub");
  schema.keys.push_back({"PRIMARY", true, true, {{1, 0}}});
  EXPECT_EQ(schema.row_key()->name, "PRIMARY");
  EXPECT_EQ(schema.range_key(), schema.row_key());
}

TEST(Schema, KeysThatHoldNoOrderNameRowsButNoRanges) {
  TableSchema schema;
  schema.columns = {{.name = "a", .nullable = false}, {.name = "b", .nullable = false}};
  schema.keys = {{"PRIMARY", true, true, {{0, 10}}}};
  EXPECT_EQ(schema.row_key()->name, "PRIMARY");
  EXPECT_EQ(schema.range_key(), nullptr);
  schema.keys.push_back({"b", true, false, {{1, 0}}});
  EXPECT_EQ(schema.row_key()->name, "b");
  for (bool Key::*flag : {&Key::hash, &Key::ignored}) {
    schema.keys[1].*flag = true;
    EXPECT_EQ(schema.row_key()->name, "PRIMARY");
    EXPECT_EQ(schema.range_key(), nullptr);
    EXPECT_EQ(*TableSchema::decode(schema.encode()), schema);
    schema.keys[1].*flag = false;
  }
  EXPECT_EQ(schema.range_key()->name, "b");
}

}  // namespace
}  // namespace sluice
