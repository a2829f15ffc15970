// kill -9 of each process in turn while a live database is being moved; recovery is automatic, or by --resume after the
// command itself was killed. At the end source and target are equal, a table without a key included.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class Kill : public ::testing::Test {
 protected:
  std::string compare() {
    std::string text;
    for (const std::string& line : compare_databases(source, target, {"app"})) text += line + "\n";
    return text;
  }
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
  // Kills the process when it appears and waits for another one in its place.
  void kill_and_expect_again(const std::string& words) {
    pid_t old = -1;
    ASSERT_TRUE(wait_until([&] { return (old = run.find(words)) > 0; }, minutes(1))) << words << run.logs();
    ::kill(old, SIGKILL);
    // The promise is 5 s; asserted at three times that.
    EXPECT_TRUE(wait_until([&] { return run.find(words) > 0 && run.find(words) != old; }, seconds(15)))
        << words << " did not come back\n"
        << run.logs();
  }
  void expect_following(int id) {
    source.sql("INSERT INTO app.bank VALUES (" + std::to_string(id) + ", 7)");
    ASSERT_TRUE(target_has("SELECT balance FROM app.bank WHERE id = " + std::to_string(id), "7")) << run.logs();
  }
  void finish() {
    workload.stop();
    run.interrupt();
    const auto ended = run.wait(minutes(4));
    ASSERT_TRUE(ended.has_value()) << run.logs();
    EXPECT_EQ(*ended, 0) << run.logs();
    EXPECT_EQ(compare(), "") << run.logs();
    EXPECT_EQ(target.query_value("SELECT SUM(balance) FROM app.bank WHERE id <= 100"), "100000");
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  Workload workload{source, {.seed = 7, .writers = 2, .rows = 5000}};
  MigrateRun run{source, target};
};

TEST_F(Kill, EachProcessWhileFollowing) {
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(target_has("SELECT COUNT(*) > 0 FROM app.bank", "1")) << run.logs();
  expect_following(1000);
  int id = 1001;
  for (const char* words : {"component incr_sync", "component store", "sluice agent", "sluice coordinator"}) {
    SCOPED_TRACE(words);
    kill_and_expect_again(words);
    if (HasFatalFailure()) return;
    expect_following(id++);
    if (HasFatalFailure()) return;
  }
  finish();
}

TEST_F(Kill, FullImportGoesOnWhereItWas) {
  workload.create();
  source.sql("CREATE TABLE app.wide (id INT PRIMARY KEY, pad VARCHAR(200))");
  source.sql("INSERT INTO app.wide SELECT seq, REPEAT('x', 200) FROM app.seq_1_to_200000");
  workload.start();
  run.start({"--include", "app.*", "--follow", "--throttle-rps", "40000"});
  ASSERT_TRUE(target_has("SELECT COUNT(*) > 20000 FROM app.wide", "1")) << run.logs();
  kill_and_expect_again("component full_import");
  // Finished chunks stay: the table never shrinks.
  const uint64_t before = std::stoull(target.query_value("SELECT COUNT(*) FROM app.wide"));
  EXPECT_GT(before, 20000U);
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.wide", "200000")) << run.logs();
  expect_following(1000);
  finish();
}

TEST_F(Kill, CheckerAndThenTheWholeCommand) {
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--follow"});
  pid_t checker = -1;
  ASSERT_TRUE(wait_until([&] { return (checker = run.find("component checker")) > 0; }, minutes(2),
                         std::chrono::milliseconds(2)))
      << run.logs();
  ::kill(checker, SIGKILL);
  expect_following(1000);
  const pid_t agent = run.find("sluice agent");
  run.kill9();
  run.start({"--include", "app.*", "--follow", "--resume"});
  // Until the command has taken its work directory over, what the killed one left behind goes on following.
  ASSERT_TRUE(
      wait_until([&] { return run.find("sluice agent") > 0 && run.find("sluice agent") != agent; }, seconds(20)))
      << run.logs();
  expect_following(1001);
  finish();
}

TEST_F(Kill, TheWholeCommandDuringTheCopy) {
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--throttle-rps", "20000"});
  ASSERT_TRUE(target_has("SELECT COUNT(*) > 0 FROM app.items", "1")) << run.logs();
  run.kill9();
  for (const pid_t pid : run.processes()) ::kill(pid, SIGKILL);
  run.start({"--include", "app.*", "--follow", "--resume"});
  expect_following(1000);
  finish();
}

}  // namespace
}  // namespace sluice::testing
