// XA branches: prepared on a real MariaDB, and committed in another life of the Store.
#include <set>

#include "tests/integration/store/store_fixture.hpp"

namespace sluice::store::test {
namespace {

using sluice::testing::TempDir;

TEST(CaptureXa, PreparedBranchesSurviveARestart) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  Position start = store->start();
  server.sql("XA START 'x'; INSERT INTO app.t VALUES (1); XA END 'x'; XA PREPARE 'x'");
  server.restart();  // the branch is detached from its session
  server.sql("INSERT INTO app.t VALUES (2); INSERT INTO app.t VALUES (3)");
  Seen seen;
  auto client = store->open("reader", start);
  ASSERT_TRUE(wait_until([&] { return compare_in_log(store->log().status().end, source_end(server)) >= 0; }));
  client.reset();
  store.reset();
  store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  server.sql("XA COMMIT 'x'; INSERT INTO app.t VALUES (4)");
  client = store->open("reader", start);
  auto status = seen.read_to(*client, source_end(server));
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(seen.rows, 4U);
  std::set<std::string> distinct(seen.gtids.begin(), seen.gtids.end());
  EXPECT_EQ(distinct.size(), seen.gtids.size());
}

// A session of its own, which may hold a prepared branch.
std::unique_ptr<mysql::Connection> prepare(MariaDbServer& server, const std::string& table, int id) {
  auto session = std::move(mysql::Connection::open(server.endpoint(), {})).value();
  for (auto& sql : {std::string("XA START 'x'"), "INSERT INTO " + table + " VALUES (" + std::to_string(id) + ")",
                    std::string("XA END 'x'"), std::string("XA PREPARE 'x'")})
    EXPECT_TRUE(session->exec(sql).ok()) << sql;
  return session;
}

TEST(CaptureXa, ARestartAfterAnXaCommitGoesOn) {
  for (std::string table : {"app.t", "other.t"}) {
    MariaDbServer server;
    TempDir folder("sluice-store");
    server.sql(
        "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY); CREATE DATABASE other;"
        "CREATE TABLE other.t (id INT PRIMARY KEY)");
    auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store->wait_started());
    Seen seen;
    seen.position = store->start();
    for (int round = 1; round <= 3; ++round) {
      auto session = prepare(server, table, 10 * round);
      server.sql("INSERT INTO app.t VALUES (" + std::to_string(10 * round + 1) + ")");
      ASSERT_TRUE(session->exec("XA COMMIT 'x'").ok());
      auto client = store->open("reader", seen.position);
      auto status = seen.read_to(*client, source_end(server));
      ASSERT_TRUE(status.ok()) << table << ": " << status.error().to_string();
      client.reset();
      store.reset();
      store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
      ASSERT_TRUE(store->wait_started());
    }
    server.sql("INSERT INTO app.t VALUES (1)");
    auto status = seen.read_to(*store->open("reader", seen.position), source_end(server));
    ASSERT_TRUE(status.ok()) << table << ": " << status.error().to_string();
    EXPECT_EQ(seen.rows, table == "app.t" ? 7U : 4U);
    EXPECT_FALSE(store->pipeline().outcome());
  }
}

// The Store has the branch; the source's log need not.
TEST(CaptureXa, APreparedBranchOutlivesThePurgeOfItsLog) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  Position start = store->start();
  auto session = prepare(server, "app.t", 1);
  server.sql("INSERT INTO app.t VALUES (2); FLUSH BINARY LOGS; INSERT INTO app.t VALUES (3)");
  Seen seen;
  seen.position = start;
  ASSERT_TRUE(seen.read_to(*store->open("reader", start), source_end(server)).ok());
  store.reset();
  server.sql("INSERT INTO app.t VALUES (4)");
  purge_before(server, source_end(server).file);
  store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  ASSERT_TRUE(session->exec("XA COMMIT 'x'").ok());
  auto status = seen.read_to(*store->open("reader", seen.position), source_end(server));
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(seen.rows, 4U);
}

// A reader may stand between an XA PREPARE and its COMMIT, and its Store be lost.
TEST(CaptureXa, ANewStoreFindsTheBranchesThatAreOpenAtItsStart) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  auto session = prepare(server, "app.t", 1);
  server.sql("INSERT INTO app.t VALUES (2); FLUSH BINARY LOGS; INSERT INTO app.t VALUES (3)");
  Position start = source_end(server);
  LocalStore store(folder.file("log"), server.endpoint(), {"app.*"}, start);
  ASSERT_TRUE(store.wait_started());
  ASSERT_TRUE(session->exec("XA COMMIT 'x'").ok());
  Seen seen;
  auto status = seen.read_to(*store.open("reader", start), source_end(server));
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(seen.rows, 1U);
}

// The definition of a new table is only used when the log has no DDL for it: that look meets every kind of event.
TEST(CaptureXa, LookingAheadPassesBranchesOfOthers) {
  MariaDbServer server({.args = {"--binlog-row-metadata=NO_LOG"}});
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE DATABASE other; CREATE TABLE other.t (id INT PRIMARY KEY)");
  auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  Seen seen;
  seen.position = store->start();
  store.reset();
  auto session = prepare(server, "other.t", 1);
  server.sql("CREATE TABLE app.n (id INT PRIMARY KEY); INSERT INTO app.n VALUES (1)");
  ASSERT_TRUE(session->exec("XA COMMIT 'x'").ok());
  store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  auto status = seen.read_to(*store->open("reader", seen.position), source_end(server));
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(seen.rows, 1U);
}

TEST(CaptureXa, APreparedBranchOfOthersHoldsNobodyBack) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE DATABASE other; CREATE TABLE other.t (id INT PRIMARY KEY)");
  LocalStore store(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store.wait_started());
  Seen seen;
  seen.position = store.start();
  auto session = prepare(server, "other.t", 1);
  auto status = seen.read_to(*store.open("reader", seen.position), source_end(server), 10s);
  EXPECT_TRUE(status.ok()) << status.error().to_string();
}

}  // namespace
}  // namespace sluice::store::test
