// What operators do by hand: looking before anything is changed, and deciding about a DDL statement in the journal
// (docs/limits.md).
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
  void decide(const std::string& gtid, const std::string& state) {
    target.sql(
        "INSERT INTO sluice.ddl (project, position, epoch, statement, before_state, state, error, decision) VALUES ('" +
        run.report_value("project") + "', '" + gtid + "#0', 0, '', '', '" + state + "', '', '')");
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

TEST_F(Operator, AStatementThatWasAppliedByHandIsConfirmedInTheJournal) {
  const std::string gtid = stop_at_ddl();
  target.sql("ALTER TABLE app.t ADD c INT");
  decide(gtid, "DONE");
  run.start({"--include", "app.*", "--resume"});
  expect_status(0);
  EXPECT_THAT(compare_databases(source, target, {"app"}), IsEmpty());
}

}  // namespace
}  // namespace sluice::testing
