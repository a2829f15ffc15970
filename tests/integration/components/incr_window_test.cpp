// Incr-Sync inside and at the end of a copy's window: copies under load, cascades, DDL that asks for a new copy.
#include "agents/components/full_import/full_import.hpp"
#include "agents/components/struct_transfer/struct_transfer.hpp"
#include "tests/integration/components/incr_load.hpp"

namespace sluice::agents {
namespace {

class IncrWindowTest : public IncrSyncTest {
 protected:
  cluster::v1::ComponentSpec spec_of(const std::string& name, cluster::v1::ComponentKind kind) {
    cluster::v1::ComponentSpec spec;
    spec.set_project_id("np");
    spec.set_component_id("np." + name);
    spec.set_kind(kind);
    spec.set_epoch(1);
    *spec.mutable_source() = net::to_proto(source_server().endpoint());
    *spec.mutable_target() = net::to_proto(target_server().endpoint());
    spec.set_meta_database("sluice");
    spec.add_includes("app.*");
    return spec;
  }
  void run_struct(const std::string& name, cluster::v1::StructPhase phase) {
    auto spec = spec_of(name, cluster::v1::STRUCT_TRANSFER);
    spec.set_struct_phase(phase);
    FakeComponent component(spec);
    const auto done = run_struct_transfer(component);
    ASSERT_TRUE(done.ok()) << done.error().to_string();
  }
  // Copies; returns the end of the window.
  Position run_copy(const std::string& name, const std::vector<std::string>& tables = {}) {
    auto spec = spec_of(name, cluster::v1::FULL_IMPORT);
    for (const auto& table : tables) *spec.add_tables() = net::to_proto(TableName{"app", table});
    FakeComponent component(spec);
    const auto done = run_full_import(component);
    EXPECT_TRUE(done.ok()) << done.error().to_string();
    return net::from_proto(component.status().full_import().window_end());
  }
  void run_copy_after_struct(const std::string& name, const std::string& table) {
    run_struct("tables", cluster::v1::TABLES);
    run_copy(name, {table});
  }
  void desire_window(const Position& end) {
    incr_->component().desire([&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  }
  bool wait_closed(std::chrono::milliseconds patience = 60s) {
    return incr_->component().wait_status(
        [](const ComponentStatus& status) { return status.incr_sync().window_closed(); }, patience);
  }
  // Open transactions on the source; the server gathers them anew only when nobody has looked for a tenth of a second.
  static bool wait_transactions(const std::string& count) {
    return wait_until(
        [&] { return source_server().query_value("SELECT COUNT(*) FROM information_schema.innodb_trx") == count; }, 20s,
        300ms);
  }
  void follow_strictly() {
    incr_->component().desire([](ComponentDesired& desired) { desired.set_follow_strictly(true); });
  }
};

// The coordinator's order, with load from the first to the last moment.
TEST_F(IncrWindowTest, ACopyUnderLoadEndsEqual) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  source_server().sql(kTables);
  target_server().sql("DROP DATABASE app");
  Load(seed + 100, 3, 300).wait();
  start_store();
  Load load(seed, 3, 0);
  run_struct("tables", cluster::v1::TABLES);
  const Position end = run_copy("full");
  std::this_thread::sleep_for(200ms);  // some more load before it is followed
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  // A stop inside the window, and one after it.
  std::this_thread::sleep_for(150ms);
  ASSERT_TRUE(incr_->stop().ok());
  start_incr(2, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(wait_closed());
  run_struct("keys", cluster::v1::FOREIGN_KEYS);
  follow_strictly();
  ASSERT_TRUE(wait_until([&] { return status().incr_sync().lag_ms() < 3000; }));
  ASSERT_TRUE(incr_->stop().ok());
  start_incr(3, {}, [&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(end);
    desired.set_follow_strictly(true);
  });
  load.wait();
  drain();
  expect_equal();
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM information_schema.referential_constraints WHERE "
                                        "constraint_schema = 'app'"),
            "2");
}

TEST_F(IncrWindowTest, WithoutIncrementalItEndsWhenTheWindowIsClosed) {
  source_server().sql(kTables);
  target_server().sql("DROP DATABASE app");
  start_store();
  Load load(seed_of_run(), 2, 200);
  run_struct("tables", cluster::v1::TABLES);
  run_copy("full");
  load.wait();
  const Position end = source_end();
  start_incr(
      1, [](cluster::v1::ComponentBoot& boot) { boot.mutable_spec()->set_with_incremental(false); },
      [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  const auto ended = incr_->join();
  ASSERT_TRUE(ended.ok()) << ended.error().to_string();
  EXPECT_TRUE(status().incr_sync().window_closed());
  run_struct("fk", cluster::v1::FOREIGN_KEYS);
  expect_equal();
}

// The database is dropped and made again before its tables are copied: the copies are newer than that.
TEST_F(IncrWindowTest, ADatabaseMadeAgainKeepsItsNewerCopies) {
  const std::string again =
      "DROP DATABASE app; CREATE DATABASE app CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci; USE app;";
  source("CREATE TABLE early (id INT PRIMARY KEY); INSERT INTO early VALUES (1)");
  target_server().sql("DROP DATABASE app");
  start_store();
  source("CREATE TABLE of_log (id INT PRIMARY KEY); INSERT INTO of_log VALUES (1)");
  source(again + "CREATE TABLE made (id INT PRIMARY KEY, v INT); INSERT INTO made VALUES (1, 1)");
  run_struct("tables", cluster::v1::TABLES);
  const Position end = run_copy("full");
  target("CREATE TABLE early (id INT PRIMARY KEY)");  // as if it had been copied before
  source("CREATE TABLE early (v INT PRIMARY KEY); INSERT INTO early VALUES (5); INSERT INTO made VALUES (2, 2)");
  write_window("early", start_, start_);
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(wait_closed());
  EXPECT_EQ(target_server().query_value("SELECT v FROM app.made WHERE id = 1"), "1");
  follow_strictly();
  source("UPDATE made SET v = 3 WHERE id = 1");
  drain();
  expect_equal();
}

// What CASCADE and SET NULL do to children is not in the log: the children are read again from the source.
TEST_F(IncrWindowTest, CascadesInTheWindowAreReadAgain) {
  const std::string columns = "(id INT PRIMARY KEY, p INT, v INT";
  source(
      "CREATE TABLE parent (id INT PRIMARY KEY, v INT);"
      "CREATE TABLE child " +
      columns +
      ", FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE);"
      "CREATE TABLE leaf " +
      columns + ", FOREIGN KEY (p) REFERENCES child (id) ON DELETE SET NULL);");
  target(
      "CREATE TABLE parent (id INT PRIMARY KEY, v INT);"
      "CREATE TABLE child " +
      columns + ", KEY (p)); CREATE TABLE leaf " + columns + ", KEY (p));");
  const std::string rows =
      "INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3);"
      "INSERT INTO child VALUES (10, 1, 0), (11, 1, 0), (20, 2, 0), (30, 3, 0);"
      "INSERT INTO leaf VALUES (100, 10, 0), (101, 11, 0), (200, 20, 0), (300, 30, 0);";
  source(rows);
  start_store();
  const Position begin = source_end();
  target("SET foreign_key_checks=0;" + rows);  // the copy saw the rows as they are now
  source(
      "DELETE FROM parent WHERE id = 1; UPDATE parent SET id = 7 WHERE id = 2;"
      "INSERT INTO child VALUES (12, 3, 5); UPDATE child SET v = 9 WHERE id = 30");
  const Position end = source_end();
  source("INSERT INTO leaf VALUES (301, 12, 1)");
  for (const char* table : {"parent", "child", "leaf"}) write_window(table, begin, end);
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(wait_closed());
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM sluice.recheck"), "0");
  target(
      "ALTER TABLE child ADD CONSTRAINT child_ibfk_1 FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON "
      "UPDATE CASCADE;"
      "ALTER TABLE leaf ADD CONSTRAINT leaf_ibfk_1 FOREIGN KEY (p) REFERENCES child (id) ON DELETE SET NULL");
  follow_strictly();
  source("DELETE FROM parent WHERE id = 3");
  drain();
  expect_equal();
}

// The child is copied before the cascade and the parent after it: the parent's copy holds its own change already, but
// what it did to the child stands in no log.
TEST_F(IncrWindowTest, ACascadeBetweenTheCopiesOfChildAndParentIsReadAgain) {
  source(
      "CREATE TABLE parent (id INT PRIMARY KEY, v INT);"
      "CREATE TABLE child (id INT PRIMARY KEY, p INT, v INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE "
      "ON "
      "UPDATE CASCADE);"
      "INSERT INTO parent SELECT seq, seq FROM seq_1_to_20; INSERT INTO child SELECT seq, 1 + seq % 20, seq FROM "
      "seq_1_to_100");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_struct("tables", cluster::v1::TABLES);
  run_copy("full.child", {"child"});
  source("DELETE FROM parent WHERE id = 3; UPDATE parent SET id = 1005 WHERE id = 5; INSERT INTO parent VALUES (3, 0)");
  const Position end = run_copy("full.parent", {"parent"});
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(wait_closed());
  run_struct("keys", cluster::v1::FOREIGN_KEYS);
  follow_strictly();
  drain();
  expect_equal();
}

// The cascade went through a child that was copied after it: nothing on the target shows which grandchildren it
// reached.
TEST_F(IncrWindowTest, ACascadeThroughAChildThatWasCopiedLaterIsFound) {
  source(
      "CREATE TABLE parent (id INT PRIMARY KEY);"
      "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE);"
      "CREATE TABLE leaf (id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES child (id) ON DELETE SET NULL);"
      "INSERT INTO parent VALUES (1), (2), (3); INSERT INTO child VALUES (10, 1), (20, 2), (30, 3);"
      "INSERT INTO leaf VALUES (100, 10), (200, 20), (300, 30)");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_struct("tables", cluster::v1::TABLES);
  run_copy("full.leaf", {"leaf"});
  source("DELETE FROM parent WHERE id = 1; DELETE FROM parent WHERE id = 2; INSERT INTO child VALUES (20, 3)");
  run_copy("full.child", {"child"});
  source("DELETE FROM parent WHERE id = 3; INSERT INTO parent VALUES (4); INSERT INTO child VALUES (30, 4)");
  const Position end = run_copy("full.parent", {"parent"});
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(wait_closed());
  run_struct("keys", cluster::v1::FOREIGN_KEYS);
  follow_strictly();
  drain();
  expect_equal();
}

TEST_F(IncrWindowTest, DdlInTheWindowAsksForANewCopy) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT); CREATE TABLE app.other (id INT PRIMARY KEY)");
  source("INSERT INTO t VALUES (1, 1)");
  start_store();
  const Position begin = source_end();
  source(
      "INSERT INTO t VALUES (2, 2); INSERT INTO other VALUES (1);"
      "ALTER TABLE t ADD COLUMN w INT DEFAULT 5; INSERT INTO t VALUES (3, 3, 3); INSERT INTO other VALUES (2)");
  const Position end = source_end();
  write_window("t", begin, end);
  write_window("other", begin, end);
  auto& component =
      start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  auto asks = [](const ComponentStatus& status) { return asks_for(status, "t", 2); };
  ASSERT_TRUE(component.wait_status(asks, 30s));
  EXPECT_FALSE(status().incr_sync().window_closed());
  source("INSERT INTO t VALUES (4, 4, 4)");
  const Position second = run_copy("full.r1", {"t"});
  source("UPDATE t SET w = 9 WHERE id = 1");
  component.desire([&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(second);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "t"}, 2});
  });
  ASSERT_TRUE(wait_closed());
  follow_strictly();
  source("ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (5, 5)");
  drain();
  expect_equal();
}

// Rows wait to be read again from a snapshot; then a table has to be copied, which leads beyond the snapshot.
TEST_F(IncrWindowTest, ASnapshotDoesNotOutliveALaterCopy) {
  source(
      "CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE other (id INT PRIMARY KEY);"
      "CREATE TABLE child (id INT PRIMARY KEY, p INT, v INT, FOREIGN KEY (p) REFERENCES parent (id) ON UPDATE CASCADE);"
      "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (10, 1, 0); INSERT INTO other VALUES (1)");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_copy_after_struct("full.child", "child");
  source("UPDATE parent SET id = 2 WHERE id = 1");
  const Position end = run_copy("full.rest", {"parent", "other"});
  source("ALTER TABLE other ADD COLUMN r DOUBLE DEFAULT (RAND())");  // behind the window, before the snapshot
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(
      incr_->component().wait_status([](const ComponentStatus& status) { return asks_for(status, "other", 2); }, 30s));
  EXPECT_TRUE(wait_transactions("0")) << "a transaction stays open on the source while a table is copied";
  source("UPDATE child SET v = 7 WHERE id = 10");
  const Position second = run_copy("full.r1", {"other"});
  incr_->component().desire([&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(second);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "other"}, 2});
  });
  ASSERT_TRUE(wait_closed());
  run_struct("keys", cluster::v1::FOREIGN_KEYS);
  follow_strictly();
  drain();
  expect_equal();
}

// The log tells of a column that the target's table, copied later, does not have any more.
TEST_F(IncrWindowTest, RowsThatTheCopyHoldsMayHaveColumnsThatAreGone) {
  source(
      "CREATE TABLE parent (id INT PRIMARY KEY, a INT, v INT);"
      "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON UPDATE CASCADE);"
      "INSERT INTO parent VALUES (1, 1, 1); INSERT INTO child VALUES (10, 1)");
  target_server().sql("DROP DATABASE app");
  start_store();
  source("INSERT INTO parent VALUES (2, 2, 2)");
  run_copy_after_struct("full.child", "child");
  source(
      "UPDATE parent SET id = 3 WHERE id = 1; ALTER TABLE parent DROP COLUMN a; INSERT INTO parent VALUES (4, 4);"
      "ALTER TABLE parent RENAME COLUMN v TO w; INSERT INTO parent VALUES (5, 5)");
  const Position end = run_copy("full.parent", {"parent"});
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(wait_closed());
  run_struct("keys", cluster::v1::FOREIGN_KEYS);
  follow_strictly();
  source("UPDATE parent SET w = 9 WHERE id = 3");
  drain();
  expect_equal();
}

TEST_F(IncrWindowTest, SeveralDroppedColumnsWithRowsBetweenThem) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, a INT, b INT, v INT)");
  start_store();
  const Position begin = source_end();
  source("INSERT INTO t VALUES (1, 1, 1, 1); ALTER TABLE t DROP COLUMN a");
  const Position end = source_end();
  write_window("t", begin, end);
  auto& component =
      start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  auto asks = [](const ComponentStatus& status) { return asks_for(status, "t", 2); };
  ASSERT_TRUE(component.wait_status(asks, 30s));
  source("INSERT INTO t VALUES (2, 2, 2); ALTER TABLE t DROP COLUMN b; INSERT INTO t VALUES (3, 3)");
  const Position second = run_copy("full.r1", {"t"});
  component.desire([&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(second);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "t"}, 2});
  });
  ASSERT_TRUE(wait_closed());
  follow_strictly();
  drain();
  expect_equal();
}

// The copy has read its definition behind a DDL statement that stands in its window: what comes before does not fit.
TEST_F(IncrWindowTest, RowsInTheWindowThatDoNotFitTheCopyAskForANewOne) {
  source("CREATE TABLE t (id INT PRIMARY KEY, a INT, v INT)");
  target("CREATE TABLE t (id INT PRIMARY KEY, v INT)");
  start_store();
  const Position begin = source_end();
  source("INSERT INTO t VALUES (1, 1, 1); ALTER TABLE t DROP COLUMN a; INSERT INTO t VALUES (2, 2)");
  const Position end = source_end();
  write_window("t", begin, end);
  auto& component =
      start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(component.wait_status([](const ComponentStatus& status) { return asks_for(status, "t", 2); }, 30s));
  const Position second = run_copy("full.r1", {"t"});
  component.desire([&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(second);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "t"}, 2});
  });
  ASSERT_TRUE(wait_closed());
  follow_strictly();
  drain();
  expect_equal();
}

// A branch that nobody ends holds the window open: the state says so, and names it. When it is over the window closes.
TEST_F(IncrWindowTest, AForgottenBranchIsNamed) {
  source(
      "CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE other (id INT PRIMARY KEY);"
      "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE);"
      "INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1), (20, 2)");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_copy_after_struct("full.child", "child");
  source("DELETE FROM parent WHERE id = 1");
  const Position end = run_copy("full.parent", {"parent", "other"});
  source("XA START 'forgotten'; INSERT INTO other VALUES (7); XA END 'forgotten'; XA PREPARE 'forgotten'");
  auto& component =
      start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  const bool told = component.wait_status(
      [](const ComponentStatus& status) {
        return status.state() == cluster::v1::RETRYING && status.error().code() == "XA_PENDING" &&
               status.error().cause().find("forgotten") != std::string::npos;
      },
      30s);
  source("XA COMMIT 'forgotten'");
  EXPECT_TRUE(told) << status().ShortDebugString();
  ASSERT_TRUE(wait_closed());
  EXPECT_TRUE(
      component.wait_status([](const ComponentStatus& status) { return status.state() == cluster::v1::RUNNING; }, 20s));
  run_struct("fk", cluster::v1::FOREIGN_KEYS);
  follow_strictly();
  drain();
  expect_equal();
}

// Whether a copy holds a large transaction is not known while it comes; its rows may not fit the copy at all.
TEST_F(IncrWindowTest, ALargeTransactionOfAnOlderDefinition) {
  source("CREATE TABLE t (id INT PRIMARY KEY, a INT, v VARCHAR(2000)); CREATE TABLE other (id INT PRIMARY KEY)");
  target_server().sql("DROP DATABASE app");
  start_store();
  source(
      "BEGIN; INSERT INTO t SELECT seq, 1, REPEAT('x', 1500) FROM seq_1_to_2000; INSERT INTO other VALUES (1); COMMIT;"
      "ALTER TABLE t DROP COLUMN a; INSERT INTO t VALUES (5000, 'after')");
  run_struct("tables", cluster::v1::TABLES);
  const Position end = run_copy("full");
  auto& component = start_incr(
      1, [](cluster::v1::ComponentBoot& boot) { boot.mutable_spec()->set_memory_bytes(24 << 20); },
      [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  ASSERT_TRUE(component.wait_status([](const ComponentStatus& status) { return asks_for(status, "t", 2); }, 30s));
  const Position second = run_copy("full.r1", {"t"});
  component.desire([&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(second);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "t"}, 2});
  });
  ASSERT_TRUE(wait_closed());
  follow_strictly();
  drain();
  expect_equal();
}

// The source's table changes between the snapshot, from which its row is read again, and that reading.
class IncrRereadTest : public IncrWindowTest {
 protected:
  void child_changes_by(const std::string& ddl) {
    source(
        "CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE other (id INT PRIMARY KEY);"
        "CREATE TABLE child (id INT PRIMARY KEY, p INT, v VARCHAR(10), w INT, FOREIGN KEY (p) REFERENCES "
        "parent (id) ON UPDATE CASCADE);"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (10, 1, 'kept', 1)");
    target_server().sql("DROP DATABASE app");
    start_store();
    run_copy_after_struct("full.child", "child");
    source("UPDATE parent SET id = 2 WHERE id = 1");
    const Position end = run_copy("full.parent", {"parent", "other"});
    // The window stays open until the hold, with which something in front of the snapshot is not applied yet.
    Position far = end;
    far.offset += 1'000'000'000;
    start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(far); });
    ASSERT_TRUE(incr_->component().wait_status(
        [&](const ComponentStatus& status) {
          return compare_in_log(net::from_proto(status.incr_sync().applied()), end) >= 0;
        },
        30s));
    incr_->component().desire([&](ComponentDesired& desired) {
      desired.mutable_hold()->set_id(5);
      desired.mutable_hold()->set_patience_ms(60'000);
    });
    ASSERT_TRUE(incr_->component().wait_status(
        [](const ComponentStatus& status) { return status.incr_sync().hold().paused(); }, 30s));
    source("INSERT INTO other VALUES (1)");
    desire_window(end);
    const bool snapshot = wait_transactions("1");
    source(ddl);
    incr_->component().desire([](ComponentDesired& desired) { desired.clear_hold(); });
    ASSERT_TRUE(wait_closed());
    run_struct("keys", cluster::v1::FOREIGN_KEYS);
    follow_strictly();
    drain();
    expect_equal();
    // On a very slow machine the log is followed first: equal, but not what this is about.
    if (!snapshot) GTEST_SKIP() << "no snapshot was opened before the statement";
  }
};

TEST_F(IncrRereadTest, AColumnHasAnotherName) { child_changes_by("ALTER TABLE child RENAME COLUMN v TO x"); }

TEST_F(IncrRereadTest, TheTableIsRebuilt) { child_changes_by("ALTER TABLE child MODIFY w BIGINT"); }

// All that hangs below one parent is more than the target takes in one packet.
TEST_F(IncrWindowTest, ManyWideRowsAreReadAgain) {
  source(
      "CREATE TABLE parent (id INT PRIMARY KEY);"
      "CREATE TABLE child (id VARCHAR(250) PRIMARY KEY, p INT, v MEDIUMTEXT, FOREIGN KEY (p) REFERENCES parent (id) ON "
      "UPDATE CASCADE) CHARACTER SET latin1;"
      "INSERT INTO parent VALUES (1);"
      "INSERT INTO child SELECT LPAD(seq, 250, 'k'), 1, IF(seq <= 30, REPEAT('v', 100000), 'v') FROM seq_1_to_3000");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_copy_after_struct("full.child", "child");
  source("UPDATE parent SET id = 2 WHERE id = 1");
  const Position end = run_copy("full.parent", {"parent"});
  target_server().sql("SET GLOBAL max_allowed_packet = 1048576");
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(end); });
  const bool closed = wait_closed();
  target_server().sql("SET GLOBAL max_allowed_packet = 16777216");
  ASSERT_TRUE(closed);
  run_struct("keys", cluster::v1::FOREIGN_KEYS);
  follow_strictly();
  drain();
  expect_equal();
}

TEST_F(IncrWindowTest, DropAndTruncateInTheWindowAreExactWhereTheyStand) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT); CREATE TABLE app.gone (id INT PRIMARY KEY)");
  source("INSERT INTO t VALUES (1, 1), (2, 2); INSERT INTO gone VALUES (1)");
  start_store();
  const Position begin = source_end();
  target("INSERT INTO t VALUES (1, 1), (9, 9); INSERT INTO gone VALUES (1)");  // 9 was copied after the TRUNCATE
  for (const char* table : {"t", "gone"}) write_window(table, begin, begin);
  source(
      "TRUNCATE TABLE t; INSERT INTO t VALUES (9, 9), (3, 3); DROP TABLE gone; CREATE TABLE gone (x INT PRIMARY KEY);"
      "INSERT INTO gone VALUES (7)");
  const Position end = source_end();
  target_server().sql("UPDATE sluice.table_state SET window_end = '" + end.to_string() + "'");
  start_incr(1, {}, [&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(end);
    desired.set_follow_strictly(true);
  });
  ASSERT_TRUE(wait_closed());
  drain();
  expect_equal();
}

}  // namespace
}  // namespace sluice::agents
