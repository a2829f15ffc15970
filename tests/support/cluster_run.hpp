// ClusterRun: a coordinator and agents started by hand, led with the client commands. Owned and used by one thread; its
// destructor ends every process. The executable is $SLUICE_BIN (ctest sets it).
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/support/mariadb.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

namespace sluice::testing {

class ClusterRun {
 public:
  // Starts them and returns when every agent is ONLINE. Throws std::runtime_error.
  ClusterRun(MariaDbServer& source, MariaDbServer& target, const std::vector<std::string>& agents = {"a", "b"});
  ~ClusterRun();

  ChildProcess& coordinator() { return coordinator_; }
  ChildProcess& agent(const std::string& name) { return agents_.at(name); }
  void start_agent(const std::string& name);  // the first time, and again after its end
  // SIGSTOP: the agent `name` and all its components; returns them. wake() is its reverse.
  std::vector<pid_t> freeze_node(const std::string& name);
  static void wake(const std::vector<pid_t>& processes);

  // A client command: exit status, what it printed.
  int client(std::vector<std::string> args, std::string* output = nullptr);
  nlohmann::json client_json(std::vector<std::string> args);  // with -o json

  // Data sources `old` and `new`, and the started project `shop`: full migration of app.*, going on. `settings`: more
  // lines of project.yaml. Throws.
  void create_and_start(const std::string& settings = {});
  // Project `shop` is told to finish and does; throws.
  void finish();

  nlohmann::json describe();                  // of `shop`
  std::string value(const std::string& key);  // of describe(), as text
  std::set<std::string> nodes_in_use();       // nodes that run one of its components
  // Where a component of this kind runs; empty: nowhere.
  std::string node_of(const std::string& kind);
  // Waits until one runs, on another node than `not_on`, and returns that; empty after `patience`.
  std::string wait_for(const std::string& kind, const std::string& not_on, std::chrono::milliseconds patience);
  // Live component processes of a node, or of all; `kind` empty: of any kind.
  std::vector<pid_t> components(const std::string& kind = {}, const std::string& node = {}) const;

  std::string grpc() const { return grpc_; }
  std::string http() const { return http_; }
  std::string agent_http(const std::string& name) const { return "127.0.0.1:" + std::to_string(ports_.at(name)); }
  std::string folder() const { return folder_.path().string(); }
  std::string token_file() const { return folder_.file("coordinator/admin.token"); }
  std::string logs();  // what the project and all processes say, for failure messages

 private:
  ChildProcess start(const std::string& name, std::vector<std::string> args);
  int nodes_online();

  MariaDbServer& source_;
  MariaDbServer& target_;
  TempDir folder_{"sluice-cluster"};
  std::string grpc_, http_;
  ChildProcess coordinator_;
  std::map<std::string, ChildProcess> agents_;
  std::map<std::string, uint16_t> ports_;
};

}  // namespace sluice::testing
