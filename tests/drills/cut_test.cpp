// Connections to the databases are cut, during the copy and while it follows: they come back by themselves, nothing is
// lost and nothing doubled; what lasts is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

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
  // Then for longer: `component` waits.
  void cut_again_and_again(TcpProxy& proxy, const std::string& component) {
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
    if (HasFatalFailure()) return;
    expect_outage_is_told(proxy, component);
    if (HasFatalFailure()) return;
    expect_following();
    workload.stop();
    run.interrupt();
    EXPECT_EQ(run.wait(minutes(4)), 0) << run.logs();
    EXPECT_EQ(run.report_value("status"), "VERIFIED") << run.report();
    EXPECT_EQ(differences(source, target, {"app"}), "") << run.logs();
  }

  // Cut for longer than a moment: who follows is told what is waited for, on which server and what may be done, and
  // when it is over.
  void expect_outage_is_told(TcpProxy& proxy, const std::string& component) {
    const auto words = [&](const std::string& state) {
      return "\"component\":\"" + component + "\",\"state\":\"" + state + "\"";
    };
    const auto waits = [&] {  // an earlier cut is still being told of
      const size_t began = run.output().rfind(words("WAITING")), ended = run.output().rfind(words("RUNNING"));
      return began != std::string::npos && (ended == std::string::npos || ended < began);
    };
    ASSERT_TRUE(wait_until([&] { return !waits(); }, minutes(1))) << run.logs();
    const size_t from = run.output().size();
    const auto told = [&](const std::string& state) { return first_line(from, words(state)); };
    proxy.refuse(true);
    proxy.cut_all();
    ASSERT_TRUE(wait_until([&] { return !told("WAITING").empty(); }, minutes(1))) << run.logs();
    proxy.refuse(false);
    const auto error = nlohmann::json::parse(told("WAITING"));
    EXPECT_THAT(error.value("code", ""), ::testing::AnyOf("CONNECTION_LOST", "CONNECT_FAILED")) << error;
    EXPECT_EQ(error.value("object", ""), "mysql://sluice@127.0.0.1:" + std::to_string(proxy.port())) << error;
    EXPECT_THAT(error.value("action", ""), ::testing::ContainsRegex("[Cc]heck")) << error;
    EXPECT_NE(error.value("cause", ""), "") << error;
    ASSERT_TRUE(wait_until([&] { return !told("RUNNING").empty(); }, minutes(1))) << run.logs();
  }
  // Of what the command has written since `from`: the first whole line that holds `words`.
  std::string first_line(size_t from, const std::string& words) {
    const std::string output = run.output();
    const size_t at = output.find(words, from), end = output.find('\n', at);
    if (at == std::string::npos || end == std::string::npos) return "";
    const size_t begin = output.rfind('\n', at) + 1;
    return output.substr(begin, end - begin);
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
  cut_again_and_again(proxy, "incr_sync");
}

TEST_F(Cut, ToTheSource) {
  TcpProxy proxy(source.port());
  run.set_source_port(proxy.port());
  cut_again_and_again(proxy, "store");
}

}  // namespace
}  // namespace sluice::testing
