// What the log does not tell of tables, and what is put off until the rows are there: counters, sequences, indexes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/cluster_run.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;

// A switch-over to the target must not hand out a number that the source has used.
TEST(Counters, AreCarriedAfterTheLastChange) {
  MariaDbServer source{{.server_id = 1}}, target{{.server_id = 2}};
  source.sql(
      "CREATE DATABASE app; CREATE SEQUENCE app.numbers; CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v "
      "INT); "
      "CREATE TABLE app.s (id BIGINT PRIMARY KEY DEFAULT (NEXT VALUE FOR app.numbers), v INT); "
      "INSERT INTO app.t (v) VALUES (1); INSERT INTO app.s (v) VALUES (1)");
  MigrateRun run{source, target};
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) FROM app.t", "1")) << run.logs();
  source.sql("INSERT INTO app.t (v) VALUES (2)");
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) FROM app.t", "2")) << run.logs();
  // Used up and never seen in the log; a sequence that is newer than the copy.
  source.sql("START TRANSACTION; INSERT INTO app.t VALUES (5000, 0); ROLLBACK; CREATE SEQUENCE app.late START WITH 7");
  source.sql("INSERT INTO app.s (v) SELECT seq FROM app.seq_1_to_3000; SELECT NEXT VALUE FOR app.late");
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) FROM app.s", "3001")) << run.logs();
  run.interrupt();
  ASSERT_EQ(run.wait(minutes(2)), 0) << run.output() << run.logs();
  EXPECT_EQ(run.report_value("status"), "VERIFIED");
  for (auto* server : {&source, &target}) {
    server->sql("INSERT INTO app.t (v) VALUES (9); INSERT INTO app.s (v) VALUES (9)");
    EXPECT_GE(std::stoi(server->query_value("SELECT MAX(id) FROM app.t")), 5001);
    EXPECT_GE(std::stoi(server->query_value("SELECT MAX(id) FROM app.s")), 3002);
    EXPECT_GE(std::stoi(server->query_value("SELECT NEXT VALUE FOR app.late")), 8);
  }
}

TEST(Counters, DeferredIndexesComeAfterTheRows) {
  MariaDbServer source{{.server_id = 1}}, target{{.server_id = 2}};
  Workload workload(source, {.writers = 1});
  workload.create();
  source.sql(
      "CREATE TABLE app.indexed (id INT PRIMARY KEY, a INT, b VARCHAR(20), UNIQUE KEY ua (a), KEY kb (b), KEY kab (a, "
      "b)); "
      "INSERT INTO app.indexed SELECT seq, seq, seq FROM app.seq_1_to_1000");
  ClusterRun cluster{source, target};
  cluster.create_and_start("structTransferConfig:\n  deferIndexCreation: true\n");
  workload.start();
  const std::string shown = source.query("SHOW CREATE TABLE app.indexed")[0][1].value();
  EXPECT_TRUE(
      target.becomes("SELECT COUNT(DISTINCT INDEX_NAME) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'app' "
                     "AND TABLE_NAME = 'indexed'",
                     "4"))
      << cluster.logs();
  workload.stop();
  cluster.finish();
  EXPECT_EQ(target.query("SHOW CREATE TABLE app.indexed")[0][1].value(), shown);
  EXPECT_EQ(cluster.value("verification"), "EQUAL");
  bool listed = false;
  const auto described = cluster.describe();
  for (const auto& step : described["steps"]) {
    if (step.value("name", "") != "INDEX_TRANSFER") continue;
    listed = true;
    EXPECT_EQ(step.value("status", ""), "FINISHED");
  }
  EXPECT_TRUE(listed) << described.dump(1);
}

}  // namespace
}  // namespace sluice::testing
