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
    target.sql("INSERT INTO sluice.ddl (project, position, epoch, statement, before_state, state, error) VALUES ('" +
               run.report_value("project") + "', '" + gtid + "#0', 0, '', '', '" + state + "', '')");
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  MigrateRun run{source, target};
};

TEST_F(Operator, ADryRunTellsTheChecksAndChangesNothing) {
  const auto before = target.query("SHOW DATABASES");
  run.start({"--include", "app.*", "--dry-run"});
  expect_status(0);
  EXPECT_THAT(run.output(), HasSubstr("PASSED  LOG_BIN"));
  EXPECT_THAT(run.output(), HasSubstr("nothing was changed"));
  EXPECT_EQ(target.query("SHOW DATABASES"), before);
  EXPECT_FALSE(std::filesystem::exists(run.work_dir()));
  EXPECT_THAT(run.processes(), IsEmpty());
}

TEST_F(Operator, ADryRunFailsAsTheRunWould) {
  target.sql("CREATE DATABASE app");
  target.sql("CREATE TABLE app.t (id INT PRIMARY KEY)");
  run.start({"--include", "app.*", "--dry-run"});
  expect_status(4);
  EXPECT_THAT(run.output(), HasSubstr("FAILED  TARGET_EMPTY"));
  EXPECT_THAT(run.report(), HasSubstr("\"TARGET_NOT_EMPTY\""));
  run.start({"--include", "app.*", "--dry-run", "--skip-check", "TARGET_EMPTY"});
  expect_status(0);
  EXPECT_THAT(run.output(), HasSubstr("SKIPPED  TARGET_EMPTY"));
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
