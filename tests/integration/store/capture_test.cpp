// Capture from a real MariaDB into a log, and readers of it.
#include <sys/resource.h>

#include <fstream>
#include <set>

#include "tests/integration/store/store_fixture.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/workload.hpp"

namespace sluice::store::test {
namespace {

using sluice::testing::TempDir;

// GTIDs of the source's log from `after` on that change the scope are consecutive when nothing else writes.
void expect_consecutive(const std::vector<std::string>& gtids) {
  uint64_t last = 0;
  for (auto& gtid : gtids) {
    uint64_t number = std::stoull(gtid.substr(gtid.rfind('-') + 1));
    if (last) ASSERT_EQ(number, last + 1);
    last = number;
  }
}

TEST(Capture, FollowsASourceUnderLoadOverRestarts) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql(Writers::kTable);
  auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  Position start = store->start();
  EXPECT_EQ(start.gtids, server.query_value("SELECT @@gtid_binlog_pos"));
  Writers writers(server.endpoint(), 3);
  Seen seen;
  seen.position = start;
  // The reader goes on by position over restarts of the Store, and of the source's log files.
  for (int round = 0; round < 4; ++round) {
    uint64_t target = writers.transactions + 500;
    auto client = store->open("reader", seen.position);
    ASSERT_TRUE(wait_until([&] { return writers.transactions >= target; }));
    auto status = seen.read_to(*client, source_end(server));
    ASSERT_TRUE(status.ok()) << status.error().to_string();
    client.reset();
    store.reset();
    server.sql("FLUSH BINARY LOGS");
    store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store->wait_started());
    EXPECT_EQ(store->start(), start);
  }
  writers.stop();
  auto client = store->open("reader", seen.position);
  auto end = source_end(server);
  auto status = seen.read_to(*client, end);
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_GT(seen.gtids.size(), 2000U);
  expect_consecutive(seen.gtids);
  EXPECT_EQ(seen.gtids.back(), end.gtids);
  EXPECT_EQ(seen.rows, 2 * seen.gtids.size());

  // Another reader, from the start, sees the same.
  Seen other;
  other.position = start;
  auto second = store->open("second", start);
  ASSERT_TRUE(other.read_to(*second, end).ok());
  EXPECT_EQ(other.gtids, seen.gtids);
  EXPECT_EQ(other.rows, seen.rows);
  EXPECT_FALSE(store->pipeline().outcome());
}

TEST(Capture, SurvivesARestartOfTheSource) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, v TEXT)");
  LocalStore store(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store.wait_started());
  auto client = store.open("reader", store.start());
  Seen seen;
  seen.position = store.start();
  server.sql("INSERT INTO app.t VALUES (1, 'a')");
  ASSERT_TRUE(seen.read_to(*client, source_end(server)).ok());
  server.restart();
  server.sql("INSERT INTO app.t VALUES (2, 'b')");
  ASSERT_TRUE(seen.read_to(*client, source_end(server)).ok());
  EXPECT_EQ(seen.gtids.size(), 2U);
  expect_consecutive(seen.gtids);
  EXPECT_FALSE(store.pipeline().outcome());
}

TEST(Capture, KeepsOnlyTheScopeAndStillAdvances) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql(
      "CREATE DATABASE app; CREATE DATABASE other; CREATE TABLE app.t (id INT PRIMARY KEY);"
      "CREATE TABLE app.u (id INT PRIMARY KEY); CREATE TABLE other.t (id INT PRIMARY KEY)");
  LocalStore store(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store.wait_started());
  auto all = store.open("all", store.start());
  auto some = store.open("some", store.start(), {"app.u"});
  server.sql(
      "INSERT INTO other.t VALUES (1); INSERT INTO app.t VALUES (1); INSERT INTO app.u VALUES (1);"
      "CREATE TABLE other.x (id INT); CREATE TABLE app.x (id INT PRIMARY KEY); RENAME TABLE other.x TO app.y;"
      "DROP DATABASE other; INSERT INTO app.t VALUES (2)");
  auto end = source_end(server);
  Seen seen;
  ASSERT_TRUE(seen.read_to(*all, end).ok());
  EXPECT_EQ(seen.rows, 3U);
  ASSERT_EQ(seen.ddl.size(), 2U);
  EXPECT_NE(seen.ddl[0].find("app.x"), std::string::npos);
  EXPECT_NE(seen.ddl[1].find("RENAME"), std::string::npos);
  Seen filtered;
  ASSERT_TRUE(filtered.read_to(*some, end).ok());
  EXPECT_EQ(filtered.rows, 1U);
  EXPECT_EQ(filtered.tables, std::vector<std::string>{"app.u"});
  // Nothing in scope any more: the position advances all the same.
  server.sql("CREATE DATABASE elsewhere; CREATE TABLE elsewhere.t (id INT); INSERT INTO elsewhere.t VALUES (1), (2)");
  ASSERT_TRUE(seen.read_to(*all, source_end(server), 10s).ok());
  ASSERT_TRUE(filtered.read_to(*some, source_end(server), 10s).ok());
  EXPECT_EQ(seen.rows, 3U);
}

// Of a transaction much larger than its memory the Store keeps every row, in order, visible at once.
TEST(Capture, AHugeTransactionStreamsThroughTheDisk) {
  MariaDbServer server({.args = {"--max-binlog-cache-size=4294967296"}});
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.big (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB)");
  LocalStore store(folder.file("log"), server.endpoint(), {"app.*"}, {}, 2 << 20);
  ASSERT_TRUE(store.wait_started());
  auto resident = [] {
    std::ifstream statm("/proc/self/statm");
    uint64_t total = 0, pages = 0;
    statm >> total >> pages;
    return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  };
  uint64_t before = resident(), most = before;
  auto client = store.open("reader", store.start(), {}, 1 << 20);
  server.sql("INSERT INTO app.big (v) VALUES ('first')");
  server.sql(
      "USE app; BEGIN; INSERT INTO big (v) SELECT REPEAT(CHAR(65 + seq % 26), 16384) FROM big, seq_1_to_4096; COMMIT");
  server.sql("INSERT INTO app.big (v) VALUES ('last')");
  Seen seen;
  auto end = source_end(server);
  while (seen.open || compare_in_log(seen.position, end) < 0) {
    auto item = client->next(30s);
    ASSERT_TRUE(item.ok()) << item.error().to_string();
    most = std::max(most, resident());
    if (!item->batch) continue;
    ASSERT_TRUE(seen.take(*client, *item->batch).ok());
    client->grant(item->batch->size());
  }
  EXPECT_EQ(seen.rows, 4098U);
  EXPECT_EQ(seen.gtids.size(), 3U);
  EXPECT_GT(seen.bytes, 64U << 20);
  printf("memory grew by %lu MiB for a transaction of %lu MiB\n", (most - before) >> 20, seen.bytes >> 20);
  EXPECT_LT(most - before, 100U << 20);
}

TEST(Capture, ResetMasterIsADivergedSource) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  {
    LocalStore store(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store.wait_started());
    server.sql("INSERT INTO app.t VALUES (1)");
    Seen seen;
    ASSERT_TRUE(seen.read_to(*store.open("reader", store.start()), source_end(server)).ok());
  }
  auto held = source_end(server);
  server.sql("RESET MASTER");
  {
    LocalStore store(folder.file("log"), server.endpoint());
    EXPECT_EQ(store.wait_failed().code(), ErrorCode::SOURCE_DIVERGED);
  }
  // The new log grows past the old position, with the same numbers.
  for (int n = 2; compare_in_log(source_end(server), held) <= 0 || n < 20; ++n)
    server.sql("INSERT INTO app.t VALUES (" + std::to_string(n) + ")");
  LocalStore store(folder.file("log"), server.endpoint());
  auto error = store.wait_failed();
  EXPECT_EQ(error.code(), ErrorCode::SOURCE_DIVERGED) << error.to_string();
}

// Nothing was read yet, so there is no digest to compare.
TEST(Capture, AResetBeforeTheFirstTransactionIsNoticed) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  {
    LocalStore store(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store.wait_started());
  }
  auto held = source_end(server);
  server.sql("RESET MASTER; FLUSH BINARY LOGS");
  {
    LocalStore store(folder.file("log"), server.endpoint());
    EXPECT_EQ(store.wait_failed().code(), ErrorCode::SOURCE_DIVERGED);
  }
  // As long as the old log was: an event boundary there, or none.
  server.sql("RESET MASTER");
  for (int n = 2; compare_in_log(source_end(server), held) <= 0; ++n)
    server.sql("INSERT INTO app.t VALUES (" + std::to_string(n) + ")");
  LocalStore store(folder.file("log"), server.endpoint());
  EXPECT_EQ(store.wait_failed().code(), ErrorCode::SOURCE_DIVERGED);
}

// The same position and the same GTID with another content: only the digest tells.
TEST(Capture, ATransactionThatIsAnotherOneNowIsNoticed) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  auto make = [&](const std::string& value) {
    server.sql(
        "RESET MASTER; SET timestamp=1700000000; CREATE OR REPLACE TABLE app.t (id INT PRIMARY KEY, v CHAR(9));"
        "INSERT INTO app.t VALUES (1, '" +
        value + "'); SET timestamp=DEFAULT");
  };
  server.sql("CREATE DATABASE app");
  make("one");
  auto held = source_end(server);
  Position start{held.file, 4, {}};
  {
    LocalStore store(folder.file("log"), server.endpoint(), {"app.*"}, start);
    Seen seen;
    ASSERT_TRUE(store.wait_started());
    ASSERT_TRUE(seen.read_to(*store.open("reader", start), held).ok());
    EXPECT_EQ(seen.rows, 1U);
  }
  make("one");
  ASSERT_EQ(source_end(server), held);
  {
    LocalStore store(folder.file("log"), server.endpoint());
    Seen seen;
    seen.position = held;
    ASSERT_TRUE(store.wait_started());
    auto client = store.open("reader", held);
    server.sql("INSERT INTO app.t VALUES (2, 'x')");
    ASSERT_TRUE(seen.read_to(*client, source_end(server)).ok());
    EXPECT_EQ(seen.rows, 1U);
    EXPECT_FALSE(store.pipeline().outcome());
  }
  make("two");
  server.sql("INSERT INTO app.t VALUES (2, 'y'), (3, 'z')");
  LocalStore store(folder.file("log"), server.endpoint());
  EXPECT_EQ(store.wait_failed().code(), ErrorCode::SOURCE_DIVERGED);
}

TEST(Capture, APurgedPositionIsLost) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  {
    LocalStore store(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store.wait_started());
    server.sql("INSERT INTO app.t VALUES (1)");
    Seen seen;
    ASSERT_TRUE(seen.read_to(*store.open("reader", store.start()), source_end(server)).ok());
  }
  server.sql("INSERT INTO app.t VALUES (2); FLUSH BINARY LOGS; INSERT INTO app.t VALUES (3); FLUSH BINARY LOGS");
  purge_before(server, source_end(server).file);
  LocalStore store(folder.file("log"), server.endpoint());
  EXPECT_EQ(store.wait_failed().code(), ErrorCode::POSITION_LOST);
}

// Nothing in scope for longer than the source keeps its log.
TEST(Capture, AnIdleScopeOutlivesThePurgeOfItsLastTransaction) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql(
      "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY); CREATE DATABASE test; CREATE TABLE test.t (id "
      "INT)");
  auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  Seen seen;
  seen.position = store->start();
  server.sql("INSERT INTO app.t VALUES (1)");
  for (int file = 0; file < 2; ++file) server.sql("FLUSH BINARY LOGS; INSERT INTO test.t VALUES (1)");
  ASSERT_TRUE(seen.read_to(*store->open("reader", seen.position), source_end(server)).ok());
  store.reset();
  purge_before(server, source_end(server).file);
  store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  server.sql("INSERT INTO app.t VALUES (2)");
  auto status = seen.read_to(*store->open("reader", seen.position), source_end(server));
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(seen.rows, 2U);
  EXPECT_FALSE(store->pipeline().outcome());
  // Another log with files of the same names is not taken for it.
  for (int file = 0; file < 2; ++file) server.sql("FLUSH BINARY LOGS; INSERT INTO test.t VALUES (1)");
  ASSERT_TRUE(seen.read_to(*store->open("reader", seen.position), source_end(server)).ok());
  store.reset();
  auto held = source_end(server);
  server.sql("RESET MASTER");
  while (compare_in_log(source_end(server), {held.file, held.offset + 500, {}}) < 0)
    server.sql(source_end(server).file < held.file ? "FLUSH BINARY LOGS" : "INSERT INTO test.t VALUES (3)");
  purge_before(server, held.file);
  store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  EXPECT_EQ(store->wait_failed().code(), ErrorCode::SOURCE_DIVERGED);
}

// A source that does not answer keeps nobody from stopping.
TEST(Capture, StopsWhileTheSourceIsSilent) {
  MariaDbServer server;
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  for (bool started : {false, true}) {
    TempDir folder("sluice-store");
    if (started) {
      LocalStore store(folder.file("log"), server.endpoint());
      ASSERT_TRUE(store.wait_started());
    }
    sluice::testing::TcpProxy proxy(server.port());
    auto endpoint = server.endpoint();
    endpoint.port = proxy.port();
    proxy.when(sluice::testing::Direction::kToServer, "BINLOG_GTID_POS", sluice::testing::OnPattern::kSwallowAnswer);
    auto store = std::make_unique<LocalStore>(folder.file("log"), endpoint);
    ASSERT_TRUE(wait_until([&] { return proxy.fired(); }));
    auto began = std::chrono::steady_clock::now();
    store.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - began, 15s) << started;
  }
}

TEST(Capture, StartsBeforeATimeThatIsAskedFor) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  // A file per hour.
  for (int hour = 1; hour <= 4; ++hour)
    server.sql("FLUSH BINARY LOGS; SET timestamp=" + std::to_string(1'700'000'000 + hour * 3600) +
               "; INSERT INTO app.t VALUES (" + std::to_string(hour) + "); SET timestamp=DEFAULT");
  CaptureOptions options;
  options.start_time_us = (1'700'000'000LL + 2 * 3600 + 1800) * 1'000'000;
  LocalStore store(folder.file("log"), server.endpoint(), options);
  ASSERT_TRUE(store.wait_started());
  auto client = store.open_at("reader", options.start_time_us);
  Seen seen;
  ASSERT_TRUE(seen.read_to(*client, source_end(server)).ok());
  EXPECT_EQ(seen.rows, 2U);
  Seen all;
  ASSERT_TRUE(all.read_to(*store.open("all", store.start()), source_end(server)).ok());
  EXPECT_EQ(all.rows, 3U);  // from the beginning of the file of the second hour
}

TEST(Capture, ATransactionReachesTheReaderQuickly) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  LocalStore store(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store.wait_started());
  auto client = store.open("reader", store.start());
  std::vector<double> milliseconds;
  Seen seen;
  for (int n = 0; n < 300; ++n) {
    server.sql("INSERT INTO app.t VALUES (" + std::to_string(n) + ")");
    auto committed = std::chrono::steady_clock::now();
    while (seen.rows <= static_cast<uint64_t>(n)) {
      auto item = client->next(5s);
      ASSERT_TRUE(item.ok()) << item.error().to_string();
      if (!item->batch) continue;
      ASSERT_TRUE(seen.take(*client, *item->batch).ok());
      client->grant(item->batch->size());
    }
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - committed).count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  printf("commit to reader: median %.3f ms, 99%% %.3f ms\n", milliseconds[150], milliseconds[297]);
}

}  // namespace
}  // namespace sluice::store::test
