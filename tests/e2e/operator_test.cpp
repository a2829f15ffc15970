// What operators do by hand: looking before anything is changed, seeing what waits, and deciding about a DDL statement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Operator : public ::testing::Test {
 protected:
  void SetUp() override {
    source.sql("CREATE DATABASE app");
    source.sql("CREATE TABLE app.t (id INT PRIMARY KEY, a VARCHAR(20))");
    source.sql("INSERT INTO app.t VALUES (1, 'a'), (2, 'b')");
  }
  void expect_status(int status) {
    const auto ended = run.wait(minutes(3));
    ASSERT_TRUE(ended.has_value()) << "still running\n" << run.logs();
    EXPECT_EQ(*ended, status) << run.output() << run.logs();
  }
  // Follows until an ALTER stops the project; the transaction's GTID.
  std::string stop_at_ddl() {
    run.start({"--include", "app.*", "--follow", "--on-ddl", "stop"});
    const bool strict = wait_until(
        [&] { return run.output().find("\"step\":\"INCR_TRANSFER\",\"status\":\"MONITORING\"") != std::string::npos; },
        minutes(2));
    EXPECT_TRUE(strict) << run.output() << run.logs();
    source.sql("ALTER TABLE app.t ADD c INT");
    const std::string gtid = source.query_value("SELECT @@gtid_binlog_pos");
    source.sql("INSERT INTO app.t VALUES (3, 'c', 3)");
    expect_status(4);
    EXPECT_THAT(run.report(), HasSubstr("\"DDL_STOPPED\""));
    EXPECT_THAT(run.report(), HasSubstr("\"" + gtid + "#0\"")) << "the error names the journal's position";
    return gtid;
  }
  void decide(const std::string& position, std::vector<std::string> words) {
    const std::string program = std::getenv("SLUICE_BIN"), data = run.work_dir() + "/coordinator";
    const std::string address = "127.0.0.1:" + std::to_string(free_port());
    auto coordinator = ChildProcess::start(
        {.program = program, .args = {"coordinator", "--data-dir", data, "--http", "none", "--grpc", address}});
    words.insert(words.begin(), {"project", "decide", "migrate"});
    words.insert(words.end(),
                 {"--position", position, "--coordinator", address, "--token-file", data + "/admin.token"});
    std::string output;
    EXPECT_EQ(run_program(program, words, &output), 0) << output;
    EXPECT_EQ(coordinator.terminate(), 0);
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  MigrateRun run{source, target};
};

TEST_F(Operator, ADryRunTellsTheChecksAndChangesNothing) {
  const auto before = target.query("SHOW DATABASES");
  run.start({"--include", "app.*", "--dry-run"});
  expect_status(0);
  EXPECT_THAT(run.output(), HasSubstr("\"check\":\"LOG_BIN\",\"level\":\"PASSED\""));
  EXPECT_THAT(run.output(), HasSubstr("nothing was changed"));
  EXPECT_EQ(run.report_value("status"), "null") << "nothing was copied, nothing verified";
  EXPECT_THAT(run.report(), HasSubstr("\"name\": \"LOG_BIN\""));
  EXPECT_EQ(target.query("SHOW DATABASES"), before);
  EXPECT_FALSE(std::filesystem::exists(run.work_dir()));
  EXPECT_THAT(run.processes(), IsEmpty());
}

TEST_F(Operator, ADryRunFailsAsTheRunWould) {
  target.sql("CREATE DATABASE app");
  target.sql("CREATE TABLE app.t (id INT PRIMARY KEY)");
  run.start({"--include", "app.*", "--dry-run"});
  expect_status(4);
  EXPECT_THAT(run.output(), HasSubstr("\"check\":\"TARGET_EMPTY\",\"level\":\"FAILED\""));
  EXPECT_THAT(run.report(), HasSubstr("\"TARGET_NOT_EMPTY\""));
  run.start({"--include", "app.*", "--dry-run", "--skip-check", "TARGET_EMPTY"});
  expect_status(0);
  EXPECT_THAT(run.output(), HasSubstr("\"check\":\"TARGET_EMPTY\",\"level\":\"SKIPPED\""));
}

// What is retried is told when it begins and when it is over, and stands in the report of who does not wait for it.
TEST_F(Operator, AnOutageIsToldAndItsEndToo) {
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(
      wait_until([&] { return run.output().find("\"status\":\"MONITORING\"") != std::string::npos; }, minutes(2)))
      << run.output() << run.logs();
  target.stop();
  source.sql("INSERT INTO app.t VALUES (3, 'c')");
  const std::string waits = "\"component\":\"incr_sync\",\"state\":\"WAITING\"";
  ASSERT_TRUE(wait_until([&] { return run.output().find(waits) != std::string::npos; }, minutes(1))) << run.output();
  target.restart();
  const std::string over = "\"component\":\"incr_sync\",\"state\":\"RUNNING\"";
  ASSERT_TRUE(wait_until([&] { return run.output().find(over) != std::string::npos; }, minutes(1))) << run.output();
  const size_t before = run.output().size();
  target.stop();
  source.sql("INSERT INTO app.t VALUES (4, 'd')");
  ASSERT_TRUE(wait_until([&] { return run.output().find(waits, before) != std::string::npos; }, minutes(1)))
      << run.output();
  run.interrupt();
  ASSERT_TRUE(wait_until([&] { return run.output().find("Finishing") != std::string::npos; }, minutes(1)));
  run.interrupt();
  expect_status(130);
  EXPECT_THAT(run.report(), HasSubstr("incr_sync: "));
  target.restart();
  run.start({"--include", "app.*", "--resume"});
  expect_status(0);
  EXPECT_EQ(run.report_value("errors"), "[]") << "it is cured";
}

// As the error advises, by the command itself; or by `project decide` through its coordinator, started by hand.
struct Decided {
  const char* name;
  const char* by_hand;  // on the target, before
  bool by_command;
  std::vector<std::string> words;
  const char* defaults;  // of the column that the statement adds; "none": there is none
};

class OperatorDecides : public Operator, public ::testing::WithParamInterface<Decided> {};

TEST_P(OperatorDecides, OnAStatement) {
  const Decided& decided = GetParam();
  const std::string gtid = stop_at_ddl();
  if (*decided.by_hand) target.sql(decided.by_hand);
  std::vector<std::string> resume{"--resume"};
  if (decided.by_command) {
    EXPECT_THAT(run.output(), HasSubstr("the same command and --resume --decide " + gtid + "#0=retry"));
    resume.insert(resume.end(), {"--decide", gtid + "#0=" + decided.words[0]});
    resume.insert(resume.end(), decided.words.begin() + 1, decided.words.end());
  } else {
    decide(gtid + "#0", decided.words);
  }
  run.start(resume);
  const auto ended = run.wait(minutes(3));
  const std::string column = target.query_value(
      "SELECT COALESCE(MAX(COALESCE(column_default, 'NULL')), 'none') FROM information_schema.columns WHERE "
      "table_schema = 'app' AND table_name = 't' AND column_name = 'c'");
  EXPECT_EQ(column, decided.defaults) << run.output() << run.logs();
  if (std::string(decided.defaults) == "none") {  // the row that has the column cannot be applied
    EXPECT_EQ(ended, 4) << run.output() << run.logs();
    EXPECT_THAT(run.report(), HasSubstr("\"SCHEMA_MISMATCH\""));
    target.sql("ALTER TABLE app.t ADD c INT");  // as the error advises
    run.start({"--resume"});
    expect_status(0);
    return;
  }
  // The replacement gives the rows that were there another value than they have on the source, and that is found.
  EXPECT_EQ(ended, std::string(decided.defaults) == "5" ? 3 : 0) << run.output() << run.logs();
  EXPECT_EQ(target.query_value("SELECT c FROM app.t WHERE id = 3"), "3");
}

TEST_F(Operator, AConflictIsDecidedByTheCommandThatResumes) {
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(
      wait_until([&] { return run.output().find("\"status\":\"MONITORING\"") != std::string::npos; }, minutes(2)))
      << run.output() << run.logs();
  target.sql("INSERT INTO app.t VALUES (5, 'ours')");
  source.sql("INSERT INTO app.t VALUES (5, 'theirs')");
  const std::string gtid = source.query_value("SELECT @@gtid_binlog_pos");
  expect_status(4);
  EXPECT_THAT(run.report(), HasSubstr("\"ROW_CONFLICT\""));
  EXPECT_THAT(run.output(), HasSubstr("the same command and --resume --decide " + gtid + "=overwrite  (or skip)"));
  run.start({"--resume", "--decide", gtid + "=retry"});
  expect_status(2);
  run.start({"--resume", "--decide", gtid + "=overwrite"});
  expect_status(0);
  EXPECT_EQ(target.query_value("SELECT a FROM app.t WHERE id = 5"), "theirs");
}

INSTANTIATE_TEST_SUITE_P(
    Migrate, OperatorDecides,
    ::testing::Values(
        Decided{"Done", "ALTER TABLE app.t ADD c INT", true, {"done"}, "NULL"},
        Decided{"Retry", "", true, {"retry"}, "NULL"},
        Decided{"RetryThroughTheCoordinator", "", false, {"retry"}, "NULL"},
        Decided{"Replace", "", true, {"replace", "--statement", "ALTER TABLE app.t ADD c INT DEFAULT 5"}, "5"},
        Decided{"Skip", "", true, {"skip"}, "none"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice::testing
