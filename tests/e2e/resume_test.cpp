// --resume goes on with the project as it was made; what is given again and can change does, what cannot is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Resume : public ::testing::Test {
 protected:
  void SetUp() override {
    source.sql("CREATE DATABASE app");
    source.sql("CREATE TABLE app.t (id INT PRIMARY KEY, a VARCHAR(20))");
    source.sql("INSERT INTO app.t SELECT seq, CONCAT('row ', seq) FROM app.seq_1_to_500");
  }
  void expect(const std::vector<std::string>& args, int status, const std::string& report_status) {
    run.start(args);
    const auto ended = run.wait(minutes(3));
    ASSERT_TRUE(ended.has_value()) << "still running\n" << run.logs();
    EXPECT_EQ(*ended, status) << run.output() << run.logs();
    if (status != 2) EXPECT_EQ(run.report_value("status"), report_status) << run.report();
  }
  void expect_equal() { EXPECT_THAT(compare_databases(source, target, {"app"}), IsEmpty()) << run.logs(); }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  MigrateRun run{source, target};
};

TEST_F(Resume, VerificationIsTheProjects) {
  expect({"--include", "app.*", "--steps", "schema,full,incr"}, 0, "COPIED");
  expect({"--resume"}, 0, "COPIED");
}

TEST_F(Resume, ADifferenceIsNeverCopied) {
  expect({"--include", "app.*"}, 0, "VERIFIED");
  target.sql("UPDATE app.t SET a = 'changed' WHERE id = 7");
  expect({"--resume", "--steps", "schema,full,incr"}, 2, "");
  EXPECT_THAT(run.output(), HasSubstr("--steps cannot change: the project has 'schema,full,incr,verify'"));
  expect({"--resume"}, 3, "DIFFERENT");
}

TEST_F(Resume, WhatCannotChangeIsRefusedBeforeAnythingStarts) {
  expect({"--include", "app.*"}, 0, "VERIFIED");
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--include", "other.*"},
                                               {"--exclude", "app.x"},
                                               {"--rename", "app.*=b.*"},
                                               {"--meta-database", "other"}}) {
    std::vector<std::string> args{"--resume"};
    args.insert(args.end(), more.begin(), more.end());
    expect(args, 2, "");
    EXPECT_THAT(run.output(), HasSubstr(more[0] + " cannot change"));
  }
  source.sql("INSERT INTO app.t VALUES (1000, 'later')");
  expect({"--resume", "--include", "app.*"}, 0, "VERIFIED");
  expect_equal();
}

// As the errors advise: the same command, --resume and the option.
TEST_F(Resume, WhatAnErrorAdvisesHelps) {
  target.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY); INSERT INTO app.t VALUES (1)");
  expect({"--include", "app.*"}, 4, "FAILED");
  EXPECT_THAT(run.report(), HasSubstr("\"TARGET_NOT_EMPTY\""));
  expect({"--resume"}, 4, "FAILED");
  expect({"--resume", "--truncate-target", "--skip-check", "BINLOG_ROW_METADATA"}, 0, "VERIFIED");
  EXPECT_EQ(run.report_value("errors"), "[]") << "the errors of earlier attempts are cured";
  expect_equal();
}

// docs/user-guide.md, "Copying again".
TEST_F(Resume, EverythingIsCopiedAgainAfterACleanup) {
  expect({"--include", "app.*"}, 0, "VERIFIED");
  target.sql("ALTER TABLE app.t DROP COLUMN a");
  run.start({"--cleanup"});
  ASSERT_EQ(run.wait(minutes(2)), 0) << run.output();
  expect({"--include", "app.*", "--truncate-target"}, 0, "VERIFIED");
  expect_equal();
}

TEST_F(Resume, OneTableIsCopiedAgainByAProjectOfItsOwn) {
  source.sql("CREATE TABLE app.other (id INT PRIMARY KEY); INSERT INTO app.other VALUES (1)");
  expect({"--include", "app.*"}, 0, "VERIFIED");
  target.sql("UPDATE app.t SET a = 'changed' WHERE id = 7; INSERT INTO app.other VALUES (2)");
  expect({"--resume"}, 3, "DIFFERENT");
  MigrateRun again(source, target);
  again.start({"--include", "app.t", "--truncate-target"});
  ASSERT_EQ(again.wait(minutes(3)), 0) << again.output() << again.logs();
  EXPECT_EQ(again.report_value("status"), "VERIFIED");
  EXPECT_EQ(target.query_value("SELECT a FROM app.t WHERE id = 7"), "row 7");
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM app.other"), "2") << "the other tables are left alone";
}

TEST_F(Resume, AnotherDdlPolicy) {
  run.start({"--include", "app.*", "--follow", "--on-ddl", "stop"});
  ASSERT_TRUE(
      wait_until([&] { return run.output().find("\"status\":\"MONITORING\"") != std::string::npos; }, minutes(2)))
      << run.logs();
  source.sql("ALTER TABLE app.t ADD c INT");
  source.sql("INSERT INTO app.t VALUES (1000, 'x', 1)");
  ASSERT_EQ(run.wait(minutes(2)), 4) << run.logs();
  EXPECT_THAT(run.report(), HasSubstr("\"DDL_STOPPED\""));
  expect({"--resume", "--on-ddl", "apply"}, 0, "VERIFIED");
  expect_equal();
}

// Killed while it ran, the project still counts as running when the command comes back with other options.
TEST_F(Resume, OtherOptionsAfterAKill) {
  source.sql("CREATE TABLE app.wide (id INT PRIMARY KEY, pad VARCHAR(200))");
  source.sql("INSERT INTO app.wide SELECT seq, REPEAT('x', 200) FROM app.seq_1_to_30000");
  run.start({"--include", "app.*", "--throttle-rps", "100"});
  ASSERT_TRUE(wait_until([&] { return run.find("component full_import") > 0; }, minutes(1))) << run.logs();
  run.kill9();
  expect({"--resume", "--throttle-rps", "0", "--speed", "fast"}, 0,
         "VERIFIED");  // at 100 a second it would take minutes
  expect_equal();
}

TEST_F(Resume, ANoteThatCannotBeReadIsReported) {
  for (const char* text : {"[]", "{\"source\":1}"}) {
    std::filesystem::create_directories(run.work_dir());
    std::ofstream(run.work_dir() + "/project.json", std::ios::trunc) << text;
    expect({"--resume"}, 4, "FAILED");
    EXPECT_THAT(run.report(), HasSubstr("\"CORRUPTED\""));
  }
}

}  // namespace
}  // namespace sluice::testing
