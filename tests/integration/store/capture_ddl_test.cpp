// DDL on a real MariaDB between changes: definitions fit their rows, and what is wanted is kept.
#include <set>

#include "tests/integration/store/store_fixture.hpp"
#include "tests/support/workload.hpp"

namespace sluice::store::test {
namespace {

using sluice::testing::TempDir;

TEST(CaptureDdl, SchemaChangesAreFollowed) {
  for (std::string metadata : {"FULL", "NO_LOG"}) {
    MariaDbServer server({.args = {"--binlog-row-metadata=" + metadata}});
    TempDir folder("sluice-store");
    server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, u UUID, v VARCHAR(20))");
    LocalStore store(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store.wait_started());
    auto client = store.open("reader", store.start());
    Seen seen;
    auto step = [&](const std::string& sql) {
      server.sql(sql);
      auto status = seen.read_to(*client, source_end(server));
      ASSERT_TRUE(status.ok()) << metadata << ": " << status.error().to_string();
    };
    step("INSERT INTO app.t VALUES (1, '123e4567-e89b-12d3-a456-426655440000', 'a')");
    step("ALTER TABLE app.t ADD COLUMN n BIGINT UNSIGNED");
    step("INSERT INTO app.t VALUES (2, '123e4567-e89b-12d3-a456-426655440000', 'b', 7)");
    step("ALTER TABLE app.t DROP COLUMN n");
    step("INSERT INTO app.t VALUES (3, UUID(), 'c')");
    step("CREATE TABLE app.n (a INT PRIMARY KEY) AS SELECT id AS a FROM app.t");
    step("INSERT INTO app.n VALUES (9)");
    EXPECT_EQ(seen.rows, 7U) << metadata;
    EXPECT_EQ(seen.ddl.size(), 3U) << metadata;
    EXPECT_FALSE(store.pipeline().outcome()) << metadata;
  }
}

// The log's blocks name a table's definition when it has rows; DDL between that and the Store's end must not be
// forgotten.
TEST(CaptureDdl, ADefinitionThatDdlChangedBeforeTheEndIsReadAgain) {
  for (std::string metadata : {"FULL", "NO_LOG"}) {
    MariaDbServer server({.args = {"--binlog-row-metadata=" + metadata}});
    TempDir folder("sluice-store");
    server.sql(
        "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, a INT, b INT);"
        "CREATE TABLE app.other (id INT PRIMARY KEY)");
    auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store->wait_started());
    Seen seen;
    seen.position = store->start();
    server.sql("INSERT INTO app.t VALUES (1, 10, 20)");
    server.sql("ALTER TABLE app.t MODIFY b INT AFTER id, ADD COLUMN u UUID; INSERT INTO app.other VALUES (1)");
    ASSERT_TRUE(seen.read_to(*store->open("reader", seen.position), source_end(server)).ok());
    store.reset();
    store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store->wait_started());
    server.sql("INSERT INTO app.t VALUES (2, 20, 10, '123e4567-e89b-12d3-a456-426655440000')");
    auto client = store->open("reader", seen.position);
    auto status = seen.read_to(*client, source_end(server));
    ASSERT_TRUE(status.ok()) << metadata << ": " << status.error().to_string();
    ASSERT_TRUE(seen.schema) << metadata;
    std::string columns;
    for (auto& column : seen.schema->columns) columns += column.name + " ";
    EXPECT_EQ(columns, "id b a u ") << metadata;
    EXPECT_EQ(seen.schema->columns.at(3).type, ColumnType::kUuid) << metadata;
  }
}

// Behind the source the catalog's definition is of no use, and the log's own does not tell a UUID from a BINARY(16).
TEST(CaptureDdl, TypesThatTheLogDoesNotTellAreFollowedThroughItsStatements) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, u UUID, b BINARY(16))");
  auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  Seen seen;
  seen.position = store->start();
  // A row, so that the definition is kept beside the log.
  server.sql("INSERT INTO app.t VALUES (0, NULL, 'k')");
  ASSERT_TRUE(seen.read_to(*store->open("reader", seen.position), source_end(server)).ok());
  store.reset();
  std::string uuid = "'123e4567-e89b-12d3-a456-426655440000'";
  server.sql("USE app; INSERT INTO t VALUES (1, " + uuid +
             ", 'x'); ALTER TABLE t ADD v INT, RENAME COLUMN u TO w;"
             "INSERT INTO t VALUES (2, " +
             uuid +
             ", 'y', 1); ALTER TABLE t ADD n INET4, CHANGE b c BINARY(16);"
             "CREATE TABLE made (id INT PRIMARY KEY, u UUID, b BINARY(16));"
             "INSERT INTO t VALUES (3, " +
             uuid + ", 'z', 1, '1.2.3.4'); INSERT INTO made VALUES (1, " + uuid +
             ", 'm');"
             "ALTER TABLE t DROP w; INSERT INTO t VALUES (4, 'w', 1, '1.2.3.4');"
             "ALTER TABLE t ADD last INT; ALTER TABLE made ADD last INT");
  std::vector<std::string> types;
  auto read = [&](std::chrono::milliseconds patience) {
    auto client = store->open("reader", seen.position);
    auto deadline = std::chrono::steady_clock::now() + patience;
    while (compare_in_log(seen.position, source_end(server)) < 0) {
      if (std::chrono::steady_clock::now() > deadline) break;
      auto item = client->next(1s);
      ASSERT_TRUE(item.ok()) << item.error().to_string();
      if (!item->batch) continue;
      ASSERT_TRUE(item->batch
                      ->for_each([&](const RecordView& record) -> Status {
                        auto* rows = std::get_if<Rows>(&record);
                        if (!rows) return {};
                        std::string text;
                        for (auto& column : client->schema(rows->schema_id)->columns)
                          if (column.type != ColumnType::kInt)
                            text += column.name + (column.type == ColumnType::kUuid     ? ":uuid "
                                                   : column.type == ColumnType::kBinary ? ":binary "
                                                   : column.type == ColumnType::kInet4  ? ":inet4 "
                                                                                        : ":? ");
                        types.push_back(text);
                        return {};
                      })
                      .ok());
      ASSERT_TRUE(seen.take(*client, *item->batch).ok());
      client->grant(item->batch->size());
    }
  };
  store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  read(30s);
  EXPECT_FALSE(store->pipeline().outcome()) << store->pipeline().outcome()->error().to_string();
  EXPECT_EQ(types, (std::vector<std::string>{"u:uuid b:binary ", "w:uuid b:binary ", "w:uuid c:binary n:inet4 ",
                                             "u:uuid b:binary ", "c:binary n:inet4 "}));
  // Nor are they forgotten by a Store that starts again behind the source.
  store.reset();
  types.clear();
  server.sql("USE app; INSERT INTO t VALUES (5, 'v', 1, '1.2.3.4', 1); ALTER TABLE t ADD more INT");
  store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  read(30s);
  EXPECT_FALSE(store->pipeline().outcome()) << store->pipeline().outcome()->error().to_string();
  EXPECT_EQ(types, (std::vector<std::string>{"c:binary n:inet4 "}));
}

// The log has names in lower case, its statements have them as they were written.
TEST(CaptureDdl, NamesThatTheSourceFolds) {
  for (std::string metadata : {"FULL", "NO_LOG"}) {
    MariaDbServer server({.args = {"--lower-case-table-names=1", "--binlog-row-metadata=" + metadata}});
    TempDir folder("sluice-store");
    server.sql("CREATE DATABASE App; CREATE TABLE App.T (id INT PRIMARY KEY, a INT, b INT)");
    LocalStore store(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store.wait_started());
    Seen seen;
    seen.position = store.start();
    server.sql("INSERT INTO App.T VALUES (1, 2, 3)");
    auto client = store.open("reader", seen.position);
    ASSERT_TRUE(seen.read_to(*client, source_end(server)).ok());
    server.sql("USE APP; ALTER TABLE T MODIFY b INT AFTER id; INSERT INTO t VALUES (2, 3, 2)");
    auto status = seen.read_to(*client, source_end(server));
    ASSERT_TRUE(status.ok()) << status.error().to_string();
    ASSERT_EQ(seen.ddl.size(), 1U) << metadata;
    EXPECT_EQ(seen.ddl[0], "ALTER TABLE `app`.`t` MODIFY b INT AFTER id");
    EXPECT_EQ(seen.schema->columns[1].name, "b") << metadata;
  }
}

// What nobody asked for may be written in any character set; what is wanted has to be readable.
TEST(CaptureDdl, StatementsInRareCharacterSets) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE DATABASE other; CREATE TABLE app.t (id INT PRIMARY KEY)");
  LocalStore store(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store.wait_started());
  Seen seen;
  seen.position = store.start();
  server.sql(
      "SET NAMES sjis; CREATE TABLE other.a (id INT) COMMENT '\x87\x40\x83\x5c'; SET NAMES dec8;"
      "CREATE TABLE other.b (id INT) COMMENT '\xe9'; CREATE TABLE app.plain (id INT PRIMARY KEY) COMMENT 'ASCII';"
      "SET NAMES keybcs2; DROP TABLE other.a, other.b; SET NAMES utf8mb4; INSERT INTO app.t VALUES (1)");
  auto client = store.open("reader", seen.position);
  auto status = seen.read_to(*client, source_end(server));
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(seen.ddl.size(), 1U);
  EXPECT_EQ(seen.rows, 1U);
  server.sql("SET NAMES dec8; ALTER TABLE app.t COMMENT '\xe9'");
  auto error = store.wait_failed();
  EXPECT_EQ(error.code(), ErrorCode::UNSUPPORTED);
  EXPECT_NE(error.to_string().find("dec8"), std::string::npos) << error.to_string();
}

// Every kind of statement between the changes of several writers, and the Store starts again now and then.
TEST(CaptureDdl, DefinitionsFitTheirRowsWhileTablesChange) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  sluice::testing::WorkloadOptions load;
  load.rows = 200;
  load.ddl = load.rotate = true;
  load.pause_us = 500;
  sluice::testing::Workload workload(server, load);
  workload.create();
  auto store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
  ASSERT_TRUE(store->wait_started());
  workload.start();
  Seen seen;
  seen.position = store->start();
  for (int round = 0; round < 3; ++round) {
    uint64_t changes = workload.transactions() + 300, statements = workload.statements_ddl() + 10;
    auto client = store->open("reader", seen.position);
    ASSERT_TRUE(
        wait_until([&] { return workload.transactions() >= changes && workload.statements_ddl() >= statements; }));
    auto status = seen.read_to(*client, source_end(server));
    ASSERT_TRUE(status.ok()) << status.error().to_string();
    client.reset();
    store.reset();
    store = std::make_unique<LocalStore>(folder.file("log"), server.endpoint());
    ASSERT_TRUE(store->wait_started());
  }
  workload.stop();
  auto client = store->open("reader", seen.position);
  auto status = seen.read_to(*client, source_end(server));
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_GT(seen.ddl.size(), 15U);
  std::set<std::string> distinct(seen.gtids.begin(), seen.gtids.end());
  EXPECT_EQ(distinct.size(), seen.gtids.size());
  EXPECT_FALSE(store->pipeline().outcome());
}

}  // namespace
}  // namespace sluice::store::test
