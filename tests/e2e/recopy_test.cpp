// Tables that are copied again while the log is followed, and what the others keep meanwhile; steps one by one.
#include <gtest/gtest.h>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;

class Recopy : public ::testing::Test {
 protected:
  bool target_has(const std::string& query, const std::string& value) {
    return wait_until(
        [&] {
          try {
            return target.query_value(query) == value;
          } catch (const std::exception&) {
            return false;
          }
        },
        minutes(2));
  }
  // A copy of this round is finished.
  bool copied(const std::string& table, int round) {
    return target_has("SELECT CONCAT(state, round) FROM sluice.table_state WHERE source_table = '" + table + "'",
                      "COPIED" + std::to_string(round));
  }
  bool has_keys(const std::string& database, int count) {
    return target_has(
        "SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = '" + database + "'",
        std::to_string(count));
  }
  void finish(const std::string& database) {
    run.interrupt();
    const auto ended = run.wait(minutes(4));
    ASSERT_TRUE(ended.has_value()) << run.logs();
    EXPECT_EQ(*ended, 0) << run.logs();
    EXPECT_EQ(run.report_value("status"), "VERIFIED") << run.report();
    std::string text;
    for (const std::string& line : compare_databases(source, target, {database})) text += line + "\n";
    EXPECT_EQ(text, "") << run.logs();
    for (const auto& table : source.query("SHOW TABLES FROM `" + database + "`")) {
      const std::string show = "SHOW CREATE TABLE `" + database + "`.`" + *table[0] + "`";
      EXPECT_EQ(source.query(show)[0][1], target.query(show)[0][1]);
    }
  }
  std::optional<int> migrate(MigrateRun& command, const std::vector<std::string>& args) {
    command.start(args);
    return command.wait(minutes(2));
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  MigrateRun run{source, target};
};

TEST_F(Recopy, OtherTablesKeepTheKeysThatTheLogHasGivenThem) {
  source.sql(
      "CREATE DATABASE app; USE app; CREATE TABLE p (id INT PRIMARY KEY); "
      "CREATE TABLE c (id INT PRIMARY KEY, p INT, CONSTRAINT fc FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE); "
      "CREATE TABLE d (id INT PRIMARY KEY, p INT, CONSTRAINT fd FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL); "
      "CREATE TABLE o (id INT PRIMARY KEY, p INT, CONSTRAINT fo FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE); "
      "INSERT INTO p SELECT seq FROM seq_1_to_50; INSERT INTO c SELECT seq, seq FROM seq_1_to_50; "
      "INSERT INTO d SELECT seq, seq FROM seq_1_to_50; INSERT INTO o SELECT seq, seq FROM seq_1_to_50");
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(has_keys("app", 3)) << run.logs();
  source.sql("INSERT INTO app.p VALUES (1000)");  // behind the window: it is followed strictly
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.p", "51")) << run.logs();
  source.sql(
      "USE app; ALTER TABLE c DROP FOREIGN KEY fc; ALTER TABLE d CHANGE p q INT; "
      "ALTER TABLE o ADD u UUID DEFAULT uuid()");
  ASSERT_TRUE(copied("o", 2)) << run.logs();
  source.sql("USE app; INSERT INTO o (id, p) VALUES (100, 2); DELETE FROM p WHERE id BETWEEN 1 AND 20");
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.p", "31")) << run.logs();
  finish("app");
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM app.c"), "50");
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM app.o"), "30");
}

// What was compared before a table was copied again says nothing of the copy.
TEST_F(Recopy, ACopyAfterTheVerificationIsVerified) {
  source.sql("CREATE DATABASE app; USE app; CREATE TABLE o (id INT PRIMARY KEY); INSERT INTO o VALUES (1), (2)");
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(wait_until([&] { return run.output().find("\"verify\":\"EQUAL\"") != std::string::npos; }, minutes(2)))
      << run.logs();
  source.sql("ALTER TABLE app.o ADD u UUID DEFAULT uuid()");
  ASSERT_TRUE(copied("o", 2)) << run.logs();
  target.sql("UPDATE app.o SET u = uuid() WHERE id = 1");  // as if the copy had not been exact
  run.interrupt();
  const auto ended = run.wait(minutes(4));
  ASSERT_TRUE(ended.has_value()) << run.logs();
  EXPECT_EQ(*ended, 3) << run.logs();
  EXPECT_EQ(run.report_value("status"), "DIFFERENT") << run.report();
}

TEST_F(Recopy, NamesMayHoldDotsAndNumberSigns) {
  source.sql(
      "CREATE DATABASE `my.db`; USE `my.db`; CREATE TABLE `q#1` (id INT PRIMARY KEY); INSERT INTO `q#1` VALUES (1), "
      "(2)");
  run.start({"--include", "`my.db`.*", "--follow"});
  ASSERT_TRUE(copied("q#1", 1)) << run.logs();
  source.sql("ALTER TABLE `my.db`.`q#1` ADD u UUID DEFAULT uuid()");
  ASSERT_TRUE(copied("q#1", 2)) << run.logs();
  source.sql("INSERT INTO `my.db`.`q#1` (id) VALUES (3)");
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM `my.db`.`q#1`", "3")) << run.logs();
  finish("my.db");
}

// The source is ahead of the log that the target has seen: its present keys are not those of the moment.
TEST_F(Recopy, KeysOfTablesThatAreMadeDuringTheCopy) {
  source.sql(
      "CREATE DATABASE app; USE app; CREATE TABLE p (id INT PRIMARY KEY, n INT UNIQUE); CREATE TABLE slow (id INT "
      "PRIMARY "
      "KEY, v INT); INSERT INTO p SELECT seq, seq FROM seq_1_to_50; INSERT INTO slow SELECT seq, seq FROM "
      "seq_1_to_30000");
  run.start({"--include", "app.*", "--follow", "--throttle-rps", "10000"});
  ASSERT_TRUE(target_has("SELECT COUNT(*) > 0 FROM app.slow", "1")) << run.logs();
  source.sql(
      "USE app; CREATE TABLE n (id INT PRIMARY KEY, p INT, CONSTRAINT f1 FOREIGN KEY (p) REFERENCES p (id) ON DELETE "
      "CASCADE); INSERT INTO n VALUES (1, 1), (2, 2); ALTER TABLE n ADD CONSTRAINT f2 FOREIGN KEY (p) REFERENCES p (n) "
      "ON "
      "DELETE CASCADE, DROP FOREIGN KEY f1; DELETE FROM p WHERE id = 2");
  ASSERT_TRUE(has_keys("app", 1)) << run.logs();
  source.sql("DELETE FROM app.p WHERE id = 1");
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.p", "48")) << run.logs();
  finish("app");
}

TEST_F(Recopy, StepsMayBeTakenOneByOne) {
  source.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY); INSERT INTO app.t VALUES (1), (2)");
  EXPECT_EQ(migrate(run, {"--include", "app.*", "--steps", "schema"}), 0) << run.report();
  MigrateRun copy(source, target), compare(source, target), wrong(source, target);
  EXPECT_EQ(migrate(copy, {"--include", "app.*", "--steps", "full"}), 0) << copy.report();
  EXPECT_EQ(migrate(compare, {"--include", "app.*", "--steps", "verify"}), 0) << compare.report();
  EXPECT_EQ(compare.report_value("status"), "VERIFIED");
  // A name that is not there is no empty scope that passes.
  EXPECT_EQ(migrate(wrong, {"--include", "app.nosuch"}), 4) << wrong.report();
  EXPECT_NE(wrong.report().find("app.nosuch"), std::string::npos);
}

// Chunks and rounds of a table that is gone say nothing of another one of its name.
TEST_F(Recopy, ATableThatWasDroppedComesBackAndIsCopiedWhole) {
  source.sql(
      "CREATE DATABASE stage; CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, v INT); "
      "INSERT INTO app.t SELECT seq, seq FROM app.seq_1_to_3000");
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.t", "3000")) << run.logs();
  for (const std::string added : {"1", "2"}) {
    source.sql(
        "DROP TABLE app.t; CREATE TABLE stage.t (id INT PRIMARY KEY, v INT); "
        "INSERT INTO stage.t SELECT seq, -seq FROM stage.seq_1_to_3000; RENAME TABLE stage.t TO app.t; "
        "INSERT INTO app.t VALUES (900" +
        added + ", " + added + ")");
    ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.t WHERE id = 900" + added, "1")) << run.logs();
    ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.t", "3001")) << run.logs();
  }
  finish("app");
}

}  // namespace
}  // namespace sluice::testing
