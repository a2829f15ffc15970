// Incr-Sync processes that are killed, frozen and replaced while they follow a load: the target ends equal, and nothing
// is applied twice (tables without a key would show it).
#include <csignal>

#include "tests/integration/components/incr_load.hpp"
#include "tests/integration/components/incr_process.hpp"

namespace sluice::agents {
namespace {

class IncrKillTest : public IncrProcessTest {};

TEST_F(IncrKillTest, KilledAtAnyMoment) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  both(kTables);
  start_store();
  uint64_t epoch = 0;
  {
    Load load(seed, 3, 700);
    for (int i = 0; i < 10; ++i) {
      // The same epoch again half of the time: the Supervisor restarts a process that crashed.
      if (epoch == 0 || random() % 2 == 0) ++epoch;
      const pid_t pid = spawn_incr(epoch, target_server().endpoint(), static_cast<uint32_t>(1 + random() % 5));
      std::this_thread::sleep_for(std::chrono::milliseconds(200 + random() % 500));
      testing::send_signal(pid, SIGKILL);
      EXPECT_EQ(reap(pid), 128 + SIGKILL);
    }
  }
  start_incr(++epoch);
  drain();
  expect_equal();
}

// A frozen process wakes up after its replacement has gone on: not one of its statements may count.
TEST_F(IncrKillTest, AFrozenProcessWritesNothingAfterItsReplacement) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  both(kTables);
  start_store();
  Load load(seed, 3, 700);
  const pid_t old = spawn_incr(1, target_server().endpoint());
  ASSERT_TRUE(wait_until([&] { return target_server().query_value("SELECT COUNT(*) FROM app.t") != "0"; }));
  testing::send_signal(old, SIGSTOP);
  start_incr(2);
  ASSERT_TRUE(wait_until([&] { return status().incr_sync().transactions() > 100; }));
  testing::send_signal(old, SIGCONT);
  EXPECT_EQ(reap(old), 9);  // STALE_EPOCH
  load.wait();
  drain();
  expect_equal();
}

// The server is killed: what it had committed and what not is found out from its rows.
TEST_F(IncrKillTest, TheTargetServerDies) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  both(kTables);
  start_store();
  auto& component = start_incr();
  {
    Load load(seed, 3, 500);
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(300ms);
      target_server().kill9();
      target_server().restart();
    }
  }
  ASSERT_TRUE(
      component.wait_status([](const ComponentStatus& status) { return status.state() == cluster::v1::RUNNING; }, 30s));
  drain();
  expect_equal();
}

TEST_F(IncrKillTest, LagGrowsAndStopIsQuickWhenTheTargetIsFrozen) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT)");
  start_store();
  auto& component = start_incr();
  source("INSERT INTO t VALUES (1, 1)");
  ASSERT_TRUE(component.wait_status(
      [](const ComponentStatus& s) { return s.incr_sync().transactions() == 1 && s.incr_sync().lag_ms() == 0; }, 20s));
  target_server().freeze();
  source("INSERT INTO t VALUES (2, 2)");
  EXPECT_TRUE(component.wait_status([](const ComponentStatus& s) { return s.incr_sync().lag_ms() > 3000; }, 20s));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(incr_->stop().ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  target_server().thaw();
  start_incr(2);
  drain();
  expect_equal();
}

TEST_F(IncrKillTest, TheStoreMoves) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT)");
  start_store();
  start_incr();
  source("INSERT INTO t VALUES (1, 1)");
  ASSERT_TRUE(wait_until([&] { return target_server().query_value("SELECT COUNT(*) FROM app.t") == "1"; }));
  ASSERT_TRUE(store_->stop().ok());
  source("INSERT INTO t VALUES (2, 2)");
  ASSERT_TRUE(
      incr_->component().wait_status([](const ComponentStatus& s) { return s.state() == cluster::v1::RETRYING; }, 20s));
  start_store();
  incr_->component().desire([&](ComponentDesired& desired) { desired.set_store_address(address_); });
  EXPECT_TRUE(wait_until([&] { return target_server().query_value("SELECT COUNT(*) FROM app.t") == "2"; }, 30s));
  drain();
  expect_equal();
}

// The answer of a COMMIT is lost, or the COMMIT itself, with the first session closed and with it still open: the rows
// decide, and nothing is applied twice or not at all. Equal rows of a table without a key would show it.
TEST_F(IncrKillTest, LostCommitsAreDecidedByTheRows) {
  both("CREATE TABLE app.k (a INT, b VARCHAR(10))");
  start_store();
  testing::TcpProxy proxy(target_server().port());
  start_incr(1, [&](cluster::v1::ComponentBoot& boot) {
    *boot.mutable_spec()->mutable_target() = net::to_proto(through(proxy));
  });
  int rows = 0;
  for (int round = 0; round < 3; ++round) {
    for (const auto action : {testing::OnPattern::kLoseAnswer, testing::OnPattern::kCutAfter,
                              testing::OnPattern::kCutBefore, testing::OnPattern::kLoseRequest}) {
      SCOPED_TRACE("round " + std::to_string(round) + " action " + std::to_string(static_cast<int>(action)));
      proxy.when(testing::Direction::kToServer,
                 "\x03"
                 "COMMIT",
                 action);
      for (int i = 0; i < 5; ++i) source("INSERT INTO k VALUES (1, 'twin'), (1, 'twin')");
      rows += 10;
      ASSERT_TRUE(wait_until([&] { return proxy.fired(); }));
      ASSERT_TRUE(wait_until(
          [&] { return target_server().query_value("SELECT COUNT(*) FROM app.k") == std::to_string(rows); }, 60s))
          << target_server().query_value("SELECT COUNT(*) FROM app.k") << " of " << rows;
    }
  }
  source("DELETE FROM k LIMIT 7");
  drain();
  expect_equal();
}

// A process of the old epoch has sent its TRUNCATE, but it arrives late: after the new owner has emptied the table at
// the same place of the log and filled it again.
TEST_F(IncrKillTest, AStatementThatIsUnderWayDoesNotArriveAfterTheTakeOver) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT)");
  start_store();
  testing::TcpProxy proxy(target_server().port());
  const pid_t old = spawn_incr(1, through(proxy));
  source("INSERT INTO t VALUES (1, 1)");
  ASSERT_TRUE(wait_until([&] { return target_server().query_value("SELECT COUNT(*) FROM app.t") == "1"; }));
  proxy.when(testing::Direction::kToServer,
             "\x03"
             "/*",  // the statement begins with the project's comment
             testing::OnPattern::kHoldRequest);
  source("TRUNCATE TABLE t; INSERT INTO t VALUES (2, 2), (3, 3)");
  ASSERT_TRUE(wait_until([&] { return proxy.fired(); }));
  testing::send_signal(old, SIGSTOP);
  EXPECT_EQ(target_server().query_value("SELECT GROUP_CONCAT(id) FROM app.t"), "1");
  start_incr(2);
  ASSERT_TRUE(wait_until([&] { return target_server().query_value("SELECT COUNT(*) FROM app.t") == "2"; }, 60s));
  proxy.release();
  testing::send_signal(old, SIGCONT);
  EXPECT_EQ(reap(old), 9);  // STALE_EPOCH
  source("INSERT INTO t VALUES (4, 4)");
  drain();
  expect_equal();
  EXPECT_EQ(target_server().query_value("SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t"), "2,3,4");
}

}  // namespace
}  // namespace sluice::agents
