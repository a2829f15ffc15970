// Agent: the process of one node, whole: Supervisor, link to the coordinators, service for the components, health page.
// start() returns when it runs; stop() ends the components and then the agent. The destructor ends the agent at once
// and leaves the components to their leases, as a crash would. Its actors are put together in agent_actor.cpp.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agents/supervisor/launcher.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"

namespace sluice::agents {

struct AgentOptions {
  std::string data_dir;
  std::vector<std::string> coordinators;  // "host:port" or "unix:/path"
  Secret token;
  std::string node_id;  // empty: the one kept in the data directory, made on first use
  std::string region, zone;
  std::map<std::string, std::string> labels;
  std::string listen = "127.0.0.1:8091";  // health page; empty: none
  // Where Stores serve: a host, or "unix:DIR" for sockets in DIR, or "unix" for sockets beside the agent's own. Empty:
  // the host of `listen`.
  std::string store_listen;
  std::chrono::milliseconds heartbeat{1000};
  std::chrono::milliseconds stop_patience{20'000};
  std::shared_ptr<Launcher> launcher;  // empty: processes of this executable
};

class Agent {
 public:
  static Result<std::unique_ptr<Agent>> start(AgentOptions options);
  ~Agent();
  Agent(const Agent&) = delete;

  void stop();
  const std::string& node_id() const;
  int http_port() const;          // 0: no health page
  std::string not_ready() const;  // empty while a coordinator grants leases

 private:
  class Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::agents
