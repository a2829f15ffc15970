// The Checker against two real servers: it finds what was planted, nothing else, and its correction SQL repairs it.
#include "tests/integration/components/checker_fixture.hpp"

namespace sluice::agents {
namespace {

TEST_F(CheckerTest, EqualTablesAreEqual) {
  both(
      R"(CREATE TABLE d.a (id INT PRIMARY KEY, v VARCHAR(40), f FLOAT, t LONGTEXT, j JSON, e ENUM('x','y'),
      g INT AS (id+1) STORED);
    INSERT INTO d.a (id,v,f,t,j,e) SELECT seq,MD5(seq),seq/7,REPEAT('ä',seq%50000),'{"a":1}',1+seq%2
      FROM d.seq_1_to_3000;
    CREATE TABLE d.b (x VARCHAR(20), y DATE, z TIMESTAMP(6) NULL, PRIMARY KEY (y,x));
    INSERT INTO d.b SELECT CONCAT('K',seq),'2020-01-01'+INTERVAL seq%17 DAY,'2020-01-01 00:00:00' FROM d.seq_1_to_5000;
    CREATE TABLE d.keyless (a INT, b BLOB); INSERT INTO d.keyless SELECT seq%10,'x' FROM d.seq_1_to_1000;
    CREATE TABLE d.empty (a INT PRIMARY KEY); CREATE VIEW d.v AS SELECT 1)");
  const auto status = check();
  EXPECT_EQ(status.tables_size(), 4);
  for (const auto& table : status.tables()) {
    EXPECT_EQ(table.verify(), "EQUAL") << table.source();
    EXPECT_TRUE(table.finished());
  }
  EXPECT_EQ(status.checker().differences(), 0U);
  EXPECT_EQ(status.checker().difference_file(), "");
  EXPECT_EQ(status.checker().correction_file(), "");
  EXPECT_EQ(status.rows(), 9000U);
}

TEST_F(CheckerTest, PlantedDifferencesAreFoundAndTheCorrectionRepairsThem) {
  both(R"(CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(40) NULL, n BIGINT, b VARBINARY(20), u INT UNIQUE, d DOUBLE,
      dt DATETIME(6), bits BIT(5), e ENUM('x','y'), l VARCHAR(20) CHARACTER SET latin1);
    INSERT INTO d.t SELECT seq,CONCAT('v',seq),seq,UNHEX(MD5(seq)),seq,seq/3,'2020-01-01 00:00:00.5',seq%32,1+seq%2,'é'
      FROM d.seq_1_to_30000;
    CREATE TABLE d.ci (k VARCHAR(20), x INT, PRIMARY KEY (k)); INSERT INTO d.ci VALUES ('abc',1),('q''uo\\te',2);
    CREATE TABLE d.keyless (a INT, b VARCHAR(20), f FLOAT);
    INSERT INTO d.keyless VALUES (1,'x',1.1),(1,'x',1.1),(2,NULL,0),(3,'',0),(4,'c',0);
    CREATE TABLE d.same (a INT PRIMARY KEY); INSERT INTO d.same VALUES (1))");
  target_->sql(R"(UPDATE d.t SET b=INSERT(b,3,1,CHAR(ORD(SUBSTR(b,3,1))^1)) WHERE id=17;
    DELETE FROM d.t WHERE id IN (1,15000,30000);
    INSERT INTO d.t VALUES (0,'extra',0,'',NULL,0,NULL,0,1,''),(40000,'ex\\''tra',0,'\0\n',NULL,0,NULL,0,1,'');
    UPDATE d.t SET v='' WHERE id=20; UPDATE d.t SET v=NULL WHERE id=21; UPDATE d.t SET v=CONCAT(v,' ') WHERE id=22;
    UPDATE d.t SET v=UPPER(v) WHERE id=23; UPDATE d.t SET d=d+1e-9 WHERE id=24;
    UPDATE d.t SET dt=dt+INTERVAL 1 MICROSECOND WHERE id=25;
    UPDATE d.t SET u=NULL WHERE id IN (26,27); UPDATE d.t SET u=27 WHERE id=26; UPDATE d.t SET u=26 WHERE id=27;
    UPDATE d.t SET bits=bits^1 WHERE id=28; UPDATE d.t SET e=3-e WHERE id=29; UPDATE d.t SET l='e' WHERE id=30;
    UPDATE d.ci SET k='ABC' WHERE k='abc'; UPDATE d.ci SET x=3 WHERE x=2;
    DELETE FROM d.keyless WHERE a=1 LIMIT 1; UPDATE d.keyless SET b='' WHERE a=2; UPDATE d.keyless SET b=NULL WHERE a=3;
    INSERT INTO d.keyless VALUES (4,'c',0),(4,'c',0),(5,'new',0.1))");
  source_->sql("UPDATE d.t SET v=NULL WHERE id=31");
  target_->sql("UPDATE d.t SET v='' WHERE id=31");
  const auto status = check();
  EXPECT_EQ(verify_of(status, "d.t"), "DIFFERENT");
  EXPECT_EQ(differences_of(status, "d.t"), 18U);
  EXPECT_EQ(differences_of(status, "d.ci"), 3U);  // the row with the other case is missing and extra
  EXPECT_EQ(differences_of(status, "d.keyless"), 8U);
  EXPECT_EQ(verify_of(status, "d.same"), "EQUAL");
  EXPECT_EQ(status.checker().differences(), 29U);
  const auto lines = sluice::testing::read_text_file(status.checker().difference_file());
  EXPECT_NE(lines.find(R"("kind":"DIFFERENT","key":["17"],"columns":["b"])"), lines.npos) << lines.substr(0, 2000);
  EXPECT_NE(lines.find(R"("kind":"MISSING","key":["15000"])"), lines.npos);
  EXPECT_NE(lines.find(R"("kind":"EXTRA","key":["40000"])"), lines.npos);
  EXPECT_FALSE(compare_databases(*source_, *target_, {"d"}).empty());
  run_file(status.checker().correction_file());
  EXPECT_EQ(compare_databases(*source_, *target_, {"d"}), std::vector<std::string>());
  const auto again = check();
  EXPECT_EQ(again.checker().differences(), 0U);
  EXPECT_EQ(again.checker().correction_file(), "");
}

TEST_F(CheckerTest, ManyDifferencesAreCounted) {
  both("CREATE TABLE d.t (id INT PRIMARY KEY, v INT); INSERT INTO d.t SELECT seq,seq FROM d.seq_1_to_25000");
  target_->sql(
      "UPDATE d.t SET v=v+1 WHERE id<=5000; DELETE FROM d.t WHERE id>20000; INSERT INTO d.t SELECT seq,1 FROM "
      "d.seq_30001_to_33000");
  const auto status = check();
  EXPECT_EQ(differences_of(status, "d.t"), 13'000U);
  run_file(status.checker().correction_file());
  EXPECT_EQ(compare_databases(*source_, *target_, {"d"}), std::vector<std::string>());
}

TEST_F(CheckerTest, MissingTablesAndColumnsAreDifferences) {
  both("CREATE TABLE d.t (id INT PRIMARY KEY, v INT); INSERT INTO d.t VALUES (1,1)");
  source_->sql(
      "CREATE TABLE d.gone (id INT PRIMARY KEY); INSERT INTO d.gone VALUES (1),(2),(3); ALTER TABLE d.t ADD w INT");
  const auto status = check();
  EXPECT_EQ(verify_of(status, "d.gone"), "DIFFERENT");
  EXPECT_EQ(differences_of(status, "d.gone"), 3U);
  EXPECT_EQ(verify_of(status, "d.t"), "DIFFERENT");
  const auto lines = sluice::testing::read_text_file(status.checker().difference_file());
  EXPECT_NE(lines.find("d.t.w"), lines.npos);
}

TEST_F(CheckerTest, RenamedTablesAndOtherCharsetsAreCompared) {
  target_->sql("CREATE OR REPLACE DATABASE e CHARACTER SET utf8mb4");
  const char* columns = " (id INT PRIMARY KEY, v VARCHAR(20) CHARACTER SET ";
  source_->sql(std::string("CREATE TABLE d.t") + columns +
               "latin1, e ENUM('a','b')); INSERT INTO d.t VALUES (1,'é',1),(2,'ü',2),(3,NULL,NULL),(4,'x','b')");
  target_->sql(std::string("CREATE TABLE e.u") + columns +
               "utf8mb4, e ENUM('b','a')); INSERT INTO e.u VALUES (1,'é','a'),(2,'u','b'),(3,NULL,NULL)");
  component_.spec_mutable().add_renames("d.t=e.u");
  const auto status = check();
  ASSERT_EQ(status.tables_size(), 1);
  EXPECT_EQ(status.tables(0).target(), "e.u");
  EXPECT_EQ(status.tables(0).differences(), 2U);
  run_file(status.checker().correction_file());
  EXPECT_EQ(check().tables(0).verify(), "EQUAL");
  EXPECT_EQ(target_->query_value("SELECT CONCAT(HEX(v),e) FROM e.u WHERE id=2"), "C3BCb");
  EXPECT_EQ(target_->query_value("SELECT e FROM e.u WHERE id=4"), "b");
}

TEST_F(CheckerTest, KeysThatTheServersOrderDifferentlyAreComparedAsAWhole) {
  source_->sql("CREATE TABLE d.t (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)");
  target_->sql("CREATE TABLE d.t (k VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, v INT)");
  both("INSERT INTO d.t SELECT CONCAT(ELT(1+seq%3,'a','B','ä'),seq),seq FROM d.seq_1_to_500");
  EXPECT_EQ(check().tables(0).verify(), "EQUAL");
  target_->sql("UPDATE d.t SET v=0 WHERE v=77");
  const auto status = check();
  EXPECT_EQ(status.tables(0).differences(), 2U);
  run_file(status.checker().correction_file());
  EXPECT_EQ(compare_databases(*source_, *target_, {"d"}, {.definitions = false}), std::vector<std::string>());
}

TEST_F(CheckerTest, LostConnectionsAreOpenedAgain) {
  both(
      "CREATE TABLE d.t (id INT PRIMARY KEY, v CHAR(200)); INSERT INTO d.t SELECT seq,REPEAT(MD5(seq),6) FROM "
      "d.seq_1_to_150000");
  std::atomic<bool> done{false};
  std::atomic<int> killed{0};
  std::thread killer([&] {
    while (!done && killed < 4)
      for (auto* server : {source_, target_}) {
        for (const auto& row :
             server->query("SELECT id FROM information_schema.processlist WHERE info REGEXP 'SHA1|OFFSET' "
                           "AND info NOT LIKE '%processlist%'")) {
          if (server->try_sql("KILL " + *row[0]) == 0) ++killed;
        }
      }
  });
  const auto status = check();
  done = true;
  killer.join();
  EXPECT_GT(killed, 0);
  EXPECT_EQ(status.tables(0).verify(), "EQUAL");
}

TEST_F(CheckerTest, AStopEndsIt) {
  both("CREATE TABLE d.t (id INT PRIMARY KEY); INSERT INTO d.t SELECT seq FROM d.seq_1_to_1000");
  component_.desire([](cluster::v1::ComponentDesired& desired) { desired.set_stop(true); });
  EXPECT_EQ(run_checker(component_).error().code(), ErrorCode::CANCELLED);
}

TEST_F(CheckerTest, RowsThatMoveAreEqualAtAHold) {
  both(kLiveTable);
  component_.spec_mutable().set_with_incremental(true);
  FakeIncrSync incr(component_, *source_, *target_);
  incr.void_next_ = true;
  const auto status = check();
  EXPECT_EQ(verify_of(status, "d.t"), "EQUAL");
  EXPECT_EQ(verify_of(status, "d.keyless"), "EQUAL");
  EXPECT_EQ(status.checker().differences(), 0U);
  EXPECT_EQ(status.checker().unsettled(), 0U);
  EXPECT_GE(incr.holds(), 2);  // the first one was void
  EXPECT_EQ(status.checker().wish_hold(), 0U);
}

TEST_F(CheckerTest, ADifferenceAmongRowsThatMoveIsFound) {
  both(kLiveTable);
  target_->sql("UPDATE d.t SET v=1 WHERE id=50; INSERT INTO d.keyless VALUES (3)");
  component_.spec_mutable().set_with_incremental(true);
  FakeIncrSync incr(component_, *source_, *target_);
  const auto status = check();
  EXPECT_EQ(differences_of(status, "d.t"), 1U);
  EXPECT_EQ(differences_of(status, "d.keyless"), 1U);
  EXPECT_EQ(incr.holds(), 1);
}

TEST_F(CheckerTest, WhatSettlesByItselfNeedsNoHold) {
  both("CREATE TABLE d.t (id INT PRIMARY KEY, v BIGINT); INSERT INTO d.t SELECT seq,0 FROM d.seq_1_to_100");
  source_->sql("UPDATE d.t SET v=1 WHERE id<4");
  component_.spec_mutable().set_with_incremental(true);
  std::thread late([&] {
    sluice::testing::wait_until([&] { return component_.status().rows() == 100; });
    target_->sql("UPDATE d.t SET v=1 WHERE id<4");
  });
  const auto status = check();
  late.join();
  EXPECT_EQ(verify_of(status, "d.t"), "EQUAL");
}

TEST_F(CheckerTest, WithoutAnAnswerRowsAreUnsettledNeverEqual) {
  both(kLiveTable);
  target_->sql("UPDATE d.t SET v=1 WHERE id=50");
  const checker::SideEndpoints endpoints{source_->endpoint(), target_->endpoint(), component_.lease()};
  auto catalog = [](MariaDbServer& server) {
    return std::move(*mysql::Connection::open(server.endpoint(), {.purpose = mysql::Purpose::kCatalog}));
  };
  const auto mapping = TableMapping::create({"d.*"}, {}, {});
  const auto pairs = checker::read_pairs(*catalog(*source_), *catalog(*target_), *mapping);
  ASSERT_TRUE(pairs.ok());
  checker::PendingTables pending;
  pending[1].keys.insert({"50"});
  auto report = checker::DifferenceReport::create(folder_.file("r"));
  ASSERT_TRUE(report.ok());
  checker::Settler settler(component_, *pairs, endpoints,
                           {.hold = {.pause = 50ms, .apply = 50ms}, .holds_max = 2, .hold_pause = 50ms}, pending,
                           *report);
  ASSERT_TRUE(settler.run().ok());
  EXPECT_TRUE(settler.verdicts().at(1).unsettled);
  EXPECT_FALSE(settler.warnings().empty());
  EXPECT_EQ(component_.status().checker().wish_hold(), 0U);
}

TEST_F(CheckerTest, AVerificationThatCrashedGoesOnWhereItWas) {
  both(
      "CREATE TABLE d.a (id INT PRIMARY KEY, v INT); INSERT INTO d.a SELECT seq,seq FROM d.seq_1_to_60000;"
      "CREATE TABLE d.k (a INT); INSERT INTO d.k VALUES (1)");
  target_->sql("UPDATE d.a SET v=0 WHERE id=100; INSERT INTO d.k VALUES (2)");
  const auto open_catalog = [](MariaDbServer& server) {
    return std::move(*mysql::Connection::open(server.endpoint(), {.purpose = mysql::Purpose::kCatalog}));
  };
  const auto pairs =
      checker::read_pairs(*open_catalog(*source_), *open_catalog(*target_), *TableMapping::create({"d.*"}, {}, {}));
  ASSERT_TRUE(pairs.ok());
  const std::string folder = folder_.file("checker");
  {  // the process that dies has compared the first chunks, found the row, and was cut in the middle of a line
    auto journal = checker::CheckJournal::open(folder, **pairs);
    ASSERT_TRUE(journal.ok());
    const auto add = [&](uint64_t number, const char* after, const char* upto, bool differs) {
      checker::CheckJournal::Entry entry{.table = 0, .rows = 20'000};
      entry.chunk = {.number = number, .after = {}, .upto = {upto}};
      if (*after != 0) entry.chunk.after = {after};
      if (differs) entry.outcome = checker::CheckJournal::Outcome::kKeys, entry.keys = {{"100"}};
      ASSERT_TRUE(journal->add(entry).ok());
    };
    add(0, "", "20000", true);
    add(1, "20000", "40000", false);
    add(3, "50000", "55000", false);  // behind a gap: not used
  }
  std::ofstream(folder + "/progress", std::ios::app) << "0 = 5 2;3430303030;35";
  target_->sql("UPDATE d.a SET v=0 WHERE id IN (30000,45000)");  // the first was compared before it was changed
  const auto status = check();
  EXPECT_EQ(differences_of(status, "d.a"), 2U);
  EXPECT_EQ(differences_of(status, "d.k"), 1U);
  EXPECT_EQ(status.tables(0).rows(), 60'000U);
  EXPECT_EQ(differences_of(check(), "d.a"), 3U);  // a new verification looks at everything
}

TEST_F(CheckerTest, AReportForgetsATableThatFailedInItsMiddle) {
  both("CREATE TABLE d.t (id INT PRIMARY KEY, v INT)");
  source_->sql("INSERT INTO d.t VALUES (1,1),(2,2),(3,3)");
  const checker::SideEndpoints endpoints{source_->endpoint(), target_->endpoint(), component_.lease()};
  auto sides = checker::open_sides(endpoints);
  ASSERT_TRUE(sides.ok());
  const auto schema = [](MariaDbServer& server) {
    auto catalog = mysql::Connection::open(server.endpoint(), {.purpose = mysql::Purpose::kCatalog});
    return *mysql::read_table(**catalog, {"d", "t"});
  };
  const auto on_target = schema(*target_);
  const auto pair = checker::make_pair({"d", "t"}, {"d", "t"}, schema(*source_), &on_target);
  const auto found = checker::compare_chunk(*sides, pair, {}, 10);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->difference_count, 3U);
  auto report = checker::DifferenceReport::create(folder_.file("r"));
  ASSERT_TRUE(report.ok());
  const auto start = report->mark();
  ASSERT_TRUE(report->add_rows(*sides, pair, *found).ok());
  ASSERT_TRUE(report->rewind(start).ok());
  ASSERT_TRUE(report->add_rows(*sides, pair, *found).ok());
  ASSERT_TRUE(report->finish().ok());
  run_file(report->correction_file());
  EXPECT_EQ(compare_databases(*source_, *target_, {"d"}), std::vector<std::string>());
}

TEST_F(CheckerTest, ATableThatChangesItsDefinitionIsComparedAsItIsNow) {
  both(
      "CREATE TABLE d.t (id INT PRIMARY KEY, v INT); INSERT INTO d.t VALUES (1,1); CREATE TABLE d.u (id INT PRIMARY "
      "KEY)");
  const checker::SideEndpoints endpoints{source_->endpoint(), target_->endpoint(), component_.lease()};
  auto catalog = [](MariaDbServer& server) {
    return std::move(*mysql::Connection::open(server.endpoint(), {.purpose = mysql::Purpose::kCatalog}));
  };
  const auto pairs =
      checker::read_pairs(*catalog(*source_), *catalog(*target_), *TableMapping::create({"d.*"}, {}, {}));
  ASSERT_TRUE(pairs.ok());
  both("ALTER TABLE d.t DROP v, ADD w INT DEFAULT 3; DROP TABLE d.u");
  checker::PendingTables pending;
  pending[0].whole = pending[0].changed = true;
  pending[1].whole = pending[1].changed = true;
  auto report = checker::DifferenceReport::create(folder_.file("r"));
  ASSERT_TRUE(report.ok());
  checker::Settler settler(component_, *pairs, endpoints, {.with_incremental = false}, pending, *report);
  ASSERT_TRUE(settler.run().ok());
  EXPECT_EQ(settler.verdicts().at(0).differences, 0U);
  EXPECT_FALSE(settler.verdicts().at(0).unsettled);
  EXPECT_TRUE(settler.verdicts().at(1).skipped);
}

}  // namespace
}  // namespace sluice::agents
