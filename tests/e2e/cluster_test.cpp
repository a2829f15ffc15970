// A coordinator and two equal agents started by hand, led with the client commands: the work is spread, and moves when
// an agent is killed or its whole node frozen.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using Json = nlohmann::json;

class Cluster : public ::testing::Test {
 protected:
  void SetUp() override {
    workload = std::make_unique<Workload>(source, load());
    workload->create();
    grpc = "127.0.0.1:" + std::to_string(free_port());
    http = "127.0.0.1:" + std::to_string(free_port());
    coordinator =
        start({"coordinator", "--data-dir", folder.file("coordinator"), "--grpc", grpc, "--http", http}, "coordinator");
    ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(token()); }, seconds(20))) << log("coordinator");
    for (const char* name : {"a", "b"}) {
      agent_http[name] = free_port();
      start_agent(name);
    }
    ASSERT_TRUE(wait_until([&] { return nodes_online() == 2; }, seconds(20))) << log("coordinator") << log("agent-a");
  }
  void TearDown() override {
    for (auto& [name, agent] : agents) agent.kill9();
    for (const pid_t pid : components("")) ::kill(pid, SIGKILL);
  }

  ChildProcess start(std::vector<std::string> args, const std::string& name) {
    ProcessOptions options;
    options.program = std::getenv("SLUICE_BIN");
    options.args = std::move(args);
    options.stdout_file = options.stderr_file = folder.file(name + ".out");
    return ChildProcess::start(options);
  }
  void start_agent(const std::string& name) {
    agents[name] = start({"agent", "--data-dir", folder.file("agent-" + name), "--coordinator", grpc, "--node-id", name,
                          "--token-file", token(), "--listen", "127.0.0.1:" + std::to_string(agent_http[name])},
                         "agent-" + name);
  }
  std::string token() const { return folder.file("coordinator/admin.token"); }
  std::string log(const std::string& name) const { return read_text_file(folder.file(name + ".out")); }

  int client(std::vector<std::string> args, std::string* output = nullptr) {
    args.insert(args.end(), {"--coordinator", grpc, "--token-file", token()});
    std::string ignored;
    return run_program(std::getenv("SLUICE_BIN"), args, output ? output : &ignored);
  }
  Json client_json(std::vector<std::string> args) {
    args.insert(args.end(), {"-o", "json"});
    std::string output;
    client(args, &output);
    return Json::parse(output, nullptr, false);
  }
  int nodes_online() {
    const Json nodes = client_json({"node", "list"});
    int online = 0;
    if (!nodes.is_discarded())
      for (const auto& node : nodes.contains("data") ? nodes["data"] : nodes)
        if (node.is_object() && node.value("status", "") == "ONLINE") ++online;
    return online;
  }
  std::vector<pid_t> components(const std::string& words) const {
    std::vector<pid_t> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::string line = read_text_file(entry.path() / "cmdline");
      for (char& c : line)
        if (c == '\0') c = ' ';
      const auto cwd = std::filesystem::read_symlink(entry.path() / "cwd", error);
      std::string fds;
      for (const auto& fd : std::filesystem::directory_iterator(entry.path() / "fd", error))
        fds += std::filesystem::read_symlink(fd.path(), error).string() + "\n";
      if (line.find("component " + words) != std::string::npos && fds.find(folder.path().string()) != std::string::npos)
        found.push_back(std::stoi(name));
    }
    return found;
  }
  Json describe() { return client_json({"project", "describe", "shop"}); }
  std::set<std::string> nodes_in_use() {
    std::set<std::string> nodes;
    const Json project = describe();
    if (project.is_discarded() || !project.contains("components")) return nodes;
    for (const auto& component : project["components"])
      if (component.value("state", "") == "RUNNING") nodes.insert(component.value("node", ""));
    return nodes;
  }
  std::string node_of(const std::string& kind) {
    const Json project = describe();
    if (project.is_discarded() || !project.contains("components")) return "";
    for (const auto& component : project["components"])
      if (component.value("kind", "") == kind && component.value("state", "") == "RUNNING")
        return component.value("node", "");
    return "";
  }
  // `settings`: more lines of project.yaml.
  void create_and_start(const std::string& settings = {}) {
    ASSERT_EQ(client({"datasource", "create", "old", source.url()}), 0);
    ASSERT_EQ(client({"datasource", "create", "new", target.url()}), 0);
    std::ofstream(folder.file("project.yaml"))
        << "name: shop\ntype: MIGRATION\nsourceEndpointId: old\nsinkEndpointId: new\n"
           "enableStructTransfer: true\nenableFullTransfer: true\nenableIncrTransfer: true\nenableFullVerify: true\n"
           "transferMapping:\n  mode: WILDCARD\n  tableAndViewWhiteList: [\"app.*\"]\n"
        << settings;
    std::string output;
    ASSERT_EQ(client({"project", "create", "-f", folder.file("project.yaml")}, &output), 0) << output;
    ASSERT_EQ(client({"project", "start", "shop"}, &output), 0) << output;
  }
  void expect_following(int id) {
    source.sql("INSERT INTO app.bank VALUES (" + std::to_string(id) + ", 7)");
    ASSERT_TRUE(wait_until(
        [&] {
          try {
            return target.query_value("SELECT COUNT(*) FROM app.bank WHERE id = " + std::to_string(id)) == "1";
          } catch (const std::exception&) {
            return false;
          }
        },
        minutes(2)))
        << describe().dump(1) << log("coordinator") << log("agent-a") << log("agent-b");
  }
  void finish_and_compare() {
    workload->stop();
    std::string output;
    ASSERT_EQ(client({"project", "finish", "shop"}, &output), 0) << output;
    ASSERT_TRUE(wait_until([&] { return describe().value("status", "") == "FINISHED"; }, minutes(3)))
        << describe().dump(1);
    std::string text;
    for (const std::string& line : compare_databases(source, target, {"app"})) text += line + "\n";
    EXPECT_EQ(text, "");
    EXPECT_EQ(describe().value("verification", ""), "EQUAL");
  }

  TempDir folder{"sluice-cluster"};
  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  virtual WorkloadOptions load() const { return {.writers = 2}; }
  std::unique_ptr<Workload> workload;
  std::string grpc, http;
  ChildProcess coordinator;
  std::map<std::string, ChildProcess> agents;
  std::map<std::string, uint16_t> agent_http;
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

TEST_F(Cluster, TwoAgentsShareTheWorkAndOneIsKilled) {
  workload->start();
  create_and_start();
  expect_following(1000);
  EXPECT_TRUE(wait_until([&] { return nodes_in_use().size() == 2; }, seconds(30))) << describe().dump(1);
  std::string lost;
  ASSERT_TRUE(wait_until([&] { return !(lost = node_of("incr_sync")).empty(); }, minutes(1))) << describe().dump(1);
  agents[lost].kill9();
  // Promised within 20 s; asserted at three times that.
  ASSERT_TRUE(wait_until(
      [&] {
        const std::string now = node_of("incr_sync");
        return !now.empty() && now != lost;
      },
      seconds(60)))
      << describe().dump(1) << log("coordinator");
  expect_following(1001);
  start_agent(lost);
  finish_and_compare();
}

TEST_F(Cluster, AFrozenNodeLosesItsComponents) {
  workload->start();
  create_and_start();
  expect_following(1000);
  std::string frozen;
  ASSERT_TRUE(wait_until([&] { return !(frozen = node_of("incr_sync")).empty(); }, minutes(1))) << describe().dump(1);
  const auto all = components("");
  agents[frozen].signal(SIGSTOP);
  std::vector<pid_t> stopped;
  for (const pid_t pid : all) {
    const std::string environment = read_text_file("/proc/" + std::to_string(pid) + "/status");
    if (environment.find("PPid:\t" + std::to_string(agents[frozen].pid())) != std::string::npos) {
      ::kill(pid, SIGSTOP);
      stopped.push_back(pid);
    }
  }
  EXPECT_FALSE(stopped.empty());
  ASSERT_TRUE(wait_until(
      [&] {
        const std::string now = node_of("incr_sync");
        return !now.empty() && now != frozen;
      },
      seconds(60)))
      << describe().dump(1);
  expect_following(1001);
  agents[frozen].signal(SIGCONT);
  for (const pid_t pid : stopped) ::kill(pid, SIGCONT);
  expect_following(1002);
  finish_and_compare();
}

TEST_F(Cluster, StopResumeReleaseDelete) {
  create_and_start();
  expect_following(1000);
  std::string output;
  EXPECT_EQ(client({"project", "stop", "shop"}, &output), 0) << output;
  ASSERT_TRUE(
      wait_until([&] { return describe().value("status", "") == "SUSPEND" && components("").empty(); }, minutes(1)))
      << describe().dump(1);
  source.sql("INSERT INTO app.bank VALUES (1001, 7)");
  EXPECT_EQ(client({"project", "resume", "shop"}, &output), 0) << output;
  expect_following(1002);
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM app.bank WHERE id = 1001"), "1");
  EXPECT_EQ(client({"project", "steps", "shop"}, &output), 0) << output;
  EXPECT_NE(output.find("FULL_TRANSFER"), std::string::npos);
  EXPECT_EQ(client({"project", "list"}, &output), 0);
  EXPECT_NE(output.find("shop"), std::string::npos);
  EXPECT_EQ(output.find(MariaDbServer::kPassword), std::string::npos);
  EXPECT_EQ(client({"project", "release", "shop"}, &output), 0) << output;
  ASSERT_TRUE(wait_until([&] { return components("").empty(); }, minutes(1)));
  ASSERT_TRUE(wait_until([&] { return client({"project", "delete", "shop"}) == 0; }, minutes(1)));
  EXPECT_NE(client({"project", "describe", "nosuch"}), 0);
}

TEST_F(Cluster, MetricsAndHealthOverHttp) {
  create_and_start();
  expect_following(1000);
  const std::string id = describe().value("id", "");
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
  expect_page(http, {"sluice_coordinator_nodes_online 2", "sluice_project_lag_seconds{project=\"" + id + "\"}",
                     "sluice_project_running{project=\"" + id + "\"} 1", "# TYPE "});
  for (const auto& [name, port] : agent_http)
    expect_page("127.0.0.1:" + std::to_string(port), {"sluice_agent_lease_seconds", "sluice_agent_components_running"});
  // An agent whose coordinator is gone and whose lease is over lives, but is not ready.
  coordinator.kill9();
  EXPECT_TRUE(wait_until(
      [&] {
        return http_get("127.0.0.1:" + std::to_string(agent_http["a"]), "/readyz").substr(0, 12) == "HTTP/1.0 503" ||
               http_get("127.0.0.1:" + std::to_string(agent_http["a"]), "/readyz").substr(0, 12) == "HTTP/1.1 503";
      },
      seconds(45)));
  EXPECT_EQ(http_get("127.0.0.1:" + std::to_string(agent_http["a"]), "/healthz").substr(9, 3), "200");
}

class Appliers : public Cluster, public ::testing::WithParamInterface<int> {
 protected:
  WorkloadOptions load() const override { return {.writers = 4, .ddl = true, .rotate = true, .large = true}; }
};

TEST_P(Appliers, LoadOfAllKindsEndsEqual) {
  workload->start();
  create_and_start("incrTransferConfig:\n  incrSyncConcurrency: " + std::to_string(GetParam()) + "\n");
  expect_following(1000);
  ASSERT_TRUE(
      wait_until([&] { return workload->transactions() > 2000 && workload->statements_ddl() > 40; }, minutes(3)));
  // As many sessions as asked for hold a checkpoint row, and nothing else does.
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM sluice.checkpoint WHERE applier < 1000"),
            std::to_string(GetParam()));
  expect_following(1001);
  finish_and_compare();
  EXPECT_GT(source.query("SHOW BINARY LOGS").size(), 1U) << "the binlog was never rotated";
}

INSTANTIATE_TEST_SUITE_P(OneAndSixteen, Appliers, ::testing::Values(1, 16));

}  // namespace
}  // namespace sluice::testing
