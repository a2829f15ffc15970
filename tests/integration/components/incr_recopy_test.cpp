// Tables that are copied again while Incr-Sync follows strictly: until the new tables have their foreign keys the
// target does not cascade as the source does.
#include "agents/components/full_import/full_import.hpp"
#include "agents/components/struct_transfer/struct_transfer.hpp"
#include "tests/integration/components/incr_fixture.hpp"

namespace sluice::agents {
namespace {

class CopiedTest : public IncrSyncTest {
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
  Position run_copy(const std::string& name, const std::vector<std::string>& tables) {
    auto spec = spec_of(name, cluster::v1::FULL_IMPORT);
    for (const auto& table : tables) *spec.add_tables() = net::to_proto(TableName{"app", table});
    FakeComponent component(spec);
    const auto done = run_full_import(component);
    EXPECT_TRUE(done.ok()) << done.error().to_string();
    return net::from_proto(component.status().full_import().window_end());
  }
  bool wait_closed() {
    return incr_->component().wait_status(
        [](const ComponentStatus& status) {
          return status.incr_sync().window_closed() && status.incr_sync().needs_copy_size() == 0;
        },
        60s);
  }
  static std::string count(const std::string& table, const std::string& where) {
    return target_server().query_value("SELECT COUNT(*) FROM app." + table + " WHERE " + where);
  }

  Position window_end_;
};

class IncrRecopyTest : public CopiedTest {
 protected:
  void SetUp() override {
    IncrSyncTest::SetUp();
    const char* const tables =
        "CREATE TABLE app.parent (id INT PRIMARY KEY, v INT);"
        "CREATE TABLE app.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES app.parent (id) ON DELETE "
        "CASCADE ON UPDATE CASCADE)";
    source_server().sql(tables);
    source(
        "INSERT INTO parent SELECT seq, seq FROM seq_1_to_20; INSERT INTO child SELECT seq, 1 + seq % 20 FROM "
        "seq_1_to_100");
    target_server().sql("DROP DATABASE app");
    start_store();
    run_struct("tables", cluster::v1::TABLES);
    window_end_ = run_copy("full", {});
    start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(window_end_); });
    ASSERT_TRUE(wait_closed());
    run_struct("struct.fk", cluster::v1::FOREIGN_KEYS);
    incr_->component().desire([](ComponentDesired& desired) { desired.set_follow_strictly(true); });
    source("DELETE FROM parent WHERE id = 1");
    ASSERT_TRUE(wait_until([&] { return count("parent", "id = 1") == "0"; }));
  }

  // The log cannot tell what this statement gives to the rows: the child is copied again.
  void child_is_copied_again() {
    source("ALTER TABLE child ADD COLUMN r DOUBLE DEFAULT (RAND())");
    ASSERT_TRUE(incr_->component().wait_status(
        [](const ComponentStatus& status) { return asks_for(status, "child", 2); }, 30s));
    window_end_ = run_copy("full.r1", {"child"});
    source("DELETE FROM parent WHERE id = 2; UPDATE parent SET id = 103 WHERE id = 3");  // behind the copy's window
  }
};

// The coordinator's word that foreign keys are in place is older than the copy.
TEST_F(IncrRecopyTest, NothingCascadesBeforeTheNewTableHasItsForeignKeys) {
  child_is_copied_again();
  ASSERT_TRUE(wait_until([&] {
    return target_server().query_value("SELECT state FROM sluice.table_state WHERE source_table = 'child'") == "COPIED";
  }));
  std::this_thread::sleep_for(3s);  // whoever would follow strictly now has the time to
  EXPECT_EQ(count("parent", "id = 2"), "1") << "applied before the target can cascade";
  incr_->component().desire([&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(window_end_);
    desired.set_follow_strictly(false);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "child"}, 2});
  });
  ASSERT_TRUE(wait_closed());
  run_struct("struct.fk.1", cluster::v1::FOREIGN_KEYS);
  incr_->component().desire([](ComponentDesired& desired) { desired.set_follow_strictly(true); });
  drain();
  expect_equal();
}

// A process that starts behind the new window's end finds the window open, not the strictness of before the copy.
TEST_F(IncrRecopyTest, ARestartBehindTheNewWindowIsNotStrict) {
  child_is_copied_again();
  auto recopied = [&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(window_end_);
    desired.set_follow_strictly(false);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "child"}, 2});
  };
  incr_->component().desire(recopied);
  ASSERT_TRUE(wait_closed());
  ASSERT_TRUE(incr_->stop().ok());  // writes its checkpoint at the window's end
  start_incr(2, {}, recopied);
  ASSERT_TRUE(wait_closed());
  std::this_thread::sleep_for(2s);
  EXPECT_EQ(count("parent", "id = 2"), "1") << "applied before the target can cascade";
  run_struct("struct.fk.1", cluster::v1::FOREIGN_KEYS);
  incr_->component().desire([](ComponentDesired& desired) { desired.set_follow_strictly(true); });
  drain();
  expect_equal();
}

// The end of the drain is asked for before a table has to be copied again: the copy is newer than that end.
TEST_F(IncrRecopyTest, ADrainGoesOnToTheEndOfALaterCopy) {
  ASSERT_TRUE(incr_->stop().ok());
  source("ALTER TABLE child ADD COLUMN r DOUBLE DEFAULT (RAND())");
  start_incr(2, {}, [](ComponentDesired& desired) {
    desired.set_follow_strictly(true);
    desired.set_drain(true);
  });
  const uint64_t revision = incr_->component().desired().revision();
  ASSERT_TRUE(incr_->component().wait_status(
      [&](const ComponentStatus& status) {
        return status.incr_sync().needs_copy_size() == 1 && status.desired_revision() == revision;
      },
      30s));
  source("DELETE FROM parent WHERE id = 2; INSERT INTO child VALUES (500, 4, 0.5)");
  window_end_ = run_copy("full.r1", {"child"});
  incr_->component().desire([&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(window_end_);
    desired.set_follow_strictly(false);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "child"}, 2});
  });
  ASSERT_TRUE(wait_closed());
  run_struct("struct.fk.1", cluster::v1::FOREIGN_KEYS);
  incr_->component().desire([](ComponentDesired& desired) { desired.set_follow_strictly(true); });
  ASSERT_TRUE(wait_until([&] { return incr_->over(); }, 30s)) << "it waits for ever";
  expect_equal();
}

// Struct-Transfer has made the table; before Full-Import lists the tables, and can copy it, it is gone from the source.
TEST_F(CopiedTest, ATableThatWasDroppedBeforeItsCopyHoldsNobodyUp) {
  source(
      "CREATE TABLE gone (id INT PRIMARY KEY); CREATE TABLE renamed (id INT PRIMARY KEY); CREATE TABLE stays (id INT "
      "PRIMARY KEY); INSERT INTO gone VALUES (1); INSERT INTO renamed VALUES (1); INSERT INTO stays VALUES (1)");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_struct("tables", cluster::v1::TABLES);
  source(
      "INSERT INTO gone VALUES (2); DROP TABLE gone; INSERT INTO renamed VALUES (2); RENAME TABLE renamed TO other;"
      "INSERT INTO other VALUES (3); INSERT INTO stays VALUES (2)");
  window_end_ = run_copy("full", {});
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(window_end_); });
  ASSERT_TRUE(wait_closed());
  run_struct("struct.fk", cluster::v1::FOREIGN_KEYS);
  incr_->component().desire([](ComponentDesired& desired) { desired.set_follow_strictly(true); });
  source("INSERT INTO other VALUES (4)");
  drain();
  expect_equal();
}

// More rows than are kept at once: the definition comes with the first piece.
TEST_F(CopiedTest, ALargeCreateTableSelectIsFollowed) {
  source("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_struct("tables", cluster::v1::TABLES);
  window_end_ = run_copy("full", {});
  start_incr(
      1, [](cluster::v1::ComponentBoot& boot) { boot.mutable_spec()->set_memory_bytes(24 << 20); },
      [&](ComponentDesired& desired) {
        *desired.mutable_window_end() = net::to_proto(window_end_);
        desired.set_follow_strictly(true);
      });
  source(
      "CREATE TABLE big (id INT PRIMARY KEY, pad VARCHAR(1000)) SELECT seq AS id, REPEAT('x', 1000) AS pad FROM "
      "seq_1_to_5000; INSERT INTO big VALUES (9000, 'y')");
  drain();
  expect_equal();
}

// The copy that is asked for behind a large transaction is under way while that transaction is lost with its
// connection. Its repetition waits for the copy: what it would write of the table's state belongs to Full-Import
// meanwhile.
TEST_F(CopiedTest, ALargeTransactionIsNotRepeatedBesideTheCopyThatItAskedFor) {
  source("CREATE TABLE t (id INT PRIMARY KEY, a INT, v VARCHAR(2000)); CREATE TABLE other (v VARCHAR(20) PRIMARY KEY)");
  target_server().sql("DROP DATABASE app");
  start_store();
  source(
      "BEGIN; INSERT INTO other VALUES ('the beginning'); INSERT INTO t SELECT seq, 1, REPEAT('x', 1500) FROM "
      "seq_1_to_2000; INSERT INTO other VALUES ('the end'); COMMIT;"
      "ALTER TABLE t DROP COLUMN a; INSERT INTO t VALUES (5000, 'after')");
  run_struct("tables", cluster::v1::TABLES);
  window_end_ = run_copy("full", {});
  testing::TcpProxy proxy(target_server().port());
  proxy.when(testing::Direction::kToServer, "the end", testing::OnPattern::kHoldRequest);
  auto& component = start_incr(
      1,
      [&](cluster::v1::ComponentBoot& boot) {
        boot.mutable_spec()->set_memory_bytes(24 << 20);
        *boot.mutable_spec()->mutable_target() = net::to_proto(through(proxy));
      },
      [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(window_end_); });
  const auto asks_for_round = [](uint32_t round) {
    return [round](const ComponentStatus& status) { return asks_for(status, "t", round); };
  };
  ASSERT_TRUE(component.wait_status(asks_for_round(2), 30s));
  ASSERT_TRUE(wait_until([&] { return proxy.fired(); }));
  const std::string seq = "SELECT MAX(seq) FROM sluice.checkpoint WHERE applier < 1000";
  const std::string before = target_server().query_value(seq);
  proxy.when(testing::Direction::kToServer, "the beginning", testing::OnPattern::kHoldRequest);
  proxy.cut_all();
  // The next session has read the tables' states.
  ASSERT_TRUE(wait_until([&] { return target_server().query_value(seq) != before; }, 30s));
  window_end_ = run_copy("full.r1", {"t"});
  ASSERT_TRUE(wait_until([&] { return proxy.fired(); }, 30s));
  proxy.release();
  // The coordinator's word of the copy's end is still on its way: it would take no notice of the same wish.
  EXPECT_TRUE(component.wait_status(asks_for_round(3), 30s)) << "it waits for ever";
  window_end_ = run_copy("full.r2", {"t"});
  component.desire([&](ComponentDesired& desired) {
    *desired.mutable_window_end() = net::to_proto(window_end_);
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "t"}, 2});
    *desired.add_recopied_tables() = net::to_proto(TableCopy{{"app", "t"}, 3});
  });
  ASSERT_TRUE(wait_closed());
  run_struct("struct.fk", cluster::v1::FOREIGN_KEYS);
  component.desire([](ComponentDesired& desired) { desired.set_follow_strictly(true); });
  drain();
  expect_equal();
}

// Whether the copy of a table without a key holds a transaction is known at that transaction's end only. One that is
// too large to be kept until then is refused, and passes with more memory.
TEST_F(CopiedTest, ALargeTransactionBeforeTheCopyOfATableWithoutAKeyIsRefused) {
  source("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(2000)); CREATE TABLE k (v INT); INSERT INTO k VALUES (1), (1)");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_struct("tables", cluster::v1::TABLES);
  source("BEGIN; INSERT INTO t SELECT seq, REPEAT('x', 1500) FROM seq_1_to_2000; INSERT INTO k VALUES (2); COMMIT");
  window_end_ = run_copy("full", {});
  source("INSERT INTO k VALUES (3)");
  const auto start_with = [&](uint64_t epoch, uint64_t memory) {
    start_incr(
        epoch, [&](cluster::v1::ComponentBoot& boot) { boot.mutable_spec()->set_memory_bytes(memory); },
        [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(window_end_); });
  };
  start_with(1, 24 << 20);
  ASSERT_TRUE(wait_until([&] { return incr_->over(); }, 30s));
  const auto ended = incr_->join();
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code(), ErrorCode::TRANSACTION_TOO_LARGE) << ended.error().to_string();
  EXPECT_EQ(ended.error().object(), "app.k");
  EXPECT_NE(ended.error().cause().find("memory"), std::string::npos);
  start_with(2, 512 << 20);
  ASSERT_TRUE(wait_closed());
  run_struct("struct.fk", cluster::v1::FOREIGN_KEYS);
  incr_->component().desire([](ComponentDesired& desired) { desired.set_follow_strictly(true); });
  drain();
  expect_equal();
}

// Rows of a child without a key cannot be read again one by one: refused, never left as they are.
TEST_F(CopiedTest, ACascadeInTheWindowToAChildWithoutAKeyIsRefused) {
  source(
      "CREATE TABLE parent (id INT PRIMARY KEY, v INT);"
      "CREATE TABLE child (p INT, v INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE);"
      "INSERT INTO parent SELECT seq, seq FROM seq_1_to_20; INSERT INTO child SELECT 1 + seq % 20, seq FROM "
      "seq_1_to_100");
  target_server().sql("DROP DATABASE app");
  start_store();
  run_struct("tables", cluster::v1::TABLES);
  run_copy("full.child", {"child"});
  source("DELETE FROM parent WHERE id = 3");
  window_end_ = run_copy("full.parent", {"parent"});
  start_incr(1, {}, [&](ComponentDesired& desired) { *desired.mutable_window_end() = net::to_proto(window_end_); });
  ASSERT_TRUE(wait_until([&] { return incr_->over(); }, 30s));
  const auto ended = incr_->join();
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code(), ErrorCode::UNSUPPORTED) << ended.error().to_string();
  EXPECT_EQ(ended.error().object(), "app.child");
}

}  // namespace
}  // namespace sluice::agents
