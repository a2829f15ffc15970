// What the Checker may believe: order of its looks, engines, keys and columns that are special, verdicts that became
// void, silent servers.
#include "tests/integration/components/checker_fixture.hpp"
#include "tests/support/manual_clock.hpp"

namespace sluice::agents {
namespace {

// The target, read while a change of the source that it never got lies between the two looks, must not come out equal.
TEST_F(CheckerTest, TheTargetIsReadBeforeTheSource) {
  both("CREATE TABLE d.t (id INT PRIMARY KEY, v INT); INSERT INTO d.t VALUES (1,1),(2,2)");
  const checker::SideEndpoints endpoints{source_->endpoint(), target_->endpoint(), component_.lease(), true};
  auto sides = checker::open_sides(endpoints);
  ASSERT_TRUE(sides.ok());
  const auto schema = [](MariaDbServer& server) {
    auto catalog = mysql::Connection::open(server.endpoint(), {.purpose = mysql::Purpose::kCatalog});
    return *mysql::read_table(**catalog, {"d", "t"});
  };
  const auto on_target = schema(*target_);
  const auto pair = checker::make_pair({"d", "t"}, {"d", "t"}, schema(*source_), &on_target);
  for (const bool by_key : {false, true}) {
    target_->sql("LOCK TABLES d.t WRITE");
    Result<checker::ChunkComparison> found = Error(ErrorCode::INTERNAL, "not yet");
    std::thread comparer([&] {
      found =
          by_key ? checker::compare_keys(*sides, pair, {{"1"}, {"2"}}) : checker::compare_chunk(*sides, pair, {}, 10);
    });
    auto blocked = mysql::Connection::open(target_->endpoint(), {});
    EXPECT_TRUE(sluice::testing::wait_until([&] {
      return (*blocked)
                 ->query_value(
                     "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for "
                     "table metadata lock'")
                 .value() == "1";
    }));
    source_->sql("UPDATE d.t SET v=v+10 WHERE id=1");
    target_->sql("UNLOCK TABLES");
    comparer.join();
    ASSERT_TRUE(found.ok()) << found.error().to_string();
    EXPECT_EQ(found->difference_count, 1U) << by_key;
    target_->sql("UPDATE d.t SET v=v+10 WHERE id=1");
  }
}

// The snapshot of a hold does not cover it, so what differs there may only be newer.
TEST_F(CheckerTest, ATableWithoutSnapshotsThatMovesIsUnsettledNeverDifferent) {
  both(kLiveTable);
  source_->sql("ALTER TABLE d.t ENGINE=MyISAM");
  component_.spec_mutable().set_with_incremental(true);
  FakeIncrSync incr(component_, *source_, *target_);
  const checker::SideEndpoints endpoints{source_->endpoint(), target_->endpoint(), component_.lease(), true};
  auto catalog = [](MariaDbServer& server) {
    return std::move(*mysql::Connection::open(server.endpoint(), {.purpose = mysql::Purpose::kCatalog}));
  };
  const auto pairs =
      checker::read_pairs(*catalog(*source_), *catalog(*target_), *TableMapping::create({"d.t"}, {}, {}));
  ASSERT_TRUE(pairs.ok());
  checker::PendingTables pending;
  pending[0].keys.insert({"1"});
  auto report = checker::DifferenceReport::create(folder_.file("r"));
  ASSERT_TRUE(report.ok());
  checker::Settler settler(component_, *pairs, endpoints, {.holds_max = 2, .hold_pause = 50ms}, pending, *report);
  ASSERT_TRUE(settler.run().ok());
  EXPECT_EQ(settler.verdicts().at(0).differences, 0U);
  EXPECT_GT(incr.holds(), 0);
  ASSERT_TRUE(report->finish().ok());
  EXPECT_EQ(report->difference_file(), "");
}

TEST_F(CheckerTest, VirtualColumnsAreNotCompared) {
  both("SET SESSION sql_mode=''");
  both(R"(CREATE TABLE d.v (id INT PRIMARY KEY, s VARCHAR(9), n DATETIME(6) AS (NOW(6)) VIRTUAL,
      c INT AS (CAST(s AS INT)) VIRTUAL, kept INT AS (id+1) VIRTUAL, KEY (kept), stored INT AS (id+2) STORED);
    INSERT INTO d.v (id,s) VALUES (1,'abc'),(2,'2'))");
  const auto status = check();
  EXPECT_EQ(verify_of(status, "d.v"), "EQUAL");
  ASSERT_EQ(status.warnings_size(), 1);
  EXPECT_NE(status.warnings(0).find("d.v (n, c)"), std::string::npos) << status.warnings(0);
  target_->sql("ALTER TABLE d.v MODIFY kept INT AS (id+3) VIRTUAL");
  EXPECT_EQ(differences_of(check(), "d.v"), 2U);
  both("SET SESSION sql_mode=DEFAULT");
}

TEST_F(CheckerTest, KeysThatAreNoGoodForRangesAreNotUsed) {
  both(R"(CREATE TABLE d.ignored (b INT NOT NULL, v INT NOT NULL, UNIQUE KEY v (v), UNIQUE KEY b (b) IGNORED);
    CREATE TABLE d.prefix (t VARCHAR(100), v INT, PRIMARY KEY (t(3)));
    INSERT INTO d.ignored SELECT seq,seq FROM d.seq_1_to_100;
    INSERT INTO d.prefix SELECT 100+seq,seq FROM d.seq_1_to_100)");
  EXPECT_EQ(check().checker().differences(), 0U);
  target_->sql("UPDATE d.ignored SET b=0 WHERE b=5; DELETE FROM d.prefix WHERE v=5");
  const auto status = check();
  EXPECT_EQ(differences_of(status, "d.ignored"), 1U);  // by the key that may be used
  EXPECT_EQ(differences_of(status, "d.prefix"), 1U);
  run_file(status.checker().correction_file());
  EXPECT_EQ(check().checker().differences(), 0U);
}

TEST_F(CheckerTest, EachEntryOfTheJournalHasItsOwnAge) {
  testing::ManualClock clock;
  const std::string folder = folder_.file("journal");
  const auto open = [&](std::vector<uint64_t> marks = {}) {
    return std::move(checker::CheckJournal::open(folder, {checker::TablePair()}, marks, clock)).value();
  };
  const auto add = [](checker::CheckJournal& journal, uint64_t number, const std::string& after) {
    checker::CheckJournal::Entry entry;
    entry.chunk.number = number;
    if (!after.empty()) entry.chunk.after = {after};
    entry.chunk.upto = {std::to_string(number + 1)};
    ASSERT_TRUE(journal.add(entry).ok());
  };
  {
    auto journal = open();
    add(journal, 0, "");
    clock.advance(10min);
    add(journal, 1, "1");
  }
  EXPECT_EQ(open().finished(0).size(), 2U);  // opening it makes nothing younger
  clock.advance(6min);
  EXPECT_EQ(open().finished(0).size(), 0U);
  {
    auto journal = open();
    add(journal, 0, "");
  }
  EXPECT_EQ(open().finished(0).size(), 2U);     // the second is still young
  EXPECT_EQ(open({5}).finished(0).size(), 0U);  // of another copy of the table
}

// The verdict of a table is void when it is copied again, or a row of it is left as it was, after it was compared. The
// limit of rows per second holds the verification where the test wants it.
TEST_F(CheckerTest, WhatHappensAfterATableWasComparedIsComparedAsWell) {
  both(
      "CREATE TABLE d.a (id INT PRIMARY KEY, v INT); INSERT INTO d.a VALUES (1,1),(2,2);"
      "CREATE TABLE d.b (id INT PRIMARY KEY, v INT); INSERT INTO d.b VALUES (1,1),(2,2);"
      "CREATE TABLE d.slow (id INT PRIMARY KEY); INSERT INTO d.slow SELECT seq FROM d.seq_1_to_5000");
  auto& spec = component_.spec_mutable();
  spec.set_project_id("np");
  spec.set_component_id("np.check");
  spec.set_readers(1);
  spec.set_throttle_rows_per_second(10);
  const database::Owner owner{"np", "np.full", 1, "sluice"};
  auto target = std::move(mysql::Connection::open(target_->endpoint(), {})).value();
  ASSERT_TRUE(database::create_bookkeeping(*target, "sluice").ok());
  ASSERT_TRUE(database::take_over(target_->endpoint(), owner).ok());
  database::TableRow row;
  row.source = row.target = {"d", "a"};
  row.state = database::TableState::kCopied;
  row.round = 1;
  ASSERT_TRUE(database::write_table(*target, owner, row).ok());
  Status ended;
  std::thread verification([&] { ended = run_checker(component_); });
  EXPECT_TRUE(
      component_.wait_status([](const ComponentStatus& status) { return verify_of(status, "d.b") == "EQUAL"; }, 60s));
  target_->sql("UPDATE d.a SET v=0 WHERE id=1; UPDATE d.b SET v=0 WHERE id=2");
  row.round = 2;
  EXPECT_TRUE(database::write_table(*target, owner, row).ok());
  database::ConflictRow conflict;
  conflict.table = {"d", "b"};
  conflict.key = "`id`=2";
  conflict.kind = "UPDATE";
  EXPECT_TRUE(database::record_conflicts(*target, owner, 0, {conflict}, 1, 1).ok());
  component_.desire(
      [](cluster::v1::ComponentDesired& desired) { desired.set_throttle_rows_per_second(1'000'000'000); });
  verification.join();
  target_->sql("DROP DATABASE sluice");
  ASSERT_TRUE(ended.ok()) << ended.error().to_string();
  const auto status = component_.status();
  EXPECT_EQ(differences_of(status, "d.a"), 2U);  // compared as a whole: a row that is missing and one too many
  EXPECT_EQ(differences_of(status, "d.b"), 1U);
  EXPECT_EQ(verify_of(status, "d.slow"), "EQUAL");
}

TEST_F(CheckerTest, AStopEndsTheWaitForAServer) {
  auto away = source_->endpoint();
  away.port = sluice::testing::free_port();
  *component_.spec_mutable().mutable_source() = net::to_proto(away);
  Status ended;
  const auto begun = std::chrono::steady_clock::now();
  std::thread verification([&] { ended = run_checker(component_); });
  component_.desire([](cluster::v1::ComponentDesired& desired) { desired.set_stop(true); });
  verification.join();
  EXPECT_EQ(ended.error().code(), ErrorCode::CANCELLED);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

// A statement may be silent for longer than anything else while its server answers others.
TEST_F(CheckerTest, SilenceEndsAStatementOnlyWhenTheServerIsSilent) {
  std::atomic<bool> stopped{false};
  auto watch = std::make_shared<mysql::ServerWatch>(
      target_->endpoint(), [&] { return stopped.load(); },
      mysql::ServerWatch::Times{.between = 100ms, .silence = 500ms});
  const auto sleep = [&](int seconds) {
    mysql::WatchedConnection connection(std::move(mysql::Connection::open(target_->endpoint(), {})).value(), watch);
    return connection->query("SELECT SLEEP(" + std::to_string(seconds) + ")");
  };
  EXPECT_TRUE(sleep(2).ok());
  std::thread freezer([&] {
    auto other = mysql::Connection::open(target_->endpoint(), {});
    sluice::testing::wait_until([&] {
      return (*other)
                 ->query_value("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'")
                 .value() == "1";
    });
    target_->freeze();
  });
  const auto frozen = sleep(50);
  freezer.join();
  target_->thaw();
  ASSERT_FALSE(frozen.ok());
  EXPECT_EQ(frozen.error().code(), ErrorCode::CONNECTION_LOST);
  std::thread stopper([&] {
    sluice::testing::wait_until([&] {
      return target_->query_value(
                 "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'") != "0";
    });
    stopped = true;
  });
  EXPECT_FALSE(sleep(50).ok());
  stopper.join();
}

}  // namespace
}  // namespace sluice::agents
