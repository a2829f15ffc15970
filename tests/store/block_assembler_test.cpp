// Events to blocks, with a sink in memory.
#include "store/capture/block_assembler.hpp"

#include "tests/store/log_fixture.hpp"
#include "tests/support/manual_clock.hpp"

namespace sluice::store::test {
namespace {

// Keeps blocks as the log would: parts are visible with their commit only.
struct MemorySink final : BlockSink {
  std::vector<NewBlock> blocks;
  size_t visible = 0;
  bool open = false;
  Status begin(const Position&, int64_t) override { return {}; }
  Status write(NewBlock block) override {
    size_t ends = 0;
    EXPECT_TRUE(block.batch
                    .for_each([&](const RecordView& record) -> Status {
                      if (std::holds_alternative<Begin>(record)) {
                        EXPECT_FALSE(open);
                        open = true;
                      } else if (std::holds_alternative<Commit>(record)) {
                        EXPECT_TRUE(open);
                        open = false;
                        ++ends;
                      }
                      return {};
                    })
                    .ok());
    EXPECT_FALSE(open && ends);
    blocks.push_back(std::move(block));
    if (!open) visible = blocks.size();
    return {};
  }
  Status discard_open() override {
    blocks.resize(visible, blocks.front());
    open = false;
    return {};
  }
  std::vector<uint64_t> committed(std::vector<uint64_t>* rows = nullptr) {
    FrameReader frames;
    for (size_t index = 0; index < visible; ++index) EXPECT_TRUE(frames.take(blocks[index].batch).ok());
    if (rows) *rows = frames.rows_of;
    return frames.committed;
  }
};

struct Assembler : ::testing::Test {
  Assembler() { make(256 << 10); }
  void make(size_t block_bytes) {
    AssemblerOptions options;
    options.block_bytes = block_bytes;
    options.clock = &clock;
    assembler = std::make_unique<BlockAssembler>(options, scope, source, sink, nullptr);
    assembler->connected(position_of(0), {});
  }
  void begin(uint64_t n) {
    std::string gtid = position_of(n).gtids;
    Begin record;
    record.gtid = gtid;
    record.commit_time_us = time_of(n);
    ASSERT_TRUE(assembler->on_begin(record).ok());
  }
  void row(int64_t id, const std::string& value = "v") {
    std::vector<ValueView> after{ValueView::of_int(id), ValueView::of_bytes(value)};
    auto status = assembler->on_row(schema, schema->id(), RowOp::kInsert, 0, {}, after);
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
  Status commit(uint64_t n) {
    Position end = position_of(n);
    Commit record;
    record.gtid = record.gtids = end.gtids;
    record.file = end.file;
    record.offset = end.offset;
    record.commit_time_us = time_of(n);
    return assembler->on_commit(record);
  }
  Status transaction(uint64_t n, const std::string& value = "v") {
    begin(n);
    row(static_cast<int64_t>(n), value);
    return commit(n);
  }

  testing::ManualClock clock;
  TableMapping scope;
  SourceState source;
  MemorySink sink;
  SchemaPtr schema = table();
  std::unique_ptr<BlockAssembler> assembler;
};

TEST_F(Assembler, CollectsUntilIdleOrLate) {
  ASSERT_TRUE(transaction(1).ok());
  ASSERT_TRUE(transaction(2).ok());
  EXPECT_TRUE(sink.blocks.empty());
  ASSERT_TRUE(assembler->on_idle().ok());
  ASSERT_EQ(sink.blocks.size(), 1U);
  EXPECT_EQ(sink.blocks[0].tables.size(), 1U);
  EXPECT_EQ(sink.blocks[0].last.before, position_of(1));
  EXPECT_EQ(sink.blocks[0].last.end, position_of(2));
  ASSERT_TRUE(transaction(3).ok());
  clock.advance(std::chrono::milliseconds(6));
  ASSERT_TRUE(transaction(4).ok());
  EXPECT_EQ(sink.blocks.size(), 2U);
  EXPECT_TRUE(sink.blocks[1].tables.empty());
  EXPECT_EQ(sink.committed(), range(1, 4));
}

TEST_F(Assembler, WhatIsCompleteDoesNotWaitForAnOpenTransaction) {
  ASSERT_TRUE(transaction(1).ok());
  begin(2);
  row(2);
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(sink.committed(), range(1, 1));
  row(3);
  ASSERT_TRUE(commit(2).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  std::vector<uint64_t> rows;
  EXPECT_EQ(sink.committed(&rows), range(1, 2));
  EXPECT_EQ(rows, (std::vector<uint64_t>{1, 2}));
}

TEST_F(Assembler, LargeTransactionsSpanBlocks) {
  make(4096);
  ASSERT_TRUE(transaction(1).ok());
  begin(2);
  for (int n = 0; n < 100; ++n) row(n, std::string(500, 'x'));
  EXPECT_GT(sink.blocks.size(), 5U);
  EXPECT_EQ(sink.committed(), range(1, 1));
  ASSERT_TRUE(commit(2).ok());
  std::vector<uint64_t> rows;
  EXPECT_EQ(sink.committed(&rows), range(1, 2));
  EXPECT_EQ(rows, (std::vector<uint64_t>{1, 100}));
  EXPECT_EQ(assembler->emitted(), position_of(2));
  for (auto& block : sink.blocks) EXPECT_LT(block.batch.size(), 6000U);
}

// Where a transaction in parts ends is not known before its last one; where it begins must be.
TEST_F(Assembler, ATransactionInPartsBeginsBehindWhatWasPassed) {
  make(4096);
  ASSERT_TRUE(transaction(1).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  begin(2);
  ASSERT_TRUE(commit(2).ok());  // nothing in scope
  EXPECT_EQ(assembler->emitted(), position_of(1));
  begin(3);
  for (int n = 0; n < 100; ++n) row(n, std::string(500, 'x'));
  EXPECT_EQ(assembler->emitted(), position_of(2));
  EXPECT_EQ(sink.committed(), range(1, 1));
  ASSERT_TRUE(commit(3).ok());
  EXPECT_EQ(sink.committed().back(), 3U);
  EXPECT_EQ(sink.blocks.back().last.before, position_of(2));
}

TEST_F(Assembler, RollbackLeavesNothing) {
  make(4096);
  ASSERT_TRUE(transaction(1).ok());
  begin(90);
  row(90);
  ASSERT_TRUE(assembler->on_rollback().ok());
  ASSERT_TRUE(transaction(2).ok());
  begin(91);
  for (int n = 0; n < 100; ++n) row(n, std::string(500, 'x'));
  ASSERT_TRUE(assembler->on_rollback().ok());
  ASSERT_TRUE(transaction(3).ok());
  begin(92);
  ASSERT_TRUE(assembler->on_rollback().ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(sink.committed(), range(1, 3));
}

TEST_F(Assembler, EmptyTransactionsOnlyAdvance) {
  begin(1);
  ASSERT_TRUE(commit(1).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_TRUE(sink.blocks.empty());
  clock.advance(std::chrono::milliseconds(1001));
  begin(2);
  ASSERT_TRUE(commit(2).ok());
  ASSERT_EQ(sink.blocks.size(), 1U);
  EXPECT_EQ(assembler->emitted(), position_of(2));
  EXPECT_EQ(sink.blocks[0].last.end, position_of(2));
  EXPECT_TRUE(sink.committed().empty());
  // After one with rows the empty one's position goes along.
  ASSERT_TRUE(transaction(3).ok());
  begin(4);
  ASSERT_TRUE(commit(4).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(assembler->emitted(), position_of(4));
  EXPECT_EQ(sink.blocks.back().last.before, position_of(3));
  EXPECT_EQ(sink.blocks.back().last.end, position_of(4));
  clock.advance(std::chrono::milliseconds(1001));
  ASSERT_TRUE(assembler->on_heartbeat(position_of(9)).ok());
  EXPECT_EQ(assembler->emitted(), position_of(9));
  EXPECT_EQ(assembler->handed_last().end, position_of(4));
}

// After a lost connection the last transaction comes again, in other pieces; it is checked and dropped.
TEST_F(Assembler, TheLastTransactionIsCheckedAndDropped) {
  make(4096);
  ASSERT_TRUE(transaction(1).ok());
  begin(2);
  for (int n = 0; n < 100; ++n) row(n, std::string(500, 'x'));
  ASSERT_TRUE(commit(2).ok());
  begin(3);
  row(3);
  ASSERT_TRUE(assembler->disconnected().ok());
  auto resume = assembler->emitted();
  auto last = assembler->handed_last();
  EXPECT_EQ(resume, position_of(2));
  EXPECT_EQ(last.before, position_of(1));
  for (size_t block_bytes : {1000UL, 100'000UL}) {
    make(block_bytes);
    assembler->connected(resume, last);
    ASSERT_TRUE(transaction(1).ok());  // a reader may have to start earlier
    begin(2);
    for (int n = 0; n < 100; ++n) row(n, std::string(500, 'x'));
    EXPECT_TRUE(assembler->checking());
    ASSERT_TRUE(commit(2).ok());
    EXPECT_FALSE(assembler->checking());
  }
  ASSERT_TRUE(transaction(3).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(sink.committed(), range(1, 3));
  EXPECT_EQ(sink.blocks.back().tables.size(), 1U);  // named again: another connection, another incarnation perhaps
}

TEST_F(Assembler, AnotherLastTransactionIsADivergedSource) {
  ASSERT_TRUE(transaction(1).ok());
  ASSERT_TRUE(transaction(2).ok());
  ASSERT_TRUE(assembler->disconnected().ok());
  auto resume = assembler->emitted();
  auto last = assembler->handed_last();
  auto reconnect = [&] {
    make(4096);
    assembler->connected(resume, last);
  };
  reconnect();
  EXPECT_EQ(transaction(2, "another").error().code(), ErrorCode::SOURCE_DIVERGED);
  reconnect();
  EXPECT_EQ(transaction(3).error().code(), ErrorCode::SOURCE_DIVERGED);
  reconnect();
  ASSERT_TRUE(assembler->on_heartbeat(position_of(2)).ok());
  EXPECT_EQ(assembler->on_heartbeat(position_of(3)).error().code(), ErrorCode::SOURCE_DIVERGED);
}

// DDL takes the definitions of what it changes away; in a transaction that is open this waits for its end.
TEST_F(Assembler, DdlMakesDefinitionsUnknown) {
  auto ddl = [&](const std::string& sql) {
    Ddl record;
    record.database = "d";
    record.sql = sql;
    auto status = assembler->on_ddl(record);
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  };
  auto news = [&](const NewBlock& block) {
    std::string text;
    for (auto& one : block.tables)
      text += (one.schema ? "+" + one.schema->qualified_name() : "-" + one.name.to_string()) + " ";
    return text;
  };
  ASSERT_TRUE(transaction(1).ok());
  begin(2);
  ddl("RENAME TABLE t TO u");
  ASSERT_TRUE(commit(2).ok());
  begin(3);
  ddl("DROP DATABASE d");
  ASSERT_TRUE(commit(3).ok());
  ASSERT_TRUE(transaction(4).ok());
  begin(5);
  ddl("CREATE OR REPLACE TABLE t (id BIGINT, v VARBINARY(9)) SELECT 1 AS id");
  row(5);
  ASSERT_TRUE(assembler->on_idle().ok());
  ASSERT_EQ(sink.blocks.size(), 1U);
  EXPECT_EQ(news(sink.blocks[0]), "+d.t -d.t -d.u -d. +d.t ");
  ASSERT_TRUE(commit(5).ok());
  begin(6);
  ddl("no statement that anybody knows");
  ASSERT_TRUE(commit(6).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  ASSERT_EQ(sink.blocks.size(), 2U);
  EXPECT_EQ(news(sink.blocks[1]), "-d.t +d.t -. ");
  // A transaction that is rolled back says nothing, and what it named is named again.
  begin(7);
  row(7);
  ASSERT_TRUE(assembler->on_rollback().ok());
  ASSERT_TRUE(transaction(8).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(news(sink.blocks[2]), "+d.t ");
}

// A branch is kept until no reader can start before its end any more.
TEST_F(Assembler, PreparedBranchesAreKeptForWhoStartsBeforeTheirEnd) {
  auto branch = [&](const std::string& xid, uint64_t n) {
    mysql::XaBranch made;
    made.xid = xid;
    made.prepared = position_of(n);
    std::vector<ValueView> after{ValueView::of_int(7), ValueView::of_bytes("x")};
    made.rows.push_back({schema, schema->id(), RowOp::kInsert, 2, {}, encode_row(*schema, after)});
    made.bytes = 50;
    return std::make_shared<const mysql::XaBranch>(std::move(made));
  };
  auto kept = [&] {  // what a Store that starts now finds, at the place where it would start
    PreparedBranches found;
    std::map<std::string, std::string> rows;
    for (auto& block : sink.blocks)
      for (auto& row : block.kept)
        if (row.bytes)
          rows[row.name] = *row.bytes;
        else
          rows.erase(row.name);
    for (auto& [name, bytes] : rows) EXPECT_TRUE(found.restore(name, bytes).ok()) << name;
    std::string xids;
    for (auto& one : found.open_at(assembler->handed_last().before)) {
      xids += one->xid;
      EXPECT_EQ(one->rows.at(0).after, branch("", 0)->rows[0].after);
      EXPECT_EQ(*one->rows[0].schema, *schema);
      EXPECT_EQ(one->rows[0].flags, 2);
    }
    return xids + std::to_string(rows.size());
  };
  ASSERT_TRUE(transaction(1).ok());
  auto first = branch("a", 2), second = branch("b", 3);
  ASSERT_TRUE(assembler->on_prepared(first).ok());
  ASSERT_TRUE(assembler->on_prepared(second).ok());
  ASSERT_TRUE(transaction(4).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(kept(), "2");  // a reader starts at 1 and meets both
  ASSERT_TRUE(transaction(5).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(kept(), "ab2");
  // The end of a branch is the last transaction: who starts reads it again.
  ASSERT_TRUE(assembler->on_branch_end(*first, position_of(6)).ok());
  ASSERT_TRUE(transaction(6).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(kept(), "ab3");
  ASSERT_TRUE(transaction(7).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(kept(), "b1");
}

// What is prepared holds nobody back.
TEST_F(Assembler, HeartbeatsPassAPreparedBranch) {
  auto branch = std::make_shared<const mysql::XaBranch>(mysql::XaBranch{"a", position_of(1), {}, 0});
  ASSERT_TRUE(assembler->on_prepared(branch).ok());
  clock.advance(std::chrono::milliseconds(1001));
  ASSERT_TRUE(assembler->on_heartbeat(position_of(1)).ok());
  ASSERT_EQ(sink.blocks.size(), 1U);
  EXPECT_EQ(assembler->emitted(), position_of(1));
  EXPECT_EQ(sink.blocks[0].kept.size(), 1U);
}

}  // namespace
}  // namespace sluice::store::test
