// Two equal agents share the work of a project. The node of Incr-Sync is lost, then the Store's: the components move,
// and the result is equal.
#include <gtest/gtest.h>

#include "tests/support/cluster_run.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/drill.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Nodes : public ::testing::Test {
 protected:
  void expect_following() {
    const std::string id = std::to_string(next_id++);
    source.sql("INSERT INTO app.bank VALUES (" + id + ", 7)");
    ASSERT_TRUE(target.becomes("SELECT balance FROM app.bank WHERE id = " + id, "7")) << cluster.logs();
  }
  // Kills the agent that runs `kind` at some moment; its components die with their lease. It comes back when they have
  // moved.
  void lose_the_node_of(const std::string& kind) {
    SCOPED_TRACE(kind);
    const std::string lost = cluster.wait_for(kind, "", seconds(60));
    ASSERT_NE(lost, "") << cluster.logs();
    std::this_thread::sleep_for(drill.moment(milliseconds(500)));
    cluster.agent(lost).kill9();
    // Promised within 20 s; asserted at three times that.
    ASSERT_NE(cluster.wait_for(kind, lost, seconds(60)), "") << cluster.logs();
    expect_following();
    EXPECT_TRUE(wait_until([&] { return cluster.components("", lost).empty(); }, seconds(30)))
        << "components outlive their agent's lease";
    cluster.start_agent(lost);
  }

  Drill drill;
  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  Workload workload{source, {.writers = 2}};
  ClusterRun cluster{source, target};
  int next_id = 1000;
};

TEST_F(Nodes, TheNodesOfIncrSyncAndOfTheStoreAreLost) {
  workload.create();
  workload.start();
  cluster.create_and_start();
  expect_following();
  EXPECT_TRUE(wait_until([&] { return cluster.nodes_in_use().size() == 2; }, seconds(60))) << cluster.logs();
  lose_the_node_of("incr_sync");
  if (!HasFatalFailure()) lose_the_node_of("store");
  if (HasFatalFailure()) return;
  workload.stop();
  cluster.finish();
  EXPECT_EQ(differences(source, target, {"app"}), "");
  EXPECT_EQ(cluster.value("verification"), "EQUAL");
}

}  // namespace
}  // namespace sluice::testing
