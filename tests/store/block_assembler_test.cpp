// Events to blocks, with a sink in memory.
#include "store/capture/block_assembler.hpp"

#include "tests/store/log_fixture.hpp"

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

struct Assembler : testing::Test {
  Assembler() { make(256 << 10); }
  void make(size_t block_bytes) {
    AssemblerOptions options;
    options.block_bytes = block_bytes;
    options.clock = &clock;
    assembler = std::make_unique<BlockAssembler>(options, scope, source, sink, nullptr);
    assembler->connected(position_of(0), {}, nullptr);
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

  ManualClock clock;
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
  EXPECT_EQ(sink.blocks[0].schemas.size(), 1U);
  EXPECT_EQ(sink.blocks[0].last.before, position_of(1));
  EXPECT_EQ(sink.blocks[0].last.end, position_of(2));
  ASSERT_TRUE(transaction(3).ok());
  clock.advance(std::chrono::milliseconds(6));
  ASSERT_TRUE(transaction(4).ok());
  EXPECT_EQ(sink.blocks.size(), 2U);
  EXPECT_TRUE(sink.blocks[1].schemas.empty());
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
    assembler->connected(resume, last, nullptr);
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
  EXPECT_EQ(sink.blocks.back().schemas.size(), 1U);  // named again: another connection, another incarnation perhaps
}

TEST_F(Assembler, AnotherLastTransactionIsADivergedSource) {
  ASSERT_TRUE(transaction(1).ok());
  ASSERT_TRUE(transaction(2).ok());
  ASSERT_TRUE(assembler->disconnected().ok());
  auto resume = assembler->emitted();
  auto last = assembler->handed_last();
  auto reconnect = [&] {
    make(4096);
    assembler->connected(resume, last, nullptr);
  };
  reconnect();
  EXPECT_EQ(transaction(2, "another").error().code(), ErrorCode::SOURCE_DIVERGED);
  reconnect();
  EXPECT_EQ(transaction(3).error().code(), ErrorCode::SOURCE_DIVERGED);
  reconnect();
  ASSERT_TRUE(assembler->on_heartbeat(position_of(2)).ok());
  EXPECT_EQ(assembler->on_heartbeat(position_of(3)).error().code(), ErrorCode::SOURCE_DIVERGED);
}

TEST_F(Assembler, ResumingNeverPassesAPreparedBranch) {
  Position safe = position_of(1);
  assembler->connected(position_of(0), {}, [&] { return safe; });
  ASSERT_TRUE(transaction(1).ok());
  ASSERT_TRUE(transaction(2).ok());
  ASSERT_TRUE(transaction(3).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(assembler->handed_last().before, position_of(1));
  EXPECT_EQ(assembler->handed_last().end, position_of(3));
  safe = position_of(4);
  ASSERT_TRUE(transaction(4).ok());
  ASSERT_TRUE(assembler->on_idle().ok());
  EXPECT_EQ(assembler->handed_last().before, position_of(3));
}

// Before the first transaction there is nothing to start before the branch by: the position stays.
TEST_F(Assembler, HeartbeatsWaitForABranchBeforeTheFirstTransaction) {
  Position safe = position_of(0);
  assembler->connected(position_of(0), {}, [&] { return safe; });
  clock.advance(std::chrono::milliseconds(1001));
  ASSERT_TRUE(assembler->on_heartbeat(position_of(1)).ok());
  EXPECT_TRUE(sink.blocks.empty());
  safe = position_of(1);
  ASSERT_TRUE(assembler->on_heartbeat(position_of(1)).ok());
  EXPECT_EQ(sink.blocks.size(), 1U);
}

}  // namespace
}  // namespace sluice::store::test
