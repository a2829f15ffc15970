// kill -9 of each process in turn while a live database is being moved: during the copy, the addition of indexes, the
// verification, and while it follows. Recovery is automatic, or by --resume after the command itself was killed. At the
// end source and target are equal, a table without a key included, and what was copied once is not copied again.
#include <gtest/gtest.h>
#include <signal.h>

#include <map>

#include "tests/support/compare.hpp"
#include "tests/support/drill.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class Kill : public ::testing::Test {
 protected:
  // Kills the process when it appears and waits for another one in its place.
  void kill_and_expect_again(const std::string& words) {
    SCOPED_TRACE(words);
    pid_t old = -1;
    ASSERT_TRUE(wait_until([&] { return (old = run.find(words)) > 0; }, minutes(1))) << run.logs();
    send_signal(old, SIGKILL);
    // The promise is 5 s; asserted at three times that.
    ASSERT_TRUE(wait_until([&] { return run.find(words) > 0 && run.find(words) != old; }, seconds(15)))
        << "it did not come back\n"
        << run.logs();
  }
  void expect_following() {
    const std::string id = std::to_string(next_id++);
    source.sql("INSERT INTO app.bank VALUES (" + id + ", 7)");
    ASSERT_TRUE(target.becomes("SELECT balance FROM app.bank WHERE id = " + id, "7")) << run.logs();
  }
  // A table that takes some ten seconds to copy at 40,000 rows a second.
  void create_wide() {
    source.sql("CREATE TABLE app.wide (id INT PRIMARY KEY, pad VARCHAR(200))");
    source.sql("INSERT INTO app.wide SELECT seq, REPEAT('x', 200) FROM app.seq_1_to_200000");
  }
  // Finished chunks of app.wide: number -> "epoch rows range".
  std::map<std::string, std::string> chunks() {
    std::map<std::string, std::string> all;
    for (const auto& row : target.query("SELECT number, CONCAT(epoch, ' ', row_count, ' ', HEX(key_range)) FROM "
                                        "sluice.chunk WHERE source_table = 'wide'"))
      all[*row[0]] = *row[1];
    return all;
  }
  // Waits until some chunks of app.wide are finished, not all of them.
  void expect_half_copied() {
    ASSERT_TRUE(target.becomes("SELECT COUNT(*) > 20000 FROM app.wide", "1")) << run.logs();
    ASSERT_EQ(target.query_value("SELECT COUNT(*) < 200000 FROM app.wide"), "1") << "the copy was over too early";
  }
  // Every chunk of `before` is still there as it was written, the rest came later, and each row was copied once.
  void expect_went_on_after(const std::map<std::string, std::string>& before) {
    ASSERT_TRUE(target.becomes("SELECT state FROM sluice.table_state WHERE source_table = 'wide'", "COPIED"))
        << run.logs();
    const auto after = chunks();
    EXPECT_GT(before.size(), 0U);
    EXPECT_GT(after.size(), before.size());
    for (const auto& [number, text] : before) EXPECT_EQ(after.count(number) ? after.at(number) : "gone", text);
    EXPECT_EQ(target.query_value("SELECT SUM(row_count) FROM sluice.chunk WHERE source_table = 'wide'"), "200000");
    EXPECT_EQ(target.query_value("SELECT round FROM sluice.table_state WHERE source_table = 'wide'"), "1");
  }
  void finish() {
    workload.stop();
    run.interrupt();
    const auto ended = run.wait(minutes(4));
    ASSERT_TRUE(ended.has_value()) << run.logs();
    EXPECT_EQ(*ended, 0) << run.logs();
    EXPECT_EQ(run.report_value("status"), "VERIFIED") << run.report();
    EXPECT_EQ(differences(source, target, {"app"}), "") << run.logs();
    EXPECT_EQ(target.query_value("SELECT SUM(balance) FROM app.bank WHERE id <= 100"), "100000");
  }

  Drill drill;
  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  Workload workload{source, {.seed = 7, .writers = 2, .rows = 5000}};
  MigrateRun run{source, target};
  int next_id = 1000;
};

TEST_F(Kill, EachProcessWhileFollowing) {
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--follow"});
  expect_following();
  for (const char* words : {"component incr_sync", "component store", "sluice agent", "sluice coordinator"}) {
    std::this_thread::sleep_for(drill.moment(milliseconds(400)));
    kill_and_expect_again(words);
    if (!HasFatalFailure()) expect_following();
    if (HasFatalFailure()) return;
  }
  finish();
}

TEST_F(Kill, EachProcessDuringTheCopy) {
  workload.create();
  create_wide();
  workload.start();
  run.start({"--include", "app.*", "--follow", "--throttle-rps", "20000"});
  expect_half_copied();
  const auto before = chunks();
  for (const char* words : {"component full_import", "component store", "sluice coordinator", "sluice agent"}) {
    if (!HasFatalFailure()) kill_and_expect_again(words);
  }
  if (!HasFatalFailure()) expect_went_on_after(before);
  if (!HasFatalFailure()) expect_following();
  if (!HasFatalFailure()) finish();
}

// An ALTER that a dead process left behind ends before another one begins.
TEST_F(Kill, EachProcessWhileIndexesAreAdded) {
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) >= 0 FROM app.children", "1")) << run.logs();
  target.sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN; SELECT 1 FROM app.children LIMIT 1");
  for (const char* words : {"component struct_transfer", "sluice agent", "sluice coordinator"}) {
    ASSERT_TRUE(
        target.becomes("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'ALTER TABLE%' AND "
                       "STATE LIKE 'Waiting for table metadata lock%'",
                       "1"))
        << words << run.logs();
    kill_and_expect_again(words);
    if (HasFatalFailure()) return;
  }
  target.sql("COMMIT");
  expect_following();
  EXPECT_EQ(target.query_value("SELECT GROUP_CONCAT(DISTINCT INDEX_NAME ORDER BY INDEX_NAME) FROM "
                               "information_schema.STATISTICS WHERE TABLE_SCHEMA = 'app' AND TABLE_NAME = 'children'"),
            "c1,c2,PRIMARY");
  finish();
}

// A Checker is frozen as soon as it is there, so that it cannot be done before one of the others is killed; then it is
// killed too. Each time another Checker comes, and the last one says EQUAL.
TEST_F(Kill, EachProcessDuringTheVerification) {
  workload.create();
  create_wide();
  workload.start();
  run.start({"--include", "app.*", "--follow"});
  pid_t checker = -1;
  const auto another_checker = [&](minutes patience) {
    const pid_t old = checker;
    const auto found = [&] { return (checker = run.find("component checker")) > 0 && checker != old; };
    return wait_until(found, patience, milliseconds(2));
  };
  for (const char* words : {"component checker", "component store", "sluice coordinator", "sluice agent"}) {
    SCOPED_TRACE(words);
    ASSERT_TRUE(another_checker(minutes(2))) << run.logs();
    send_signal(checker, SIGSTOP);
    if (std::string(words) != "component checker") kill_and_expect_again(words);
    send_signal(checker, SIGKILL);
    if (HasFatalFailure()) return;
  }
  ASSERT_TRUE(another_checker(minutes(1))) << "no new Checker\n" << run.logs();
  const auto verified = [&] { return run.output().find("\"verify\":\"EQUAL\"") != std::string::npos; };
  ASSERT_TRUE(wait_until(verified, minutes(2))) << run.logs();
  expect_following();
  finish();
}

TEST_F(Kill, TheWholeCommandDuringTheCopy) {
  workload.create();
  create_wide();
  workload.start();
  run.start({"--include", "app.*", "--throttle-rps", "40000"});
  expect_half_copied();
  run.kill9();
  for (const pid_t pid : run.processes()) send_signal(pid, SIGKILL);
  const auto before = chunks();
  run.start({"--include", "app.*", "--follow", "--resume"});
  expect_went_on_after(before);
  expect_following();
  finish();
}

// Only the command dies; what it started goes on until --resume has taken the work directory over.
TEST_F(Kill, TheWholeCommandWhileFollowing) {
  workload.create();
  workload.start();
  run.start({"--include", "app.*", "--follow"});
  expect_following();
  const pid_t agent = run.find("sluice agent");
  std::this_thread::sleep_for(drill.moment(milliseconds(400)));
  run.kill9();
  run.start({"--include", "app.*", "--follow", "--resume"});
  ASSERT_TRUE(
      wait_until([&] { return run.find("sluice agent") > 0 && run.find("sluice agent") != agent; }, seconds(30)))
      << run.logs();
  expect_following();
  finish();
}

}  // namespace
}  // namespace sluice::testing
