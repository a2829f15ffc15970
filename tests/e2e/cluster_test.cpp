// A coordinator and two agents started by hand, led with the client commands; what they tell over HTTP; load of all
// kinds. What happens when a node is lost: tests/drills.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/cluster_run.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class Cluster : public ::testing::Test {
 protected:
  explicit Cluster(const WorkloadOptions& load = {.writers = 2}) : workload(source, load) {}
  void SetUp() override { workload.create(); }
  void expect_following() {
    const std::string id = std::to_string(next_id++);
    source.sql("INSERT INTO app.bank VALUES (" + id + ", 7)");
    ASSERT_TRUE(target.becomes("SELECT balance FROM app.bank WHERE id = " + id, "7")) << cluster.logs();
  }

  // What the agents keep of components on their disks.
  size_t folders() const {
    size_t count = 0;
    for (const char* name : {"a", "b"})
      for ([[maybe_unused]] const auto& entry :
           std::filesystem::directory_iterator(cluster.folder() + "/agent-" + name + "/components"))
        ++count;
    return count;
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  Workload workload;
  ClusterRun cluster{source, target};
  int next_id = 1000;
};

// Status and body of a GET without any library.
std::string http_get(const std::string& address, const std::string& path) {
  const size_t colon = address.find(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string answer;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
    if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      char buffer[4096];
      for (ssize_t count; (count = recv(fd, buffer, sizeof buffer, 0)) > 0;)
        answer.append(buffer, static_cast<size_t>(count));
    }
  }
  close(fd);
  return answer;
}

TEST_F(Cluster, StopResumeReleaseDelete) {
  cluster.create_and_start();
  expect_following();
  std::string output;
  EXPECT_EQ(cluster.client({"project", "stop", "shop"}, &output), 0) << output;
  ASSERT_TRUE(
      wait_until([&] { return cluster.value("status") == "SUSPEND" && cluster.components().empty(); }, minutes(1)))
      << cluster.logs();
  source.sql("INSERT INTO app.bank VALUES (5000, 7)");
  EXPECT_EQ(cluster.client({"project", "resume", "shop"}, &output), 0) << output;
  expect_following();
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM app.bank WHERE id = 5000"), "1");
  EXPECT_EQ(cluster.client({"project", "steps", "shop"}, &output), 0) << output;
  EXPECT_NE(output.find("FULL_TRANSFER"), std::string::npos);
  EXPECT_EQ(cluster.client({"project", "list"}, &output), 0);
  EXPECT_NE(output.find("shop"), std::string::npos);
  EXPECT_EQ(output.find(MariaDbServer::kPassword), std::string::npos);
  EXPECT_EQ(cluster.client({"project", "release", "shop"}, &output), 0) << output;
  ASSERT_TRUE(wait_until([&] { return cluster.components().empty(); }, minutes(1)));
  ASSERT_TRUE(wait_until([&] { return cluster.client({"project", "delete", "shop"}) == 0; }, minutes(1)));
  EXPECT_TRUE(wait_until([&] { return folders() == 0; }, minutes(1))) << cluster.logs();
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'sluice'"), "0")
      << "it was the only project";
  EXPECT_EQ(http_get(cluster.http(), "/metrics").find("sluice_project_running{"), std::string::npos);
  EXPECT_NE(cluster.client({"project", "describe", "nosuch"}), 0);
}

TEST_F(Cluster, MetricsAndHealthOverHttp) {
  cluster.create_and_start();
  expect_following();
  const std::string id = cluster.value("id");
  const auto expect_page = [](const std::string& address, const std::vector<std::string>& metrics) {
    for (const char* path : {"/healthz", "/readyz"})
      EXPECT_EQ(http_get(address, path).substr(9, 3), "200") << address << path;
    const std::string page = http_get(address, "/metrics");
    EXPECT_EQ(page.substr(9, 3), "200");
    EXPECT_NE(page.find("text/plain"), std::string::npos) << "not Prometheus' content type";
    for (const std::string& line : metrics)
      EXPECT_NE(page.find(line), std::string::npos) << line << " not in\n" << page;
    EXPECT_EQ(page.find(MariaDbServer::kPassword), std::string::npos);
    EXPECT_EQ(http_get(address, "/nothing-here").substr(9, 3), "404");
  };
  expect_page(cluster.http(),
              {"sluice_coordinator_nodes_online 2", "sluice_project_lag_seconds{project=\"" + id + "\"}",
               "sluice_project_running{project=\"" + id + "\"} 1", "# TYPE "});
  for (const char* name : {"a", "b"})
    expect_page(cluster.agent_http(name), {"sluice_agent_lease_seconds", "sluice_agent_components_running"});
  for (const std::string metric :
       {"sluice_component_resident_bytes", "sluice_component_restarts_total", "sluice_store_log_bytes",
        "sluice_store_log_blocks", "sluice_store_retained_seconds", "sluice_store_reader_credit_bytes",
        "sluice_incr_sync_queue_bytes", "sluice_incr_sync_groups"}) {
    const std::string line = metric + "{project=\"" + id + "\",component=\"" + id + ".";
    const auto shown = [&](const char* agent) {
      return http_get(cluster.agent_http(agent), "/metrics").find(line) != std::string::npos;
    };
    EXPECT_TRUE(wait_until([&] { return shown("a") || shown("b"); }, seconds(20))) << metric;
  }
  // An agent whose coordinator is gone and whose lease is over lives, but is not ready.
  cluster.coordinator().kill9();
  EXPECT_TRUE(wait_until(
      [&] {
        return http_get(cluster.agent_http("a"), "/readyz").substr(0, 12) == "HTTP/1.0 503" ||
               http_get(cluster.agent_http("a"), "/readyz").substr(0, 12) == "HTTP/1.1 503";
      },
      seconds(45)));
  EXPECT_EQ(http_get(cluster.agent_http("a"), "/healthz").substr(9, 3), "200");
}

class Appliers : public Cluster, public ::testing::WithParamInterface<int> {
 protected:
  Appliers() : Cluster({.writers = 4, .ddl = true, .rotate = true, .large = true}) {}
};

TEST_P(Appliers, LoadOfAllKindsEndsEqual) {
  workload.start();
  cluster.create_and_start("incrTransferConfig:\n  incrSyncConcurrency: " + std::to_string(GetParam()) + "\n");
  expect_following();
  ASSERT_TRUE(wait_until([&] { return workload.transactions() > 2000 && workload.statements_ddl() > 40; }, minutes(3)));
  // As many sessions as asked for hold a checkpoint row, and nothing else does.
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM sluice.checkpoint WHERE applier < 1000"),
            std::to_string(GetParam()));
  expect_following();
  workload.stop();
  cluster.finish();
  EXPECT_EQ(differences(source, target, {"app"}), "");
  EXPECT_EQ(cluster.value("verification"), "EQUAL");
  EXPECT_GT(source.query("SHOW BINARY LOGS").size(), 1U) << "the binlog was never rotated";
}

INSTANTIATE_TEST_SUITE_P(OneAndSixteen, Appliers, ::testing::Values(1, 16));

// startTimestamp: what was committed before it is left alone, a definition that changed before it included.
TEST_F(Cluster, AnIncrementalProjectBeginsAtItsStartTime) {
  source.sql("CREATE DATABASE timed; CREATE TABLE timed.t (id INT PRIMARY KEY)");
  source.sql(
      "INSERT INTO timed.t VALUES (1); ALTER TABLE timed.t ADD COLUMN early INT; INSERT INTO timed.t VALUES (2, 2)");
  target.sql("CREATE DATABASE timed; CREATE TABLE timed.t (id INT PRIMARY KEY, early INT)");
  const std::string earlier = source.query_value("SELECT UNIX_TIMESTAMP()");
  std::string start = earlier;
  ASSERT_TRUE(wait_until([&] { return (start = source.query_value("SELECT UNIX_TIMESTAMP()")) != earlier; }));
  source.sql("INSERT INTO timed.t VALUES (3, 3); ALTER TABLE timed.t ADD COLUMN late INT");
  ASSERT_EQ(cluster.client({"datasource", "create", "old", source.url()}), 0);
  ASSERT_EQ(cluster.client({"datasource", "create", "new", target.url()}), 0);
  const std::string file = cluster.folder() + "/timed.yaml";
  std::ofstream(file)
      << "name: shop\ntype: MIGRATION\nsourceEndpointId: old\nsinkEndpointId: new\nenableIncrTransfer: true\n"
         "incrTransferConfig:\n  startTimestamp: \""
      << start
      << "\"\n"
         "transferMapping:\n  mode: WILDCARD\n  tableAndViewWhiteList: [\"timed.*\"]\n";
  std::string output;
  ASSERT_EQ(cluster.client({"project", "create", "-f", file}, &output), 0) << output;
  ASSERT_EQ(cluster.client({"project", "start", "shop"}, &output), 0) << output;
  source.sql("INSERT INTO timed.t VALUES (4, 4, 4)");
  const auto ids = [&] { return target.query_value("SELECT COALESCE(GROUP_CONCAT(id ORDER BY id), '') FROM timed.t"); };
  EXPECT_TRUE(wait_until([&] { return ids() == "3,4"; }, minutes(2))) << ids() << cluster.describe().dump(1);
  ASSERT_EQ(cluster.client({"project", "finish", "shop"}, &output), 0) << output;
  EXPECT_TRUE(wait_until([&] { return cluster.describe().value("status", "") == "FINISHED"; }, minutes(2)))
      << cluster.describe().dump(1);
  EXPECT_EQ(ids(), "3,4");
}

}  // namespace
}  // namespace sluice::testing
