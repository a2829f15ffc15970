// Incr-Sync between real servers: strict following under load and faults, DDL, holds, idle sources.
#include "tests/integration/components/incr_load.hpp"

namespace sluice::agents {
namespace {

TEST_F(IncrSyncTest, FollowsConcurrentLoadExactly) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  both(kTables);
  start_store();
  start_incr();
  Load(seed, 4, 400).wait();
  drain();
  expect_equal();
  EXPECT_GT(status().incr_sync().transactions(), 500U);
}

TEST_F(IncrSyncTest, TargetConnectionsDieAgainAndAgain) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  both(kTables);
  start_store();
  start_incr();
  {
    Load load(seed, 3, 500);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 12; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50 + random() % 200));
      for (const auto& row : target_server().query(
               "SELECT id FROM information_schema.processlist WHERE user = 'sluice' AND id <> CONNECTION_ID()")) {
        if (random() % 2 == 0) (void)target_server().try_sql("KILL " + *row[0]);
      }
    }
  }
  drain();
  expect_equal();
}

TEST_F(IncrSyncTest, RestartsWithAnotherNumberOfWriters) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  both(kTables);
  start_store();
  Load load(seed, 3, 600);
  uint64_t epoch = 0;
  for (uint32_t writers : {4U, 1U, 7U, 2U}) {
    start_incr(++epoch, [&](cluster::v1::ComponentBoot& boot) { boot.mutable_spec()->set_writers(writers); });
    std::this_thread::sleep_for(300ms);
    auto ended = incr_->stop();
    ASSERT_TRUE(ended.ok()) << ended.error().to_string();
  }
  load.wait();
  start_incr(++epoch);
  drain();
  expect_equal();
}

TEST_F(IncrSyncTest, AnIdleOrFilteredSourceStillAdvances) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY)");
  source_server().sql("CREATE DATABASE IF NOT EXISTS elsewhere; CREATE TABLE IF NOT EXISTS elsewhere.x (id INT)");
  start_store();
  auto& component = start_incr();
  source("INSERT INTO t VALUES (1)");
  for (int i = 0; i < 20; ++i) source_server().sql("INSERT INTO elsewhere.x VALUES (1)");
  const Position end = source_end();
  ASSERT_TRUE(component.wait_status(
      [&](const ComponentStatus& status) {
        return compare_in_log(net::from_proto(status.incr_sync().applied()), end) >= 0;
      },
      10s));
  EXPECT_TRUE(wait_until(
      [&] {
        const auto rows =
            target_server().query("SELECT MAX(low_watermark) FROM sluice.checkpoint WHERE applier < 1000");
        auto low = Position::parse(rows[0][0].value_or(""));
        return low.ok() && compare_in_log(*low, end) >= 0;
      },
      10s));
  EXPECT_TRUE(
      component.wait_status([](const ComponentStatus& status) { return status.incr_sync().lag_ms() == 0; }, 5s));
  source_server().sql("DROP DATABASE elsewhere");
}

TEST_F(IncrSyncTest, ASmallTransactionDoesNotWait) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY)");
  start_store();
  auto& component = start_incr();
  source("INSERT INTO t VALUES (0)");
  ASSERT_TRUE(wait_until([&] { return target_server().query_value("SELECT COUNT(*) FROM app.t") == "1"; }));
  std::vector<int64_t> times;
  for (int i = 1; i <= 30; ++i) {
    const auto begun = std::chrono::steady_clock::now();
    source("INSERT INTO t VALUES (" + std::to_string(i) + ")");
    ASSERT_TRUE(wait_until(
        [&] { return target_server().query_value("SELECT COUNT(*) FROM app.t") == std::to_string(i + 1); }, 10s, 1ms));
    times.push_back(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun).count());
  }
  std::sort(times.begin(), times.end());
  RecordProperty("median_ms", static_cast<int>(times[15]));
  std::printf("median of the end-to-end latency: %lld ms\n", static_cast<long long>(times[15]));
  (void)component;
}

TEST_F(IncrSyncTest, AHoldStopsAtExactlyTheAskedPosition) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY)");
  start_store();
  auto& component = start_incr();
  source("INSERT INTO t VALUES (1)");
  component.desire([](ComponentDesired& desired) {
    desired.mutable_hold()->set_id(5);
    desired.mutable_hold()->set_patience_ms(60'000);
  });
  auto answered = [](const ComponentStatus& status) {
    return status.incr_sync().hold().id() == 5 && status.incr_sync().hold().paused();
  };
  ASSERT_TRUE(component.wait_status(answered, 20s));
  source("INSERT INTO t VALUES (2); INSERT INTO t VALUES (3)");
  const Position to = source_end();
  source("INSERT INTO t VALUES (4)");
  component.desire([&](ComponentDesired& desired) { *desired.mutable_hold()->mutable_apply_to() = net::to_proto(to); });
  ASSERT_TRUE(component.wait_status(
      [&](const ComponentStatus& status) {
        return answered(status) && net::from_proto(status.incr_sync().hold().applied()).offset == to.offset;
      },
      20s));
  EXPECT_EQ(target_server().query_value("SELECT MAX(id) FROM app.t"), "3");
  component.desire([](ComponentDesired& desired) { desired.clear_hold(); });
  EXPECT_TRUE(wait_until([&] { return target_server().query_value("SELECT MAX(id) FROM app.t") == "4"; }));
  drain();
}

// What the source commits right behind the position may be large: where it ends is not known when it begins to arrive,
// and nothing in scope stands between the position and the last transaction that is known.
TEST_F(IncrSyncTest, AHoldIsNotPassedByALargeTransaction) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY); CREATE TABLE app.big (id INT PRIMARY KEY, v VARCHAR(2000))");
  source_server().sql("CREATE DATABASE IF NOT EXISTS elsewhere; CREATE TABLE IF NOT EXISTS elsewhere.x (id INT)");
  start_store();
  auto& component =
      start_incr(1, [](cluster::v1::ComponentBoot& boot) { boot.mutable_spec()->set_memory_bytes(24 << 20); });
  component.desire([](ComponentDesired& desired) {
    desired.mutable_hold()->set_id(5);
    desired.mutable_hold()->set_patience_ms(60'000);
  });
  auto answered = [](const ComponentStatus& status) {
    return status.incr_sync().hold().id() == 5 && status.incr_sync().hold().paused();
  };
  ASSERT_TRUE(component.wait_status(answered, 20s));
  auto large = std::move(mysql::Connection::open(source_server().endpoint(), {})).value();
  ASSERT_TRUE(large->exec("START TRANSACTION").ok());
  ASSERT_TRUE(large->exec("INSERT INTO app.big SELECT seq, REPEAT('x', 1500) FROM app.seq_1_to_2000").ok());
  source_server().sql("INSERT INTO app.t VALUES (1); INSERT INTO elsewhere.x VALUES (1)");
  const Position to = source_end();
  ASSERT_TRUE(large->exec("COMMIT").ok());
  component.desire([&](ComponentDesired& desired) { *desired.mutable_hold()->mutable_apply_to() = net::to_proto(to); });
  ASSERT_TRUE(component.wait_status(
      [&](const ComponentStatus& status) {
        const Position applied = net::from_proto(status.incr_sync().hold().applied());
        return answered(status) && compare_in_log(applied, to) >= 0;
      },
      20s));
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM app.t"), "1");
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM app.big"), "0");
  component.desire([](ComponentDesired& desired) { desired.clear_hold(); });
  drain();
  expect_equal();
  source_server().sql("DROP DATABASE elsewhere");
}

TEST_F(IncrSyncTest, DdlIsAppliedInItsPlace) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT)");
  start_store();
  auto& component = start_incr();
  source(
      "INSERT INTO t VALUES (1, 1);"
      "ALTER TABLE t ADD COLUMN w VARCHAR(20) NOT NULL DEFAULT 'new' AFTER id;"
      "INSERT INTO t VALUES (2, 'two', 2); UPDATE t SET w = 'one' WHERE id = 1;"
      "CREATE TABLE n (id INT PRIMARY KEY, ts TIMESTAMP DEFAULT '2020-01-01 00:00:00') ENGINE=InnoDB;"
      "INSERT INTO n (id) VALUES (1), (2);"
      "CREATE TABLE n2 LIKE n; INSERT INTO n2 SELECT * FROM n WHERE id = 1;"
      "RENAME TABLE n TO tmp, n2 TO n, tmp TO n2;"
      "INSERT INTO n (id) VALUES (77); DELETE FROM n2 WHERE id = 2;"
      "ALTER TABLE t DROP COLUMN v, MODIFY w VARCHAR(30); INSERT INTO t VALUES (3, 'three');"
      "TRUNCATE TABLE n2; INSERT INTO n2 (id) VALUES (9);"
      "CREATE TABLE gone (id INT PRIMARY KEY); INSERT INTO gone VALUES (1); DROP TABLE gone;"
      "CREATE TABLE sel AS SELECT id, w FROM t;"
      "CREATE VIEW vw AS SELECT id FROM t; CREATE INDEX i ON t (w)");
  drain();
  expect_equal();
  EXPECT_EQ(source_server().query("SHOW CREATE TABLE app.t")[0][1],
            target_server().query("SHOW CREATE TABLE app.t")[0][1]);
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM app.vw"), "3");
  EXPECT_GE(component.status().incr_sync().ddl(), 10U);
}

TEST_F(IncrSyncTest, ConflictsFailWithTheRowsName) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT)");
  start_store();
  start_incr();
  target("INSERT INTO t VALUES (5, 0)");
  source("INSERT INTO t VALUES (4, 1); INSERT INTO t VALUES (5, 1)");
  auto ended = incr_->join();
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code(), ErrorCode::ROW_CONFLICT);
  EXPECT_EQ(ended.error().object(), "app.t (id=5)");
  EXPECT_EQ(target_server().query_value("SELECT v FROM app.t WHERE id = 5"), "0");
}

// A customer takes its orders along: only when what refers to these is gone, and before the products that they refer to
// go. None of these rows names the other.
TEST_F(IncrSyncTest, ACascadeKeepsItsPlaceAmongTheNeighboursOfItsChildren) {
  both(
      "CREATE TABLE app.cust (id INT PRIMARY KEY); CREATE TABLE app.prod (id INT PRIMARY KEY);"
      "CREATE TABLE app.ord (id INT PRIMARY KEY, c INT, p INT, FOREIGN KEY (c) REFERENCES app.cust (id) ON DELETE "
      "CASCADE, FOREIGN KEY (p) REFERENCES app.prod (id));"
      "CREATE TABLE app.item (id INT PRIMARY KEY, o INT, FOREIGN KEY (o) REFERENCES app.ord (id))");
  both(
      "USE app; INSERT INTO cust SELECT seq FROM seq_1_to_150; INSERT INTO prod SELECT seq FROM seq_1_to_150;"
      "INSERT INTO ord SELECT seq, seq, seq FROM seq_1_to_150; INSERT INTO item SELECT seq, seq FROM seq_1_to_150");
  start_store();
  std::string sql;
  for (int i = 1; i <= 150; ++i) {
    const std::string id = std::to_string(i);
    sql += "DELETE FROM item WHERE o = " + id + "; DELETE FROM cust WHERE id = " + id +
           "; DELETE FROM prod WHERE id = " + id + "; INSERT INTO prod VALUES (1000 + " + id + ");";
  }
  source(sql);
  start_incr();
  drain();
  expect_equal();
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM app.ord"), "0");
}

// Updates of many rows are joined with their values: no type may lose anything on that way.
TEST_F(IncrSyncTest, BulkUpdatesKeepEveryTypesValues) {
  both(
      "CREATE TABLE app.types (id BIGINT UNSIGNED PRIMARY KEY, ti TINYINT, bu BIGINT UNSIGNED, de DECIMAL(30,10), "
      "bi BIT(64), y YEAR, da DATE, ti6 TIME(6), dt DATETIME(3), ts TIMESTAMP(6) NULL, c CHAR(10), l VARCHAR(20) "
      "CHARACTER SET latin1, b BINARY(6), vb VARBINARY(9), e ENUM('b','a','') , s SET('x','y','z'), "
      "g INT AS (ti + 1) STORED)");
  start_store();
  start_incr();
  source(
      "SET SESSION sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO';"
      "INSERT INTO types (id, ti) SELECT seq + 18446744073709551000, seq % 100 FROM seq_0_to_300;"
      "START TRANSACTION;"
      "UPDATE types SET bu = 18446744073709551615 - ti, de = -ti / 7, bi = ~0 - ti, y = 1950 + ti, da = '0000-00-00',"
      " ti6 = '-838:59:58.999999', dt = '2020-02-31 10:11:12.123', ts = '2037-01-01 00:00:00.000001', c = 'a \\'x',"
      " l = X'E4F6', b = X'0100', vb = X'00FF20', e = 1 + ti % 3, s = ti % 8;"
      "UPDATE types SET ti = -ti, bu = NULL, e = NULL, c = '  y' WHERE ti % 3 = 0;"
      "UPDATE types SET de = 99999999999999999999.0123456789, b = NULL WHERE ti % 5 = 1; COMMIT;"
      "UPDATE types SET ti = ti + 1 WHERE ti < 50");
  drain();
  expect_equal();
}

// Their log shows a hidden column that no catalog has; with and without names in the log.
TEST_F(IncrSyncTest, UniqueKeysOverLongValuesAreFollowed) {
  const std::string metadata = source_server().query_value("SELECT @@GLOBAL.binlog_row_metadata");
  both(
      "CREATE TABLE app.u (id INT PRIMARY KEY, u VARCHAR(5000) NULL, b BLOB NOT NULL, UNIQUE (u), UNIQUE (b));"
      "CREATE TABLE app.only (u VARCHAR(5000) NOT NULL, v INT, UNIQUE (u))");
  start_store();
  start_incr();
  for (const char* mode : {"FULL", "NO_LOG"}) {
    source(
        std::string("SET GLOBAL binlog_row_metadata=") + mode +
        "; REPLACE INTO u SELECT seq,CONCAT('u',seq),CONCAT('b',seq) FROM seq_1_to_50; UPDATE u SET u=NULL WHERE id=7;"
        "DELETE FROM u WHERE id=8; REPLACE INTO only SELECT CONCAT('u',seq),seq FROM seq_1_to_20;"
        "UPDATE only SET v=v+100 WHERE v<5; DELETE FROM only WHERE v=7");
    // Values that move between rows: the claims of the transactions keep their order.
    for (int i = 0; i < 60; ++i) {
      const std::string from = std::to_string(10 + i % 3), to = std::to_string(10 + (i + 1) % 3);
      source("UPDATE u SET u=NULL WHERE id=" + from + "; UPDATE u SET u='moving" + std::to_string(i / 9) +
             "' WHERE id=" + to);
    }
  }
  drain();
  source_server().sql("SET GLOBAL binlog_row_metadata=" + metadata);
  expect_equal();
}

// The source took them without its checks; so does the target.
TEST_F(IncrSyncTest, RowsThatBreakTheirCheckConstraintsAreFollowed) {
  both("CREATE TABLE app.c (id INT PRIMARY KEY, a INT, CHECK (a > 0))");
  start_store();
  start_incr();
  source(
      "SET check_constraint_checks=0; INSERT INTO c VALUES (1,-1),(2,5); UPDATE c SET a=-5 WHERE id=2;"
      "ALTER TABLE c ADD CONSTRAINT two CHECK (a > 10)");
  drain();
  expect_equal();
  EXPECT_EQ(target_server().query_value("SELECT SUM(a) FROM app.c"), "-6");
}

TEST_F(IncrSyncTest, PrimaryKeysOverPrefixesAreFollowed) {
  both("CREATE TABLE app.p (t VARCHAR(100), v INT, PRIMARY KEY (t(3)))");
  start_store();
  start_incr();
  source("INSERT INTO p SELECT CONCAT(seq,' the rest'),seq FROM seq_100_to_199; UPDATE p SET v=v+1 WHERE v<150");
  for (int i = 0; i < 30; ++i) {
    source("DELETE FROM p WHERE t LIKE '120%'; INSERT INTO p VALUES ('120 is " + std::to_string(i) +
           " now',1); UPDATE p SET t=CONCAT('121',v,'" + std::to_string(i) + "'), v=v+1 WHERE t LIKE '121%'");
  }
  drain();
  expect_equal();
}

TEST_F(IncrSyncTest, ALargeTransactionIsStreamed) {
  both("CREATE TABLE app.big (id INT PRIMARY KEY, v VARCHAR(2000))");
  start_store();
  start_incr(1, [](cluster::v1::ComponentBoot& boot) { boot.mutable_spec()->set_memory_bytes(24 << 20); });
  source(
      "INSERT INTO big VALUES (0, 'before');"
      "START TRANSACTION; INSERT INTO big SELECT seq, REPEAT(CHAR(97 + seq % 26), 1500) FROM seq_1_to_20000;"
      "UPDATE big SET v = REPEAT('z', 1800) WHERE id % 3 = 0; COMMIT;"
      "INSERT INTO big VALUES (100000, 'after')");
  drain();
  expect_equal();
}

// What is large depends on the memory, which a restart may change: a transaction that overtook another one as a whole,
// and now comes in pieces, is still known. Otherwise it would undo what came after it.
TEST_F(IncrSyncTest, ALargeTransactionThatIsAppliedIsNotAppliedAgain) {
  both(
      "CREATE TABLE app.slow (id INT PRIMARY KEY, v INT); INSERT INTO app.slow VALUES (1, 1);"
      "CREATE TABLE app.big (id INT PRIMARY KEY, v VARCHAR(2000)); INSERT INTO app.big SELECT seq, REPEAT('a', 600) "
      "FROM app.seq_1_to_4000; CREATE TABLE app.keyless (v INT)");
  start_store();
  start_incr(1);
  auto lock = std::move(mysql::Connection::open(target_server().endpoint(), {})).value();
  ASSERT_TRUE(lock->exec("START TRANSACTION").ok());
  ASSERT_TRUE(lock->exec("UPDATE app.slow SET v = 7 WHERE id = 1").ok());
  source(
      "UPDATE slow SET v = 2 WHERE id = 1;"
      "START TRANSACTION; UPDATE big SET v = REPEAT('z', 600); INSERT INTO keyless VALUES (1); COMMIT;"
      "UPDATE big SET v = 'newer' WHERE id = 5");
  ASSERT_TRUE(target_server().becomes("SELECT v FROM app.big WHERE id = 5", "newer"));
  incr_->component().desire([](ComponentDesired& desired) { desired.set_stop(true); });
  ASSERT_TRUE(wait_until([&] { return incr_->over(); }, 60s));
  EXPECT_TRUE(incr_->join().ok());
  ASSERT_TRUE(lock->exec("ROLLBACK").ok());
  EXPECT_EQ(target_server().query_value("SELECT v FROM app.slow"), "1") << "nothing was overtaken";
  start_incr(2, [](cluster::v1::ComponentBoot& boot) { boot.mutable_spec()->set_memory_bytes(24 << 20); });
  drain();
  EXPECT_EQ(target_server().query_value("SELECT v FROM app.big WHERE id = 5"), "newer");
  expect_equal();
}

// A piece of it meets rows that are there already; the policy holds for it as for any other.
TEST_F(IncrSyncTest, ConflictsInALargeTransactionAreResolved) {
  both("CREATE TABLE app.big (id INT PRIMARY KEY, v VARCHAR(2000))");
  start_store();
  target("INSERT INTO big VALUES (1500, 'in the way')");
  start_incr(1, [](cluster::v1::ComponentBoot& boot) {
    boot.mutable_spec()->set_memory_bytes(24 << 20);
    boot.mutable_spec()->set_on_conflict(cluster::v1::CONFLICT_OVERWRITE);
  });
  source("INSERT INTO big SELECT seq, REPEAT(CHAR(97 + seq % 26), 1500) FROM seq_1_to_2000");
  drain();
  expect_equal();
}

// What a source that is not strict keeps for a label that it does not know: the value with index 0.
TEST_F(IncrSyncTest, EmptyEnumsStayWhatTheyAre) {
  both(
      "CREATE TABLE app.en (id INT PRIMARY KEY, e ENUM('a','0','b'), n INT);"
      "CREATE TABLE app.keyless (e ENUM('a','b') NOT NULL, n INT);"
      "CREATE TABLE app.strict (id INT PRIMARY KEY, v TINYINT)");
  start_store();
  start_incr();
  source(
      "SET SESSION sql_mode='';"
      "INSERT INTO en VALUES (1, 'a', 1), (2, 'none', 2), (3, '', 3), (4, NULL, 4), (5, '0', 5);"
      "UPDATE en SET e = 'none' WHERE id = 1; UPDATE en SET n = n + 1; DELETE FROM en WHERE id = 2;"
      "INSERT INTO en SELECT seq, IF(seq % 3, 'b', 'none'), seq FROM seq_10_to_500;"
      "UPDATE en SET e = IF(id % 2, 'none', 'a'), n = 7 WHERE id > 100;"
      "INSERT INTO keyless VALUES ('none', 1), ('none', 2), ('a', 3); DELETE FROM keyless WHERE n = 2;"
      "UPDATE keyless SET n = 9 WHERE e = 0; INSERT INTO strict VALUES (1, 1)");
  drain();
  expect_equal();
  const std::string zeros = "SELECT COUNT(*) FROM app.en WHERE e = 0";
  EXPECT_EQ(target_server().query_value(zeros), source_server().query_value(zeros));
  EXPECT_EQ(target_server().query_value("SELECT GROUP_CONCAT(e + 0) FROM app.keyless WHERE n = 9"), "0");
}

// A statement that waits on the target for ever does not keep the component from its end; the next one finds out.
TEST_F(IncrSyncTest, AStopEndsAStatementThatWaits) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY)");
  start_store();
  start_incr();
  auto lock = std::move(mysql::Connection::open(target_server().endpoint(), {})).value();
  ASSERT_TRUE(lock->exec("LOCK TABLES app.t WRITE").ok());
  source("ALTER TABLE t ADD COLUMN v INT; INSERT INTO t VALUES (1, 1)");
  ASSERT_TRUE(wait_until([] {
    return target_server().query_value(
               "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE '%ALTER "
               "TABLE%'") == "1";
  }));
  incr_->component().desire([](ComponentDesired& desired) { desired.set_stop(true); });
  ASSERT_TRUE(wait_until([&] { return incr_->over(); }, 60s));
  EXPECT_TRUE(incr_->join().ok());
  ASSERT_TRUE(lock->exec("UNLOCK TABLES").ok());
  start_incr(2);
  drain();
  expect_equal();
}

// The Store goes on telling its last sample of the source: what it does not know any more must not look like no lag.
TEST_F(IncrSyncTest, LagGrowsWhileTheSourceIsFrozen) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY)");
  start_store();
  auto& component = start_incr();
  source("INSERT INTO t VALUES (1)");
  ASSERT_TRUE(wait_until([&] { return target_server().query_value("SELECT COUNT(*) FROM app.t") == "1"; }));
  const auto no_lag = [](const ComponentStatus& status) { return status.incr_sync().lag_ms() == 0; };
  ASSERT_TRUE(component.wait_status(no_lag, 20s));
  source_server().freeze();
  const bool grows = component.wait_status([](const auto& status) { return status.incr_sync().lag_ms() > 8000; }, 60s);
  const bool told = store_->component().wait_status(
      [](const auto& status) { return status.state() == cluster::v1::RETRYING && !status.error().code().empty(); },
      60s);
  source_server().thaw();
  EXPECT_TRUE(grows);
  EXPECT_TRUE(told);
  EXPECT_TRUE(component.wait_status(no_lag, 60s));
  EXPECT_TRUE(
      store_->component().wait_status([](const auto& status) { return status.state() == cluster::v1::RUNNING; }, 60s));
  drain();
  expect_equal();
}

}  // namespace
}  // namespace sluice::agents
