// Positions against a real server (docs/exactness.md section 2).
#include "engines/mysql/positions.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/mariadb.hpp"
#include "tests/support/wait.hpp"

namespace sluice::mysql {
namespace {

using namespace std::chrono_literals;
using sluice::testing::MariaDbServer;

class PositionsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new MariaDbServer({.server_id = 7}); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    server_->sql("CREATE OR REPLACE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY) ENGINE=InnoDB");
    connection_ = open();
  }
  static std::unique_ptr<Connection> open() {
    auto connection = Connection::open(server_->endpoint(), {});
    EXPECT_TRUE(connection.ok()) << connection.error().to_string();
    return std::move(*connection);
  }
  static MariaDbServer* server_;
  std::unique_ptr<Connection> connection_;
};
MariaDbServer* PositionsTest::server_ = nullptr;

TEST_F(PositionsTest, EndAndVisibleAgreeOnAQuietServer) {
  server_->sql("INSERT INTO d.t VALUES (1)");
  const auto end = end_position(*connection_);
  ASSERT_TRUE(end.ok()) << end.error().to_string();
  EXPECT_EQ(end->file, "binlog.000001");
  EXPECT_GT(end->offset, 300U);
  EXPECT_EQ(end->gtids, server_->query_value("SELECT @@gtid_binlog_pos"));
  const auto visible = visible_position(*connection_, 1s);
  ASSERT_TRUE(visible.ok()) << visible.error().to_string();
  EXPECT_EQ(*visible, *end);
}

TEST_F(PositionsTest, ASnapshotBelongsToItsPosition) {
  server_->sql("INSERT INTO d.t VALUES (1),(2)");
  const auto before = end_position(*connection_).value();
  const auto position = open_snapshot(*connection_);
  ASSERT_TRUE(position.ok()) << position.error().to_string();
  server_->sql("INSERT INTO d.t VALUES (3); FLUSH BINARY LOGS; INSERT INTO d.t VALUES (4)");
  EXPECT_EQ(*position, before);
  EXPECT_EQ(connection_->query_value("SELECT COUNT(*) FROM d.t").value(), "2");
  ASSERT_TRUE(connection_->exec("COMMIT").ok());
  EXPECT_EQ(connection_->query_value("SELECT COUNT(*) FROM d.t").value(), "4");
  const auto after = end_position(*connection_).value();
  EXPECT_EQ(compare_in_log(*position, after), std::strong_ordering::less);
}

TEST_F(PositionsTest, SnapshotsUnderLoadCountExactlyTheirTransactions) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    auto c = open();
    for (int i = 1; !stop && c->exec("INSERT INTO d.t VALUES (" + std::to_string(i) + ")").ok(); ++i) {
    }
  });
  const auto sequence = [](const std::string& gtids) { return std::stoll(gtids.substr(gtids.rfind('-') + 1)); };
  long long offset = 0;
  for (int round = 0; round < 20; ++round) {
    const auto position = open_snapshot(*connection_);
    EXPECT_TRUE(position.ok()) << position.error().to_string();
    if (!position.ok()) break;
    const auto rows = std::stoll(connection_->query_value("SELECT COUNT(*) FROM d.t").value());
    EXPECT_TRUE(connection_->exec("COMMIT").ok());
    // One row per transaction: the GTID's number and the number of rows move together.
    const long long difference = sequence(position->gtids) - rows;
    if (round > 0) EXPECT_EQ(difference, offset);
    offset = difference;
    const auto end = end_position(*connection_);
    EXPECT_TRUE(end.ok() && compare_in_log(*position, *end) <= 0);
  }
  stop = true;
  writer.join();
}

TEST_F(PositionsTest, PreparedXaKeepsPositionsAway) {
  auto other = open();
  ASSERT_TRUE(other->exec("XA START 'branch-1'").ok());
  ASSERT_TRUE(other->exec("INSERT INTO d.t VALUES (1)").ok());
  ASSERT_TRUE(other->exec("XA END 'branch-1'").ok());
  ASSERT_TRUE(other->exec("XA PREPARE 'branch-1'").ok());
  const auto refused = visible_position(*connection_, 200ms);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::XA_PENDING);
  EXPECT_NE(refused.error().cause().find("branch-1"), std::string::npos);
  EXPECT_EQ(open_snapshot(*connection_).error().code(), ErrorCode::XA_PENDING);
  EXPECT_EQ(connection_->query_value("SELECT @@in_transaction").value(), "0");
  EXPECT_TRUE(end_position(*connection_).ok());
  std::thread committer([&] {
    std::this_thread::sleep_for(300ms);
    EXPECT_TRUE(other->exec("XA COMMIT 'branch-1'").ok());
  });
  EXPECT_TRUE(visible_position(*connection_, 20s).ok());
  committer.join();
}

// The binlog holds a transaction that no SELECT sees yet: a master that waits for a replica between the two makes the
// gap as long as the test wants it.
TEST_F(PositionsTest, WhatIsInTheLogButNotSeenYetIsBehindTheVisiblePosition) {
  MariaDbServer server({.server_id = 8});
  server.sql(
      "CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY); INSERT INTO d.t VALUES (1);"
      "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'; SET GLOBAL rpl_semi_sync_master_wait_no_slave = 1;"
      "SET GLOBAL rpl_semi_sync_master_timeout = 60000; SET GLOBAL rpl_semi_sync_master_enabled = 1");
  auto connection = std::move(Connection::open(server.endpoint(), {})).value();
  const auto before = end_position(*connection).value();
  auto writer = std::move(Connection::open(server.endpoint(), {})).value();
  std::thread waiting([&] { EXPECT_TRUE(writer->exec("INSERT INTO d.t VALUES (2)").ok()); });
  EXPECT_TRUE(sluice::testing::wait_until([&] { return end_position(*connection).value() != before; }));
  EXPECT_EQ(connection->query_value("SELECT COUNT(*) FROM d.t").value(), "1");
  const auto visible = visible_position(*connection, 1s);
  const auto snapshot = open_snapshot(*connection);
  const auto rows = connection->query_value("SELECT COUNT(*) FROM d.t");
  EXPECT_TRUE(connection->exec("COMMIT").ok());
  server.sql("SET GLOBAL rpl_semi_sync_master_enabled = 0");
  waiting.join();
  ASSERT_TRUE(visible.ok()) << visible.error().to_string();
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().to_string();
  EXPECT_EQ(*visible, before);
  EXPECT_EQ(*snapshot, before);
  EXPECT_EQ(rows.value(), "1");
  EXPECT_EQ(visible_position(*connection, 1s).value(), end_position(*connection).value());
}

TEST_F(PositionsTest, TimeIsTheServers) {
  const auto time = server_time_us(*connection_);
  ASSERT_TRUE(time.ok());
  EXPECT_NEAR(static_cast<double>(*time), static_cast<double>(::time(nullptr)) * 1e6, 5e6);
}

TEST(Positions, AServerWithoutALogIsRefused) {
  MariaDbServer server({.binlog = false});
  auto connection = Connection::open(server.endpoint(), {});
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(end_position(**connection).error().code(), ErrorCode::BINLOG_DISABLED);
  EXPECT_EQ(visible_position(**connection, 0ms).error().code(), ErrorCode::BINLOG_DISABLED);
}

}  // namespace
}  // namespace sluice::mysql
