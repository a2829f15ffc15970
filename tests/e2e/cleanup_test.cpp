// --cleanup removes what one project left, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::minutes;
using ::testing::HasSubstr;

class Cleanup : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* database : {"a", "b"})
      source.sql(std::string("CREATE DATABASE ") + database + "; CREATE TABLE " + database +
                 ".t (id INT PRIMARY KEY); INSERT INTO " + database + ".t VALUES (1), (2)");
  }
  static void expect(MigrateRun& run, const std::vector<std::string>& args, int status) {
    run.start(args);
    EXPECT_EQ(run.wait(minutes(3)), status) << run.output() << run.logs();
  }
  bool has(const std::string& database) { return !target.query("SHOW DATABASES LIKE '" + database + "'").empty(); }
  std::string rows_of(const std::string& project) {
    return target.query_value("SELECT COUNT(*) FROM meta.fence WHERE project = '" + project + "'");
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  MigrateRun one{source, target}, two{source, target};
};

TEST_F(Cleanup, OnlyWhatItsProjectLeft) {
  expect(one, {"--include", "a.*", "--meta-database", "meta"}, 0);
  expect(two, {"--include", "b.*", "--meta-database", "meta"}, 0);
  const std::string first = one.report_value("project"), second = two.report_value("project");
  std::ofstream(one.work_dir() + "/letter.txt") << "dear";
  expect(one, {"--cleanup"}, 0);
  EXPECT_EQ(rows_of(first), "0");
  EXPECT_NE(rows_of(second), "0") << "the other project's bookkeeping is gone";
  EXPECT_TRUE(fs::exists(one.work_dir() + "/letter.txt"));
  EXPECT_FALSE(fs::exists(one.work_dir() + "/project.json"));
  expect(two, {"--cleanup"}, 0);
  EXPECT_FALSE(has("meta"));
  EXPECT_FALSE(fs::exists(two.work_dir()));
  expect(two, {"--cleanup"}, 0);  // again: nothing is left to do
  EXPECT_TRUE(has("a") && has("b")) << "what was moved stays";
}

TEST_F(Cleanup, NothingWithoutAWorkDirectoryThatSaysSo) {
  target.sql("CREATE DATABASE precious; CREATE TABLE precious.t (a INT)");
  expect(one, {"--cleanup", "--meta-database", "precious"}, 0);  // there is no work directory: nothing to remove
  EXPECT_TRUE(has("precious"));
  fs::create_directories(one.work_dir());
  std::ofstream(one.work_dir() + "/letter.txt") << "dear";
  expect(one, {"--cleanup"}, 2);
  EXPECT_TRUE(fs::exists(one.work_dir() + "/letter.txt"));
  expect(one, {"--include", "a.*"}, 2);  // nor is it taken for a new project
  EXPECT_FALSE(has("sluice"));
  fs::remove_all(one.work_dir());
  expect(one, {"--include", "a.*"}, 0);
  expect(one, {"--cleanup", "--meta-database", "precious"}, 2);
  one.set_target_port(source.port());
  expect(one, {"--cleanup"}, 2);
  EXPECT_THAT(one.output(), HasSubstr("SOURCE and TARGET must be the same"));
  EXPECT_TRUE(has("sluice") && has("precious"));
}

TEST_F(Cleanup, NotWhileItRuns) {
  one.start({"--include", "a.*", "--follow"});
  ASSERT_TRUE(wait_until([&] { return one.find("component incr_sync") > 0; }, minutes(1))) << one.logs();
  const std::string program = std::getenv("SLUICE_BIN");
  std::string output;
  EXPECT_EQ(
      run_program(program, {"migrate", source.url(), target.url(), "--work-dir", one.work_dir(), "--cleanup"}, &output),
      4);
  EXPECT_THAT(output, HasSubstr("WORK_DIR_IN_USE"));
  EXPECT_TRUE(has("sluice"));
  one.interrupt();
  EXPECT_EQ(one.wait(minutes(2)), 0) << one.logs();
}

}  // namespace
}  // namespace sluice::testing
