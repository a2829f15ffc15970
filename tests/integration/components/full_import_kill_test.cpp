// Full-Import that is killed or frozen, and servers that are lost, restarted or unsure: no row is lost, none is
// doubled.
#include <csignal>
#include <thread>

#include "tests/integration/components/full_import_fixture.hpp"
#include "tests/support/process.hpp"
#include "tests/support/tcp_proxy.hpp"

namespace sluice::agents {
namespace {

TEST_F(FullImport, KilledAndResumedRepeatsNoFinishedChunk) {
  both(kTable);
  both("CREATE TABLE d.k (a INT, b INT, c VARCHAR(60))");
  fill("t", 120'000);
  fill("k", 5'000);
  spec_.set_throttle_rows_per_second(60'000);
  const pid_t pid = fork_import();
  ASSERT_TRUE(wait_for_chunks(8));
  testing::send_signal(pid, SIGKILL);
  wait_for_end(pid);
  spec_.set_epoch(2);
  spec_.set_throttle_rows_per_second(0);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  const int finished_before = std::stoi(meta("COUNT(*)", "chunk", "source_table = 't' AND epoch = 1"));
  EXPECT_GE(finished_before, 2);
  EXPECT_GE(std::stoi(meta("COUNT(*)", "chunk", "source_table = 't' AND epoch = 2")), 1);
  EXPECT_EQ(meta("SUM(row_count)", "chunk", "source_table = 't'"), "120000");  // each row was copied once
  EXPECT_EQ(meta("round", "table_state", "source_table = 't'"), "1");
  EXPECT_EQ(meta("row_count", "table_state", "source_table = 't'"), "120000");
}

// Its rows are committed in parts of 32 MiB, so some are there when the process dies; they go before the table is read
// again.
TEST_F(FullImport, KilledInTheMiddleOfATableWithoutKey) {
  both("CREATE TABLE d.k (a INT, c VARCHAR(1000))");
  source().sql("INSERT INTO d.k SELECT seq % 7, REPEAT('x', 1000) FROM d.seq_1_to_60000");
  spec_.set_throttle_rows_per_second(20'000);
  const pid_t pid = fork_import();
  ASSERT_TRUE(wait_until([] { return target().query_value("SELECT COUNT(*) FROM d.k") != "0"; }));
  testing::send_signal(pid, SIGKILL);
  wait_for_end(pid);
  ASSERT_EQ(meta("state", "table_state"), "COPYING");
  ASSERT_NE(target().query_value("SELECT COUNT(*) FROM d.k"), "0");
  spec_.set_epoch(2);
  spec_.set_throttle_rows_per_second(0);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("CONCAT(state, ' ', row_count)", "table_state"), "COPIED 60000");
}

TEST_F(FullImport, KilledAgainAndAgain) {
  both(kTable);
  fill("t", 60'000);
  spec_.set_throttle_rows_per_second(60'000);
  for (int round = 0; round < 4; ++round) {
    const pid_t pid = fork_import();
    ASSERT_TRUE(wait_for_chunks(2 * round + 1));
    testing::send_signal(pid, SIGKILL);
    wait_for_end(pid);
    spec_.set_epoch(spec_.epoch() + 1);
  }
  spec_.set_throttle_rows_per_second(0);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("SUM(row_count)", "chunk", "source_table = 't'"), "60000");
}

// Frozen, replaced, woken: it must not write, and must end with an error.
TEST_F(FullImport, AFrozenProcessThatWakesUpWritesNothing) {
  both(kTable);
  fill("t", 60'000);
  spec_.set_throttle_rows_per_second(20'000);
  const pid_t pid = fork_import();
  ASSERT_TRUE(wait_for_chunks(2));
  testing::send_signal(pid, SIGSTOP);
  spec_.set_epoch(2);
  spec_.set_throttle_rows_per_second(0);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  target().sql("UPDATE d.t SET x = 'the new owner'");
  testing::send_signal(pid, SIGCONT);
  EXPECT_EQ(wait_for_end(pid), 1 << 8);
  EXPECT_EQ(target().query_value("SELECT COUNT(*) FROM d.t WHERE x = 'the new owner'"), "60000");
  EXPECT_EQ(meta("COUNT(*)", "connection", "epoch = 1"), "0");
}

TEST_F(FullImport, LostConnectionsAreRetried) {
  both(kTable);
  both("CREATE TABLE d.k (a INT, b INT, c VARCHAR(60))");
  fill("t", 60'000);
  fill("k", 20'000);
  spec_.set_throttle_rows_per_second(30'000);
  Status status;
  component_ = std::make_unique<FakeComponent>(spec_);
  std::thread import([&] { status = run_full_import(*component_); });
  for (int round = 1; round <= 3; ++round) {
    EXPECT_TRUE(wait_for_chunks(2 * round));
    for (MariaDbServer* server : {&source(), &target()}) {
      for (const auto& row :
           server->query("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'sluice' AND ID <> "
                         "CONNECTION_ID()")) {
        server->try_sql("KILL " + *row[0]);
      }
    }
  }
  import.join();
  ASSERT_OK(status);
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("SUM(row_count)", "chunk", "source_table = 't'"), "60000");
}

// Connection ids begin anew with a server: those of before are not mistaken for ours.
TEST_F(FullImport, ServersThatRestartAreWaitedFor) {
  both(kTable);
  fill("t", 60'000);
  spec_.set_throttle_rows_per_second(30'000);
  Status status;
  component_ = std::make_unique<FakeComponent>(spec_);
  std::thread import([&] { status = run_full_import(*component_); });
  EXPECT_TRUE(wait_for_chunks(2));
  target().kill9();
  target().restart();
  EXPECT_TRUE(wait_for_chunks(4));
  source().kill9();
  source().restart();
  import.join();
  ASSERT_OK(status);
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("SUM(row_count)", "chunk", "source_table = 't'"), "60000");
}

// The answer of a COMMIT is lost, or the COMMIT itself: the chunk row tells which, and no row is there twice.
TEST_F(FullImport, ALostCommitIsDecidedByTheChunkRow) {
  for (const auto action : {testing::OnPattern::kLoseAnswer, testing::OnPattern::kCutBefore}) {
    SetUp();
    both(kTable);
    both("CREATE TABLE d.k (a INT, b INT, c VARCHAR(60))");
    fill("t", 12'000);
    fill("k", 2'000);
    for (const char* table : {"t", "k"}) {
      testing::TcpProxy proxy(target().port());
      Endpoint through = target().endpoint();
      through.port = proxy.port();
      through.ssl_mode = SslMode::kDisabled;
      *spec_.mutable_target() = net::to_proto(through);
      spec_.clear_tables();
      *spec_.add_tables() = net::to_proto(TableName{"d", table});
      spec_.set_epoch(spec_.epoch() + 1);
      proxy.when(testing::Direction::kToServer,
                 "\x03"
                 "COMMIT",
                 action);  // the packet: READ COMMITTED is no match
      ASSERT_OK(run());
      EXPECT_TRUE(proxy.fired());
    }
    EXPECT_EQ(differences(), "");
    EXPECT_EQ(meta("SUM(row_count)", "chunk", "source_table = 't'"), "12000");
    EXPECT_EQ(meta("round", "table_state", "source_table = 'k'"), "2");
  }
}

// As when the target dies behind the COMMIT and needs some time to start again.
TEST_F(FullImport, ALostCommitIsDecidedAfterTheTargetWasAwayForAWhile) {
  both(kTable);
  fill("t", 12'000);
  testing::TcpProxy proxy(target().port());
  Endpoint through = target().endpoint();
  through.port = proxy.port();
  through.ssl_mode = SslMode::kDisabled;
  *spec_.mutable_target() = net::to_proto(through);
  spec_.set_readers(1);
  spec_.set_writers(1);
  spec_.set_throttle_rows_per_second(3000);
  component_ = std::make_unique<FakeComponent>(spec_);
  Status status;
  std::thread import([&] { status = run_full_import(*component_); });
  EXPECT_TRUE(wait_for_chunks(1));
  proxy.refuse(true);
  proxy.when(testing::Direction::kToServer,
             "\x03"
             "COMMIT",
             testing::OnPattern::kLoseAnswer);
  EXPECT_TRUE(wait_until([&] { return proxy.fired(); }));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  proxy.refuse(false);
  import.join();
  ASSERT_OK(status);
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("SUM(row_count)", "chunk", "source_table = 't'"), "12000");
}

TEST_F(FullImport, ADeadlockVictimIsRetried) {
  both(kTable);
  fill("t", 20'000);
  ASSERT_EQ(target().try_sql("SET GLOBAL innodb_lock_wait_timeout = 1"), 0U);
  // Somebody else holds a row that the first chunk wants to write.
  MariaDbServer& server = target();
  server.sql("BEGIN; INSERT INTO d.t VALUES (10, 10, 'held')");
  component_ = std::make_unique<FakeComponent>(spec_);
  Status status;
  std::thread import([&] { status = run_full_import(*component_); });
  EXPECT_TRUE(component_->wait_status(
      [](const cluster::v1::ComponentStatus& now) {
        return now.state() == cluster::v1::RETRYING && now.error().code() == "DEADLOCK";
      },
      std::chrono::seconds(30)));
  server.sql("ROLLBACK; SET GLOBAL innodb_lock_wait_timeout = 50");
  import.join();
  ASSERT_OK(status);
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(component_->status().state(), cluster::v1::RUNNING);
}

}  // namespace
}  // namespace sluice::agents
