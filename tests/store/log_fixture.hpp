// Transactions, blocks and folders for the tests of the Store.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "store/log/cursor.hpp"
#include "store/log/log.hpp"
#include "store/log/reencode.hpp"

namespace sluice::store::test {

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-store-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string log() const { return path_ + "/log"; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline SchemaPtr table(const std::string& name = "t", const std::string& database = "d") {
  TableSchema schema;
  schema.database = database;
  schema.name = name;
  schema.columns.resize(2);
  schema.columns[0].name = "id";
  schema.columns[0].type = ColumnType::kBigInt;
  schema.columns[0].nullable = false;
  schema.columns[1].name = "v";
  schema.columns[1].type = ColumnType::kVarbinary;
  schema.columns[1].length = 1 << 20;
  return std::make_shared<const TableSchema>(schema);
}

// Transaction number n of the test's source ends at offset 100 * n and was committed at second n.
inline Position position_of(uint64_t n) { return {"bin.000001", 100 * n, "0-1-" + std::to_string(n)}; }
inline int64_t time_of(uint64_t n) { return static_cast<int64_t>(n) * 1'000'000; }

inline void add_begin(BatchBuilder& builder, uint64_t n) {
  std::string gtid = "0-1-" + std::to_string(n);
  Begin begin;
  begin.gtid = gtid;
  begin.commit_time_us = time_of(n);
  begin.server_id = 1;
  builder.add(begin);
}

inline void add_insert(BatchBuilder& builder, const TableSchema& schema, int64_t id, std::string_view value) {
  std::vector<ValueView> row{ValueView::of_int(id), ValueView::of_bytes(value)};
  builder.add_row(schema, schema.id(), RowOp::kInsert, 0, {}, row);
}

inline void add_commit(BatchBuilder& builder, uint64_t n, uint64_t rows = 1) {
  Position end = position_of(n);
  Commit commit;
  commit.gtid = end.gtids;
  commit.file = end.file;
  commit.offset = end.offset;
  commit.gtids = end.gtids;
  commit.commit_time_us = time_of(n);
  commit.row_count = rows;
  builder.add(commit);
}

inline void add_transaction(BatchBuilder& builder, const TableSchema& schema, uint64_t n,
                            std::string_view value = "v") {
  add_begin(builder, n);
  add_insert(builder, schema, static_cast<int64_t>(n), value);
  add_commit(builder, n);
}

inline NewBlock block_of(BatchBuilder& builder, std::vector<SchemaPtr> schemas = {}, LastTransaction last = {}) {
  auto batch = Batch::open(builder.finish());
  EXPECT_TRUE(batch.ok());
  NewBlock block{std::move(batch).value(), {}, std::move(last), {}};
  for (SchemaPtr& schema : schemas) block.tables.push_back({{}, std::move(schema)});
  return block;
}

inline std::unique_ptr<Log> open_log(const Folder& folder, size_t cache_bytes = 1 << 20, Clock* clock = nullptr) {
  LogOptions options;
  options.path = folder.log();
  options.cache_bytes = cache_bytes;
  options.clock = clock;
  auto log = Log::open(options);
  EXPECT_TRUE(log.ok()) << log.error().to_string();
  return log.ok() ? std::move(log).value() : nullptr;
}

// Writes transactions first..last, `per_block` in each block.
inline void fill(Log& log, uint64_t first, uint64_t last, uint64_t per_block = 1, std::string_view value = "v") {
  auto schema = table();
  BatchBuilder builder;
  for (uint64_t n = first; n <= last; ++n) {
    add_transaction(builder, *schema, n, value);
    if ((n - first + 1) % per_block && n != last) continue;
    auto status = log.append(block_of(builder, {schema}, {position_of(n - 1), position_of(n), n}));
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
}

// Numbers of the committed transactions that a batch holds. Checks the frame: begin, rows, commit.
struct FrameReader {
  std::vector<uint64_t> committed;
  std::vector<uint64_t> rows_of;  // rows per committed transaction
  bool open = false;
  uint64_t rows = 0;
  Status take(const Batch& batch) {
    return batch.for_each([&](const RecordView& record) -> Status {
      if (std::holds_alternative<Begin>(record)) {
        EXPECT_FALSE(open);
        open = true;
        rows = 0;
      } else if (auto* one = std::get_if<Rows>(&record)) {
        EXPECT_TRUE(open);
        rows += one->row_count;
      } else if (auto* commit = std::get_if<Commit>(&record)) {
        EXPECT_TRUE(open);
        open = false;
        committed.push_back(commit->offset / 100);
        rows_of.push_back(rows);
      }
      return {};
    });
  }
};

// Reads what is visible now.
inline std::vector<uint64_t> read_all(Cursor& cursor) {
  FrameReader frames;
  for (;;) {
    auto block = cursor.next();
    EXPECT_TRUE(block.ok()) << block.error().to_string();
    if (!block.ok() || !*block) return frames.committed;
    EXPECT_TRUE(frames.take((*block)->batch).ok());
  }
}

inline std::vector<uint64_t> read_after(const Log& log, const Position& after) {
  auto cursor = Cursor::after(log, after);
  EXPECT_TRUE(cursor.ok()) << cursor.error().to_string();
  return cursor.ok() ? read_all(*cursor) : std::vector<uint64_t>();
}

inline std::vector<uint64_t> range(uint64_t first, uint64_t last) {
  std::vector<uint64_t> numbers;
  for (uint64_t n = first; n <= last; ++n) numbers.push_back(n);
  return numbers;
}

}  // namespace sluice::store::test
