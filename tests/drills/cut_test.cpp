// Connections to the databases are cut, during the copy and while it follows: they come back by themselves, nothing is
// lost and nothing doubled.
#include <gtest/gtest.h>

#include "tests/support/compare.hpp"
#include "tests/support/drill.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

class Cut : public ::testing::Test {
 protected:
  void SetUp() override {
    workload.create();
    source.sql("CREATE TABLE app.wide (id INT PRIMARY KEY, pad VARCHAR(200))");
    source.sql("INSERT INTO app.wide SELECT seq, REPEAT('x', 200) FROM app.seq_1_to_100000");
    workload.start();
  }
  void expect_following() {
    const std::string id = std::to_string(next_id++);
    source.sql("INSERT INTO app.bank VALUES (" + id + ", 7)");
    ASSERT_TRUE(target.becomes("SELECT balance FROM app.bank WHERE id = " + id, "7")) << run.logs();
  }
  // Cuts all connections through `proxy` three times while rows are copied and three times while changes follow.
  void cut_again_and_again(TcpProxy& proxy) {
    run.start({"--include", "app.*", "--follow", "--throttle-rps", "30000"});
    for (const char* rows : {"5000", "30000", "60000"}) {
      ASSERT_TRUE(target.becomes(std::string("SELECT COUNT(*) > ") + rows + " FROM app.wide", "1")) << run.logs();
      proxy.cut_all();
    }
    for (int round = 0; round < 3; ++round) {
      expect_following();
      if (HasFatalFailure()) return;
      std::this_thread::sleep_for(drill.moment(milliseconds(300)));
      proxy.cut_all();
    }
    expect_following();
    workload.stop();
    run.interrupt();
    EXPECT_EQ(run.wait(minutes(4)), 0) << run.logs();
    EXPECT_EQ(run.report_value("status"), "VERIFIED") << run.report();
    EXPECT_EQ(differences(source, target, {"app"}), "") << run.logs();
  }

  Drill drill;
  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  Workload workload{source, {.rows = 300}};
  MigrateRun run{source, target};
  int next_id = 1000;
};

TEST_F(Cut, ToTheTarget) {
  TcpProxy proxy(target.port());
  run.set_target_port(proxy.port());
  cut_again_and_again(proxy);
}

TEST_F(Cut, ToTheSource) {
  TcpProxy proxy(source.port());
  run.set_source_port(proxy.port());
  cut_again_and_again(proxy);
}

}  // namespace
}  // namespace sluice::testing
