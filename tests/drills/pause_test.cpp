// Processes that are paused (SIGSTOP) beyond their lease, and wake up: they are replaced, and write nothing any more.
#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <sstream>

#include "tests/support/cluster_run.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/drill.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class Pause : public ::testing::Test {
 protected:
  void SetUp() override {
    workload.create();
    workload.start();
  }
  void insert_and_expect(const std::function<std::string()>& logs) {
    const std::string id = std::to_string(next_id++);
    source.sql("INSERT INTO app.bank VALUES (" + id + ", 7)");
    ASSERT_TRUE(target.becomes("SELECT balance FROM app.bank WHERE id = " + id, "7")) << logs();
  }

  Drill drill;
  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  Workload workload{source, {.writers = 2, .rows = 1000}};
  int next_id = 1000;
};

// The only node stops, agent and component, longer than the lease; then both wake.
TEST_F(Pause, OneNodeBeyondItsLease) {
  MigrateRun run(source, target);
  const auto logs = [&] { return run.logs(); };
  run.start({"--include", "app.*", "--follow"});
  insert_and_expect(logs);
  ASSERT_TRUE(
      wait_until([&] { return run.output().find("\"status\":\"MONITORING\"") != std::string::npos; }, minutes(1)));
  const pid_t agent = run.find("sluice agent"), zombie = run.find("component incr_sync");
  ASSERT_GT(zombie, 0);
  std::this_thread::sleep_for(drill.moment(milliseconds(500)));
  send_signal(agent, SIGSTOP);
  send_signal(zombie, SIGSTOP);
  ASSERT_FALSE(wait_until([&] { return run.find("component incr_sync") != zombie; }, seconds(14)));
  send_signal(agent, SIGCONT);
  send_signal(zombie, SIGCONT);
  ASSERT_TRUE(wait_until([&] { return run.find("component incr_sync") != zombie; }, seconds(30))) << run.logs();
  insert_and_expect(logs);
  workload.stop();
  run.interrupt();
  EXPECT_EQ(run.wait(minutes(4)), 0) << run.logs();
  EXPECT_EQ(differences(source, target, {"app"}), "") << run.logs();
}

// What a server's general log holds of the threads that sent statements: thread id -> its statements.
std::map<std::string, std::string> statements_by_thread(const std::string& general_log) {
  std::map<std::string, std::string> found;
  std::istringstream lines(general_log);
  std::string thread;
  for (std::string line; std::getline(lines, line);) {
    // "<time or blanks>\t<thread> <Command>\t<text>"; other lines go on with a text.
    const size_t tab = line.find_first_of("0123456789", line.find('\t') == std::string::npos ? 0 : line.find('\t'));
    std::istringstream words(tab == std::string::npos ? "" : line.substr(tab));
    std::string id, command;
    if (line.find('\t') != std::string::npos && words >> id >> command &&
        (command == "Query" || command == "Connect" || command == "Quit" || command == "Ping" || command == "Prepare" ||
         command == "Execute" || command == "Init"))
      thread = command == "Query" ? id : "";
    if (!thread.empty()) found[thread] += line + "\n";
  }
  return found;
}

// The node of Incr-Sync stops in the middle of its work and is replaced by the other one when its lease is over. Then
// it wakes: the target's own log shows that none of its statements came in.
TEST_F(Pause, AReplacedNodeThatWakesWritesNothing) {
  ClusterRun cluster(source, target);
  const auto logs = [&] { return cluster.logs(); };
  cluster.create_and_start();
  insert_and_expect(logs);
  ASSERT_TRUE(wait_until([&] { return cluster.value("verification") == "EQUAL"; }, minutes(2))) << cluster.logs();
  const std::string frozen = cluster.wait_for("incr_sync", "", minutes(1));
  ASSERT_NE(frozen, "") << cluster.logs();
  const std::string epoch = "SELECT epoch FROM sluice.fence WHERE component LIKE '%.incr'";
  const std::string old_epoch = target.query_value(epoch);

  std::this_thread::sleep_for(drill.moment(milliseconds(500)));
  const auto stopped = cluster.freeze_node(frozen);
  ASSERT_GT(stopped.size(), 1U);
  // Promised within 20 s; asserted at three times that.
  ASSERT_NE(cluster.wait_for("incr_sync", frozen, seconds(60)), "") << cluster.logs();
  insert_and_expect(logs);
  EXPECT_GT(std::stoull(target.query_value(epoch)), std::stoull(old_epoch));

  target.sql("SET GLOBAL general_log_file = 'general.log'; SET GLOBAL general_log = 1");
  ClusterRun::wake(stopped);
  ASSERT_TRUE(wait_until([&] { return cluster.components("incr_sync", frozen).empty(); }, seconds(30)))
      << "it goes on\n"
      << cluster.logs();
  insert_and_expect(logs);
  target.sql("SET GLOBAL general_log = 0");
  std::set<std::string> allowed{target.query_value("SELECT CONNECTION_ID()")};
  for (const auto& row :
       target.query("SELECT id FROM sluice.connection WHERE epoch > " + old_epoch + " AND component LIKE '%.incr'"))
    allowed.insert(*row[0]);
  const auto seen = statements_by_thread(read_text_file(target.data_dir() + "/general.log"));
  EXPECT_GE(seen.size(), 2U) << "the replacement wrote, so the log must show it";
  for (const auto& [thread, text] : seen)
    EXPECT_TRUE(allowed.count(thread)) << "thread " << thread << ":\n" << text.substr(0, 2000);

  workload.stop();
  cluster.finish();
  EXPECT_EQ(differences(source, target, {"app"}), "");
}

}  // namespace
}  // namespace sluice::testing
