#include "tests/store/log_fixture.hpp"

namespace sluice::store::test {
namespace {

TEST(Log, HoldsWhatWasAppendedAcrossReopening) {
  Folder folder;
  {
    auto log = open_log(folder);
    ASSERT_TRUE(log->set_start({position_of(0), 5}).ok());
    EXPECT_FALSE(log->set_start({position_of(1), 5}).ok());
    ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
    fill(*log, 1, 10, 3);
    EXPECT_EQ(read_after(*log, position_of(0)), range(1, 10));
  }
  auto log = open_log(folder);
  EXPECT_EQ((*log->start())->position, position_of(0));
  EXPECT_EQ(log->status().end, position_of(10));
  EXPECT_EQ(log->status().last.digest, 10U);
  EXPECT_EQ(read_after(*log, position_of(0)), range(1, 10));
  EXPECT_EQ(read_after(*log, {}), range(1, 10));
  auto schema = log->schema(table()->id());
  ASSERT_TRUE(schema.ok());
  EXPECT_EQ(**schema, *table());
}

TEST(Log, SeeksEveryPositionCuttingTheFirstBlock) {
  Folder folder;
  auto log = open_log(folder, 0);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 50, 7);
  for (uint64_t n = 0; n <= 50; ++n) {
    EXPECT_EQ(read_after(*log, position_of(n)), range(n + 1, 50)) << n;
    // The same when only the GTIDs are known.
    EXPECT_EQ(read_after(*log, {"", 0, position_of(n).gtids}), range(n + 1, 50)) << n;
    auto cursor = Cursor::at_time(*log, time_of(n) + 1);
    ASSERT_TRUE(cursor.ok());
    EXPECT_EQ(read_all(*cursor), range(n + 1, 50)) << n;
  }
}

TEST(Log, WaitsForAPositionThatIsStillToCome) {
  Folder folder;
  auto log = open_log(folder);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 3);
  auto cursor = Cursor::after(*log, position_of(6));
  ASSERT_TRUE(cursor.ok());
  fill(*log, 4, 5);
  EXPECT_EQ(read_all(*cursor), range(1, 0));
  fill(*log, 6, 9, 4);
  EXPECT_EQ(read_all(*cursor), range(7, 9));
}

TEST(Log, HidesATransactionUntilItsCommit) {
  Folder folder;
  auto log = open_log(folder);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 2);
  int calls = 0;
  auto listener = log->add_listener([&] { ++calls; });
  auto schema = table();
  BatchBuilder builder;
  add_begin(builder, 3);
  add_insert(builder, *schema, 31, "a");
  ASSERT_TRUE(log->append(block_of(builder, {schema})).ok());
  add_insert(builder, *schema, 32, "b");
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(log->status().end, position_of(2));
  auto cursor = Cursor::after(*log, position_of(0));
  EXPECT_EQ(read_all(*cursor), range(1, 2));
  add_commit(builder, 3, 2);
  ASSERT_TRUE(log->append(block_of(builder, {}, {position_of(2), position_of(3), 3})).ok());
  EXPECT_EQ(calls, 1);
  log->remove_listener(listener);
  EXPECT_EQ(read_all(*cursor), range(3, 3));
  EXPECT_EQ(read_after(*log, position_of(2)), range(3, 3));
  EXPECT_EQ(read_after(*log, position_of(3)), range(4, 3));
  fill(*log, 4, 5);
  EXPECT_EQ(read_after(*log, position_of(2)), range(3, 5));
  EXPECT_EQ(read_after(*log, position_of(3)), range(4, 5));
}

TEST(Log, RefusesBlocksThatMixTransactions) {
  Folder folder;
  auto log = open_log(folder);
  auto schema = table();
  BatchBuilder builder;
  add_transaction(builder, *schema, 1);
  EXPECT_EQ(log->append(block_of(builder)).error().code(), ErrorCode::WRONG_STATE);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  add_transaction(builder, *schema, 1);
  add_begin(builder, 2);
  EXPECT_EQ(log->append(block_of(builder)).error().code(), ErrorCode::INTERNAL);
  add_commit(builder, 2);
  EXPECT_EQ(log->append(block_of(builder)).error().code(), ErrorCode::INTERNAL);
  add_begin(builder, 1);
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  add_commit(builder, 1);
  add_transaction(builder, *schema, 2);
  EXPECT_EQ(log->append(block_of(builder)).error().code(), ErrorCode::INTERNAL);
}

TEST(Log, CutsTheUnfinishedTailWhenOpened) {
  Folder folder;
  auto schema = table();
  {
    auto log = open_log(folder);
    ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
    fill(*log, 1, 4, 2);
    BatchBuilder builder;
    add_begin(builder, 5);
    add_insert(builder, *schema, 5, "part");
    ASSERT_TRUE(log->append(block_of(builder)).ok());
  }
  auto log = open_log(folder);
  EXPECT_EQ(log->status().end, position_of(4));
  EXPECT_EQ(log->block(1, 3).error().code(), ErrorCode::NOT_FOUND);
  EXPECT_EQ(read_after(*log, position_of(1)), range(2, 4));
}

TEST(Log, ForgetsARolledBackTransaction) {
  Folder folder;
  auto log = open_log(folder);
  auto schema = table();
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 2);
  BatchBuilder builder;
  add_begin(builder, 99);
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  add_insert(builder, *schema, 99, "x");
  ASSERT_TRUE(log->append(block_of(builder, {schema})).ok());
  ASSERT_TRUE(log->discard_open().ok());
  fill(*log, 3, 6, 2);
  EXPECT_EQ(read_after(*log, position_of(1)), range(2, 6));
}

TEST(Log, PassesFromOneIncarnationToTheNext) {
  Folder folder;
  {
    auto log = open_log(folder);
    ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
    fill(*log, 1, 10, 4);
  }
  auto log = open_log(folder);
  auto cursor = Cursor::after(*log, position_of(5));
  EXPECT_EQ(read_all(*cursor), range(6, 10));
  ASSERT_TRUE(log->begin_incarnation(position_of(10), 0).ok());
  EXPECT_EQ(read_all(*cursor), range(11, 10));
  fill(*log, 11, 20, 3);
  EXPECT_EQ(read_all(*cursor), range(11, 20));
  // A start that overlaps: the reader takes each transaction once.
  auto behind = Cursor::after(*log, position_of(12));
  ASSERT_TRUE(log->begin_incarnation(position_of(15), 0).ok());
  fill(*log, 16, 25, 4);
  EXPECT_EQ(read_all(*cursor), range(21, 25));
  EXPECT_EQ(read_all(*behind), range(13, 25));
  for (uint64_t n = 0; n <= 25; ++n) EXPECT_EQ(read_after(*log, position_of(n)), range(n + 1, 25)) << n;
  auto by_time = Cursor::at_time(*log, time_of(22));
  EXPECT_EQ(read_all(*by_time), range(22, 25));
}

TEST(Log, AStartWithoutBlocksLeavesNothingBehind) {
  Folder folder;
  auto log = open_log(folder);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 2);
  ASSERT_TRUE(log->begin_incarnation(position_of(2), 0).ok());
  ASSERT_TRUE(log->begin_incarnation(position_of(2), 0).ok());
  EXPECT_EQ(log->incarnations().size(), 2U);
  EXPECT_EQ(log->status().last.digest, 2U);
  EXPECT_EQ(read_after(*log, position_of(0)), range(1, 2));
}

// A reader comes before capture has begun: it stands in the earlier start, which held nothing and is gone then.
TEST(Log, AReaderOfAStartWithoutBlocksGoesOnInTheNext) {
  Folder folder;
  auto log = open_log(folder);
  ASSERT_TRUE(log->begin_incarnation(position_of(3), 0).ok());
  auto cursor = Cursor::after(*log, position_of(3));
  ASSERT_TRUE(cursor.ok());
  auto nothing = cursor->next();
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(*nothing, nullptr);
  ASSERT_TRUE(log->begin_incarnation(position_of(3), 0).ok());
  auto still_nothing = cursor->next();
  ASSERT_TRUE(still_nothing.ok()) << still_nothing.error().to_string();
  fill(*log, 4, 5);
  EXPECT_EQ(read_all(*cursor), range(4, 5));
}

// What tables look like at the resume position: by blocks, in their order, and not before their transaction is
// complete.
TEST(Log, DefinitionsFollowTheResumePosition) {
  Folder folder;
  auto log = open_log(folder);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  auto known = [&] {
    std::vector<std::string> names;
    EXPECT_TRUE(log->for_each_table(
                       [&](const SchemaPtr& schema) { return names.push_back(schema->qualified_name()), Status(); })
                    .ok());
    return names;
  };
  BatchBuilder builder;
  uint64_t n = 0;
  auto write = [&](std::vector<TableNews> news) {
    add_transaction(builder, *table(), ++n);
    auto block = block_of(builder);
    block.tables = std::move(news);
    ASSERT_TRUE(log->append(block).ok());
  };
  using Names = std::vector<std::string>;
  write({{{}, table("a")}, {{}, table("b")}, {{}, table("a", "e")}, {{}, table("c", "d.x")}});
  EXPECT_EQ(known(), (Names{"d.a", "d.b", "d.x.c", "e.a"}));
  write({{{"d", "a"}, nullptr}});
  EXPECT_EQ(known(), (Names{"d.b", "d.x.c", "e.a"}));
  write({{{}, table("a")}, {{"d", "a"}, nullptr}, {{"d", "b"}, nullptr}, {{}, table("b")}});
  EXPECT_EQ(known(), (Names{"d.b", "d.x.c", "e.a"}));
  // A part of a transaction: not before its end, and never when it is forgotten.
  for (bool finished : {false, true}) {
    add_begin(builder, ++n);
    add_insert(builder, *table(), 1, "v");
    auto part = block_of(builder);
    part.tables = {{{"d", "b"}, nullptr}, {{}, table("z")}};
    ASSERT_TRUE(log->append(part).ok());
    EXPECT_EQ(known(), (Names{"d.b", "d.x.c", "e.a"}));
    if (finished) {
      add_commit(builder, n);
      ASSERT_TRUE(log->append(block_of(builder)).ok());
      EXPECT_EQ(known(), (Names{"d.x.c", "d.z", "e.a"}));
    } else {
      ASSERT_TRUE(log->discard_open().ok());
    }
  }
  write({{{"e", ""}, nullptr}});
  EXPECT_EQ(known(), (Names{"d.x.c", "d.z"}));
  write({{{}, nullptr}, {{}, table("y")}});
  EXPECT_EQ(known(), Names{"d.y"});
}

TEST(Log, HeartbeatsMoveTheEnd) {
  Folder folder;
  auto log = open_log(folder);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 2);
  auto at = position_of(7);
  Heartbeat heartbeat;
  heartbeat.file = at.file;
  heartbeat.offset = at.offset;
  heartbeat.gtids = at.gtids;
  BatchBuilder builder;
  builder.add(heartbeat);
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  EXPECT_EQ(log->status().end, at);
  auto cursor = Cursor::after(*log, position_of(0));
  EXPECT_EQ(read_all(*cursor), range(1, 2));
  EXPECT_EQ(cursor->position(), at);
  EXPECT_TRUE(cursor->at_end());
}

TEST(Log, ReportsDamagedBlocks) {
  Folder folder;
  auto log = open_log(folder, 0);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 1);
  auto block = log->block(1, 1);
  ASSERT_TRUE(block.ok());
  std::string bytes((*block)->batch.bytes());
  bytes[bytes.size() - 3] ^= 1;
  EXPECT_EQ(Batch::open(bytes).error().code(), ErrorCode::CORRUPTED);
  EXPECT_EQ(BlockInfo::decode((*block)->info.encode().substr(1)).error().code(), ErrorCode::CORRUPTED);
}

TEST(Log, ReadOnlyLooksWithoutLocking) {
  Folder folder;
  auto log = open_log(folder);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 5);
  EXPECT_EQ(Log::open({folder.log()}).error().code(), ErrorCode::IO_ERROR);
  auto other = Log::open_read_only({folder.log()});
  ASSERT_TRUE(other.ok()) << other.error().to_string();
  EXPECT_EQ(read_after(**other, position_of(2)), range(3, 5));
  EXPECT_EQ((*other)->begin_incarnation(position_of(5), 0).error().code(), ErrorCode::WRONG_STATE);
}

// Any transactions in any blocks, with restarts and rolled back ones, read from any position: each exactly once.
TEST(Log, RandomTransactionsAndCutsAreReadExactlyOnce) {
  std::mt19937 random(20240517);
  for (int round = 0; round < 20; ++round) {
    Folder folder;
    auto log = open_log(folder, random() % 2 ? 0 : 4096);
    auto schema = table();
    ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
    BatchBuilder builder;
    std::vector<uint64_t> rows_of;
    uint64_t n = 0;
    auto flush = [&] {
      if (!builder.empty())
        ASSERT_TRUE(log->append(block_of(builder, {schema}, {position_of(n - 1), position_of(n), n})).ok());
    };
    while (n < 120) {
      uint64_t rows = random() % 20 == 0 ? 40 : random() % 4;
      bool large = rows == 40, rolled_back = large && random() % 3 == 0;
      if (large) flush();
      add_begin(builder, n + 1);
      for (uint64_t row = 0; row < rows; ++row) {
        add_insert(builder, *schema, static_cast<int64_t>(row), std::string(random() % 200, 'x'));
        if (large && random() % 5 == 0) ASSERT_TRUE(log->append(block_of(builder, {schema})).ok());
      }
      if (rolled_back) {
        if (!builder.empty()) ASSERT_TRUE(log->append(block_of(builder, {schema})).ok());
        ASSERT_TRUE(log->discard_open().ok());
        continue;
      }
      ++n;
      add_commit(builder, n, rows);
      rows_of.push_back(rows);
      if (large || random() % 3 == 0) flush();
      if (random() % 40 == 0) {
        flush();
        log.reset();
        log = open_log(folder, 4096);
        ASSERT_EQ(log->status().end, position_of(n));
        ASSERT_TRUE(log->begin_incarnation(position_of(n), 0).ok());
      }
    }
    flush();
    for (int look = 0; look < 20; ++look) {
      uint64_t after = random() % 121;
      auto cursor = Cursor::after(*log, position_of(after));
      ASSERT_TRUE(cursor.ok());
      FrameReader frames;
      for (;;) {
        auto block = cursor->next();
        ASSERT_TRUE(block.ok());
        if (!*block) break;
        ASSERT_TRUE(frames.take((*block)->batch).ok());
      }
      ASSERT_EQ(frames.committed, range(after + 1, 120));
      ASSERT_EQ(frames.rows_of, std::vector<uint64_t>(rows_of.begin() + static_cast<long>(after), rows_of.end()));
    }
  }
}

}  // namespace
}  // namespace sluice::store::test
