// What happens to tables while they are being copied: definitions change, names are swapped, unique values move,
// parents cascade, rows without a key come and go. The copy is slowed down, so that each falls into its table's window.
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class Window : public ::testing::Test {
 protected:
  bool copying(const std::string& table) {
    return target.becomes("SELECT COUNT(*) > 0 FROM app." + table, "1") &&
           target.becomes("SELECT state FROM sluice.table_state WHERE source_table = '" + table + "'", "COPYING");
  }
  // Starts to copy at `rows` per second.
  void start(int rows) { run.start({"--include", "app.*", "--follow", "--throttle-rps", std::to_string(rows)}); }
  void finish() {
    source.sql("CREATE TABLE app.the_end (id INT PRIMARY KEY); INSERT INTO app.the_end VALUES (1)");
    ASSERT_TRUE(target.becomes("SELECT id FROM app.the_end", "1")) << run.logs();
    run.interrupt();
    const auto ended = run.wait(minutes(4));
    ASSERT_TRUE(ended.has_value()) << run.logs();
    EXPECT_EQ(*ended, 0) << run.logs();
    EXPECT_EQ(run.report_value("status"), "VERIFIED") << run.report();
    EXPECT_EQ(differences(source, target, {"app"}), "") << run.logs();
    for (const auto& table : source.query("SHOW TABLES FROM app")) {
      const std::string show = "SHOW CREATE TABLE app." + *table[0];
      EXPECT_EQ(source.query(show)[0][1], target.query(show)[0][1]);
    }
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  MigrateRun run{source, target};
};

TEST_F(Window, DefinitionsChangeAndNamesAreSwapped) {
  source.sql("CREATE DATABASE app CHARACTER SET utf8mb4");
  for (const char* table : {"altered", "emptied", "here", "there", "dropped"})
    source.sql(std::string("CREATE TABLE app.") + table +
               " (id INT PRIMARY KEY, u INT UNIQUE, v VARCHAR(60) DEFAULT 'x'); INSERT INTO app." + table +
               " SELECT seq, seq, CONCAT('" + table + "', seq) FROM app.seq_1_to_30000");
  start(15'000);
  ASSERT_TRUE(copying("altered")) << run.logs();
  source.sql(
      "USE app; ALTER TABLE altered ADD COLUMN w INT NOT NULL DEFAULT 7 AFTER id, DROP INDEX u;"
      "INSERT INTO altered VALUES (100000, 8, 1, 'late'); UPDATE altered SET w = 9 WHERE id < 100;"
      "RENAME TABLE here TO between_, there TO here, between_ TO there;"
      "UPDATE here SET v = 'was there' WHERE id = 5; UPDATE there SET v = 'was here' WHERE id = 5;"
      "TRUNCATE TABLE emptied; INSERT INTO emptied VALUES (1, 1, 'again');"
      "DROP TABLE dropped; CREATE TABLE made AS SELECT id, v FROM here WHERE id < 50;"
      "ALTER TABLE made ADD PRIMARY KEY (id); CREATE INDEX i ON altered (v)");
  finish();
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM app.here WHERE v LIKE 'there%'"), "29999");
}

TEST_F(Window, UniqueValuesMoveParentsCascadeDuplicatesStay) {
  source.sql(
      "CREATE DATABASE app CHARACTER SET utf8mb4; USE app;"
      "CREATE TABLE seats (id INT PRIMARY KEY, seat INT UNIQUE);"
      "CREATE TABLE parents (id INT PRIMARY KEY, v INT);"
      "CREATE TABLE children (id INT PRIMARY KEY, p INT, q INT,"
      " CONSTRAINT c1 FOREIGN KEY (p) REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE,"
      " CONSTRAINT c2 FOREIGN KEY (q) REFERENCES parents (id) ON DELETE SET NULL ON UPDATE CASCADE);"
      "CREATE TABLE grand (id INT PRIMARY KEY, c INT,"
      " CONSTRAINT c3 FOREIGN KEY (c) REFERENCES children (id) ON DELETE CASCADE);"
      "CREATE TABLE duplicates (a INT, b VARCHAR(20));"
      "INSERT INTO seats SELECT seq, seq FROM seq_1_to_30000;"
      "INSERT INTO parents SELECT seq, seq FROM seq_1_to_5000;"
      "INSERT INTO children SELECT seq, 1 + seq % 5000, 1 + seq * 7 % 5000 FROM seq_1_to_20000;"
      "INSERT INTO grand SELECT seq, seq FROM seq_1_to_20000;"
      "INSERT INTO duplicates SELECT seq % 10, 'twin' FROM seq_1_to_20000");
  start(12'000);
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) > 0 FROM app.seats", "1")) << run.logs();
  for (int round = 1; round <= 20; ++round) {
    const std::string n = std::to_string(round), last = std::to_string(30001 - round);
    source.sql("USE app; BEGIN; UPDATE seats SET seat = -" + n + " WHERE id = " + n + "; UPDATE seats SET seat = " + n +
               " WHERE id = " + last + "; UPDATE seats SET seat = " + last + " WHERE id = " + n + "; COMMIT;" +
               "DELETE FROM parents WHERE id = " + n + "; UPDATE parents SET id = id + 10000 WHERE id = " +
               std::to_string(100 + round) + "; INSERT INTO parents VALUES (" + n + ", 0);" +
               "DELETE FROM duplicates WHERE a = 3 LIMIT 7; INSERT INTO duplicates VALUES (3, 'twin'), (3, 'Twin');" +
               "UPDATE duplicates SET b = 'TWIN' WHERE a = 4 LIMIT 3");
    std::this_thread::sleep_for(std::chrono::milliseconds(150));  // spread over the copy
  }
  finish();
}

// A transaction is in the binlog, but not yet seen by a SELECT, while the copy takes its positions and reads. The
// source is made to stay there for as long as the copy takes.
TEST_F(Window, ATransactionBetweenLogAndEngineIsNeitherLostNorDoubled) {
  source.sql(
      "CREATE DATABASE app; CREATE TABLE app.keyed (id INT PRIMARY KEY, v INT); CREATE TABLE app.keyless (a INT);"
      "INSERT INTO app.keyed VALUES (1, 1), (2, 2); INSERT INTO app.keyless VALUES (1), (1);"
      "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'; SET GLOBAL rpl_semi_sync_master_wait_no_slave = 1;"
      "SET GLOBAL rpl_semi_sync_master_timeout = 120000; SET GLOBAL rpl_semi_sync_master_enabled = 1");
  ProcessOptions client;
  client.program = "mariadb";
  client.args = {"-h127.0.0.1", "-P" + std::to_string(source.port()), std::string("-u") + MariaDbServer::kUser,
                 std::string("-p") + MariaDbServer::kPassword,
                 "-eBEGIN; INSERT INTO app.keyed VALUES (3, 3); UPDATE app.keyed SET v = 9 WHERE id = 1; INSERT INTO "
                 "app.keyless VALUES (1); DELETE FROM app.keyless LIMIT 2; COMMIT"};
  const std::string end = source.query("SHOW MASTER STATUS")[0][1].value();
  auto writer = ChildProcess::start(client);
  ASSERT_TRUE(wait_until([&] { return source.query("SHOW MASTER STATUS")[0][1].value() != end; }));
  ASSERT_EQ(source.query_value("SELECT COUNT(*) FROM app.keyed"), "2");
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) FROM sluice.table_state WHERE state = 'COPIED'", "2")) << run.logs();
  EXPECT_EQ(source.query_value("SELECT COUNT(*) FROM app.keyed"), "2") << "the gap did not last";
  source.sql("SET GLOBAL rpl_semi_sync_master_enabled = 0");
  EXPECT_EQ(writer.wait(seconds(30)), 0);
  finish();
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM app.keyless"), "1");
}

}  // namespace
}  // namespace sluice::testing
