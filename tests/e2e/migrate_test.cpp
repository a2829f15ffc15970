// `sluice migrate` against real servers, under load: the main job as users run it.
#include <gtest/gtest.h>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class Migrate : public ::testing::Test {
 protected:
  void expect_equal(const std::vector<std::string>& databases = {"app"}) {
    EXPECT_EQ(differences(source, target, databases), "") << run.logs();
  }
  void expect_end(int status, const std::string& report_status, std::chrono::milliseconds patience = minutes(4)) {
    const auto ended = run.wait(patience);
    ASSERT_TRUE(ended.has_value()) << "still running\n" << run.logs();
    EXPECT_EQ(*ended, status) << run.logs();
    EXPECT_EQ(run.report_value("status"), report_status) << run.report() << run.logs();
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  MigrateRun run{source, target};
};

TEST_F(Migrate, OnceWithoutLoadCopiesAndVerifies) {
  Workload workload(source, {});
  workload.create();
  run.start({"--include", "app.*"});
  expect_end(0, "VERIFIED");
  expect_equal();
  EXPECT_TRUE(run.processes().empty()) << "processes are left";
  EXPECT_EQ(run.output().find(MariaDbServer::kPassword), std::string::npos) << "a password was printed";
}

TEST_F(Migrate, FollowsUnderLoadWithDdlAndDrainsOnInterrupt) {
  Workload workload(source, {.writers = 3, .ddl = true, .rotate = true, .large = true});
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--follow"});
  // The copy is done and changes arrive: a row that is written now appears.
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) > 0 FROM app.bank", "1")) << run.logs();
  source.sql("INSERT INTO app.bank VALUES (1000, 77)");
  ASSERT_TRUE(target.becomes("SELECT balance FROM app.bank WHERE id = 1000", "77")) << run.logs();
  wait_until([&] { return workload.transactions() > 3000; }, minutes(1));
  workload.stop();
  run.interrupt();
  expect_end(0, "VERIFIED");
  expect_equal();
  EXPECT_EQ(target.query_value("SELECT SUM(balance) FROM app.bank WHERE id <= 100"), "100000");
}

TEST_F(Migrate, OnceUnderLoadEqualsTheSourceAtItsEnd) {
  Workload workload(source, {.writers = 2});
  workload.create();
  workload.start();
  run.start({"--include", "app.*"});
  expect_end(0, "VERIFIED");
  // The source went on: what the target holds is a consistent state of it.
  EXPECT_EQ(target.query_value("SELECT SUM(balance) FROM app.bank"), "100000") << run.logs();
  workload.stop();
  // Another run of the same project catches up.
  run.start({"--include", "app.*", "--resume"});
  expect_end(0, "VERIFIED");
  expect_equal();
}

TEST_F(Migrate, RenamesDatabasesAndLeavesOutWhatIsExcluded) {
  Workload workload(source, {.writers = 1});
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--exclude", "app.words", "--rename", "app.*=moved.*", "--follow"});
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) > 0 FROM moved.bank", "1")) << run.logs();
  wait_until([&] { return workload.transactions() > 500; }, minutes(1));
  workload.stop();
  run.interrupt();
  expect_end(0, "VERIFIED");
  EXPECT_EQ(differences(source, target, {"app"}, {{{"app", "moved"}}, {"app.words"}}), "");
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'words'"), "0");
}

TEST_F(Migrate, InterruptedOnceResumes) {
  Workload workload(source, {.writers = 1, .rows = 20000});
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--throttle-rps", "20000"});
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) > 0 FROM app.items", "1")) << run.logs();
  run.interrupt();
  expect_end(130, "INTERRUPTED", minutes(1));
  EXPECT_TRUE(run.processes().empty());
  workload.stop();
  run.start({"--include", "app.*", "--resume"});
  expect_end(0, "VERIFIED");
  expect_equal();
}

TEST_F(Migrate, UsageOfTheWorkDirectory) {
  Workload workload(source, {.rows = 50});
  workload.create();
  run.start({"--include", "app.*", "--resume"});
  EXPECT_EQ(run.wait(seconds(30)), 2);
  run.start({"--include", "app.*"});
  expect_end(0, "VERIFIED");
  run.start({"--include", "app.*"});
  EXPECT_EQ(run.wait(seconds(30)), 2) << "a work directory with a project needs --resume";
  run.start({"--cleanup"});
  EXPECT_EQ(run.wait(seconds(30)), 0) << run.logs();
  EXPECT_EQ(target.query("SHOW DATABASES LIKE 'sluice'").size(), 0U);
}

}  // namespace
}  // namespace sluice::testing
