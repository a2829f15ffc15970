#include "tests/support/cluster_run.hpp"

#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/support/wait.hpp"

namespace sluice::testing {

using Json = nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;

ClusterRun::ClusterRun(MariaDbServer& source, MariaDbServer& target, const std::vector<std::string>& agents)
    : source_(source),
      target_(target),
      grpc_("127.0.0.1:" + std::to_string(free_port())),
      http_("127.0.0.1:" + std::to_string(free_port())) {
  coordinator_ = start("coordinator", {"--grpc", grpc_, "--http", http_});
  if (!wait_until([&] { return std::filesystem::exists(token_file()); }, minutes(1)))
    throw std::runtime_error("the coordinator made no token: " + logs());
  for (const std::string& name : agents) start_agent(name);
  if (!wait_until([&] { return nodes_online() == static_cast<int>(agents.size()); }, minutes(1)))
    throw std::runtime_error("not every agent is online: " + logs());
}

ClusterRun::~ClusterRun() {
  coordinator_.kill9();
  for (auto& [name, agent] : agents_) agent.kill9();
  for (int round = 0; round < 100 && !components().empty(); ++round) {
    for (const pid_t pid : components()) send_signal(pid, SIGKILL);
    wait_until([this] { return components().empty(); }, std::chrono::milliseconds(50));
  }
}

// Each process has a working directory of its own, which its components inherit: so they are found.
ChildProcess ClusterRun::start(const std::string& name, std::vector<std::string> args) {
  const char* program = std::getenv("SLUICE_BIN");
  if (program == nullptr) throw std::runtime_error("SLUICE_BIN is not set: run the test by ctest");
  const std::string data = folder_.file(name);
  std::filesystem::create_directories(folder_.file("cwd/" + name));
  args.insert(args.begin(), {name == "coordinator" ? "coordinator" : "agent", "--data-dir", data});
  const std::string output = folder_.file(name + ".out");
  return ChildProcess::start({.program = program,
                              .args = args,
                              .cwd = folder_.file("cwd/" + name),
                              .stdout_file = output,
                              .stderr_file = output});
}

void ClusterRun::start_agent(const std::string& name) {
  if (ports_.count(name) == 0) ports_[name] = free_port();
  agents_[name] = start("agent-" + name, {"--coordinator", grpc_, "--node-id", name, "--token-file", token_file(),
                                          "--listen", agent_http(name)});
}

std::vector<pid_t> ClusterRun::freeze_node(const std::string& name) {
  // The agent first: it must not see its components stop.
  std::vector<pid_t> stopped{agent(name).pid()};
  send_signal(stopped.front(), SIGSTOP);
  for (const pid_t pid : components("", name)) {
    send_signal(pid, SIGSTOP);
    stopped.push_back(pid);
  }
  return stopped;
}

void ClusterRun::wake(const std::vector<pid_t>& processes) {
  for (const pid_t pid : processes) send_signal(pid, SIGCONT);
}

int ClusterRun::client(std::vector<std::string> args, std::string* output) {
  args.insert(args.end(), {"--coordinator", grpc_, "--token-file", token_file()});
  std::string ignored;
  return run_program(std::getenv("SLUICE_BIN"), args, output ? output : &ignored);
}

Json ClusterRun::client_json(std::vector<std::string> args) {
  args.insert(args.end(), {"-o", "json"});
  std::string output;
  client(args, &output);
  Json answer = Json::parse(output, nullptr, false);
  return answer.is_discarded() ? Json::object() : answer;
}

int ClusterRun::nodes_online() {
  const Json nodes = client_json({"node", "list"});
  int online = 0;
  for (const auto& node : nodes.contains("data") ? nodes["data"] : nodes)
    if (node.is_object() && node.value("status", "") == "ONLINE") ++online;
  return online;
}

void ClusterRun::create_and_start(const std::string& settings) {
  const auto must = [&](const std::vector<std::string>& args) {
    std::string output;
    if (client(args, &output) != 0) throw std::runtime_error(args[0] + " " + args[1] + ": " + output + logs());
  };
  must({"datasource", "create", "old", source_.url()});
  must({"datasource", "create", "new", target_.url()});
  std::ofstream(folder_.file("project.yaml"))
      << "name: shop\ntype: MIGRATION\nsourceEndpointId: old\nsinkEndpointId: new\n"
         "enableStructTransfer: true\nenableFullTransfer: true\nenableIncrTransfer: true\nenableFullVerify: true\n"
         "transferMapping:\n  mode: WILDCARD\n  tableAndViewWhiteList: [\"app.*\"]\n"
      << settings;
  must({"project", "create", "-f", folder_.file("project.yaml")});
  must({"project", "start", "shop"});
}

void ClusterRun::finish() {
  std::string output;
  if (client({"project", "finish", "shop"}, &output) != 0) throw std::runtime_error("finish: " + output + logs());
  if (!wait_until([&] { return value("status") == "FINISHED"; }, minutes(3)))
    throw std::runtime_error("the project does not finish: " + logs());
}

Json ClusterRun::describe() { return client_json({"project", "describe", "shop"}); }

std::string ClusterRun::value(const std::string& key) {
  const Json project = describe();
  if (!project.contains(key)) return "";
  return project[key].is_string() ? project[key].get<std::string>() : project[key].dump();
}

std::set<std::string> ClusterRun::nodes_in_use() {
  std::set<std::string> nodes;
  const Json project = describe();
  if (!project.contains("components")) return nodes;
  for (const auto& component : project["components"])
    if (component.value("state", "") == "RUNNING") nodes.insert(component.value("node", ""));
  return nodes;
}

std::string ClusterRun::node_of(const std::string& kind) {
  const Json project = describe();
  if (!project.contains("components")) return "";
  for (const auto& component : project["components"])
    if (component.value("kind", "") == kind && component.value("state", "") == "RUNNING")
      return component.value("node", "");
  return "";
}

std::string ClusterRun::wait_for(const std::string& kind, const std::string& not_on,
                                 std::chrono::milliseconds patience) {
  std::string node;
  const auto there = [&] { return !(node = node_of(kind)).empty() && node != not_on; };
  return wait_until(there, patience, std::chrono::milliseconds(100)) ? node : "";
}

std::vector<pid_t> ClusterRun::components(const std::string& kind, const std::string& node) const {
  std::vector<pid_t> found;
  for (const pid_t pid : processes_in(folder_.file(node.empty() ? "cwd" : "cwd/agent-" + node)))
    if (command_line(pid).find("component " + kind) != std::string::npos) found.push_back(pid);
  return found;
}

std::string ClusterRun::logs() {
  std::string text = coordinator_.running() ? describe().dump(1) : "";
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path(), error)) {
    if (entry.path().extension() != ".out" && entry.path().filename() != "component.log") continue;
    const std::string all = read_text_file(entry.path());
    text += "\n---- " + entry.path().lexically_relative(folder_.path()).string() + "\n" +
            (all.size() > 4000 ? all.substr(all.size() - 4000) : all);
  }
  return text;
}

}  // namespace sluice::testing
