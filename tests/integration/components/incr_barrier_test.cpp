// A DDL statement beside the appliers: what it does not concern goes on, what it concerns waits, and nothing is lost or
// done twice whenever it is interrupted.
#include <csignal>

#include "tests/integration/components/incr_process.hpp"

namespace sluice::agents {
namespace {

class IncrBarrier : public IncrProcessTest {
 protected:
  void SetUp() override {
    IncrProcessTest::SetUp();
    both(
        "CREATE TABLE app.t (id INT PRIMARY KEY, v INT); CREATE TABLE app.u (id INT PRIMARY KEY);"
        "CREATE TABLE app.c (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES app.t (id));"
        "INSERT INTO app.t VALUES (1, 1)");
    start_store();
  }
  void TearDown() override {
    blocker_.reset();
    IncrProcessTest::TearDown();
  }
  // From here on no statement on the target can change the table's definition.
  void block(const std::string& table) {
    blocker_ = std::move(mysql::Connection::open(target_server().endpoint(), {})).value();
    ASSERT_TRUE(blocker_->exec("START TRANSACTION").ok());
    ASSERT_TRUE(blocker_->query("SELECT * FROM app." + table).ok());
  }
  void unblock() { blocker_.reset(); }
  static bool waits() {
    return target_server().query_value(
               "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata%'") !=
           "0";
  }
  static std::string count(const std::string& table) {
    return target_server().query_value("SELECT COUNT(*) FROM app." + table);
  }
  static bool arrives(const std::string& table, const std::string& rows) {
    return wait_until([&] { return count(table) == rows; }, 30s);
  }
  std::unique_ptr<mysql::Connection> blocker_;
};

TEST_F(IncrBarrier, OtherTablesGoOnWhileAStatementIsBlocked) {
  auto& component = start_incr();
  block("t");
  source("INSERT INTO t VALUES (2, 2); ALTER TABLE t ADD COLUMN w INT NOT NULL DEFAULT 5");
  ASSERT_TRUE(wait_until(waits, 30s));
  for (int i = 1; i <= 20; ++i) source("INSERT INTO u VALUES (" + std::to_string(i) + ")");
  EXPECT_TRUE(arrives("u", "20"));
  EXPECT_TRUE(waits());
  // Nothing is known to be complete behind the statement.
  EXPECT_TRUE(component.wait_status([](const auto& now) { return now.incr_sync().lag_ms() > 0; }, 10s));
  // A child waits: on the source it came after the statement. So does what stands behind it.
  source("INSERT INTO c VALUES (1, 2); INSERT INTO u VALUES (100)");
  EXPECT_TRUE(component.wait_status([](const auto& now) { return now.incr_sync().lag_ms() > 1500; }, 30s));
  EXPECT_EQ(count("c"), "0");
  EXPECT_EQ(count("u"), "20");
  EXPECT_TRUE(waits());
  unblock();
  EXPECT_TRUE(arrives("c", "1"));
  source("INSERT INTO t VALUES (3, 3, 3)");
  drain();
  expect_equal();
  EXPECT_EQ(target_server().query_value("SELECT GROUP_CONCAT(w ORDER BY id) FROM app.t"), "5,5,3");
}

TEST_F(IncrBarrier, AStatementWaitsForWhatIsUnderWayOnItsTablesOnly) {
  start_incr();
  source("INSERT INTO u VALUES (0)");
  ASSERT_TRUE(arrives("u", "1"));
  // A row of u cannot be written; a statement about t need not wait for it.
  auto lock = std::move(mysql::Connection::open(target_server().endpoint(), {})).value();
  ASSERT_TRUE(lock->exec("START TRANSACTION").ok());
  ASSERT_TRUE(lock->exec("INSERT INTO app.u VALUES (1)").ok());
  source("INSERT INTO u VALUES (1); ALTER TABLE t ADD COLUMN w INT NOT NULL DEFAULT 5; INSERT INTO t VALUES (2, 2, 2)");
  EXPECT_TRUE(arrives("t", "2"));
  EXPECT_EQ(target_server().query_value("SELECT state FROM sluice.ddl"), "DONE");
  // The next one is about u.
  source("ALTER TABLE u ADD COLUMN w INT");
  ASSERT_TRUE(lock->exec("ROLLBACK").ok());
  drain();
  expect_equal();
}

// Killed while the statement is blocked: what was applied behind it is not applied again, and the statement runs once.
TEST_F(IncrBarrier, KilledWhileAStatementRuns) {
  for (const bool done_meanwhile : {false, true}) {
    SCOPED_TRACE(done_meanwhile ? "the server finishes it" : "the server gives it up");
    const std::string n = done_meanwhile ? "2" : "1";
    const std::string before = count("u");
    pid_t pid = spawn_incr(++epoch_, target_server().endpoint());
    block("t");
    source("UPDATE t SET v = v + 1; ALTER TABLE t ADD COLUMN w" + n + " INT NOT NULL DEFAULT 5");
    ASSERT_TRUE(wait_until(waits, 30s));
    source("INSERT INTO u VALUES (10" + n + "), (20" + n + "); INSERT INTO u VALUES (30" + n + ")");
    ASSERT_TRUE(arrives("u", std::to_string(std::stoi(before) + 3)));
    source("UPDATE t SET w" + n + " = 6; INSERT INTO u VALUES (40" + n + ")");
    testing::send_signal(pid, SIGKILL);
    EXPECT_EQ(reap(pid), 128 + SIGKILL);
    if (done_meanwhile) {
      // Its connection is still there, and the server knows nothing of the client's end.
      unblock();
      ASSERT_TRUE(wait_until([&] { return !waits(); }, 30s));
    }
    pid = spawn_incr(epoch_, target_server().endpoint());  // the Supervisor starts it again
    unblock();
    ASSERT_TRUE(arrives("u", std::to_string(std::stoi(before) + 4)));
    testing::send_signal(pid, SIGKILL);
    reap(pid);
  }
  start_incr(++epoch_);
  drain();
  expect_equal();
  EXPECT_EQ(target_server().query_value("SELECT GROUP_CONCAT(state) FROM sluice.ddl"), "DONE,DONE");
}

TEST_F(IncrBarrier, AStopEndsAStatementThatIsBlocked) {
  start_incr();
  block("t");
  source("ALTER TABLE t ADD COLUMN w INT NOT NULL DEFAULT 5; INSERT INTO u VALUES (1)");
  ASSERT_TRUE(wait_until(waits, 30s));
  ASSERT_TRUE(arrives("u", "1"));
  const auto ended = incr_->stop();
  EXPECT_TRUE(ended.ok()) << ended.error().to_string();
  EXPECT_FALSE(waits()) << "nothing is left running on the target";
  unblock();
  start_incr(2);
  drain();
  expect_equal();
}

// The Store goes away while a statement runs: it is not begun anew for that.
TEST_F(IncrBarrier, AStatementOutlivesTheStoresStream) {
  auto& component = start_incr();
  block("t");
  source("ALTER TABLE t ADD COLUMN w INT NOT NULL DEFAULT 5");
  ASSERT_TRUE(wait_until(waits, 30s));
  const std::string running = target_server().query_value(
      "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata%'");
  (void)store_->stop();
  ASSERT_TRUE(component.wait_status([](const auto& now) { return now.state() == cluster::v1::RETRYING; }, 30s));
  EXPECT_EQ(target_server().query_value(
                "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata%'"),
            running);
  unblock();
  EXPECT_TRUE(wait_until([] { return target_server().query_value("SELECT state FROM sluice.ddl") == "DONE"; }, 30s));
}

TEST_F(IncrBarrier, EveryKindOfStatementUnderLoad) {
  start_incr();
  std::atomic<bool> over{false};
  std::thread load([&] {
    auto connection = std::move(mysql::Connection::open(source_server().endpoint(), {})).value();
    for (int i = 0; !over || i < 300; ++i) {
      const std::string id = std::to_string(1000 + i);
      (void)connection->exec("INSERT INTO app.u VALUES (" + id + ")");
      (void)connection->exec("INSERT INTO app.t (id, v) VALUES (" + id + ", 1)");
      (void)connection->exec("INSERT INTO app.c (id, t) VALUES (" + id + ", " + id + ")");
      if (i % 3 == 0) (void)connection->exec("DELETE FROM app.u WHERE id = " + id);
    }
  });
  source(
      "ALTER TABLE t ADD COLUMN w INT NOT NULL DEFAULT 5; CREATE TABLE n LIKE t; INSERT INTO n VALUES (1, 1, 1);"
      "CREATE INDEX i ON u (id); CREATE TABLE k (id INT PRIMARY KEY, u INT, FOREIGN KEY (u) REFERENCES u (id) "
      "  ON DELETE CASCADE);"
      "INSERT IGNORE INTO k SELECT id, id FROM u LIMIT 5; RENAME TABLE n TO m; INSERT INTO m VALUES (2, 2, 2);"
      "ALTER TABLE c DROP FOREIGN KEY c_ibfk_1; TRUNCATE TABLE m; DROP INDEX i ON u;"
      "CREATE TABLE sel AS SELECT id FROM t; CREATE VIEW vw AS SELECT id FROM t; DROP VIEW vw; DROP TABLE m;"
      "CREATE DATABASE IF NOT EXISTS app; ALTER TABLE t DROP COLUMN w");
  over = true;
  load.join();
  drain();
  expect_equal();
}

}  // namespace
}  // namespace sluice::agents
