#include "cli/agent_command.hpp"

#include "agents/supervisor/agent.hpp"
#include "cli/args.hpp"
#include "cli/server_command.hpp"

namespace sluice::cli {
namespace {

constexpr ServerFlag kFlags[] = {
    {"data-dir", "DIR", "Directory of this node: its id, logs, Stores (required; made when missing)"},
    {"coordinator", "ADDR[,ADDR]", "Coordinators, HOST:PORT or unix:PATH (required)"},
    {"token-file", "FILE", "The cluster's token: admin.token of the coordinator's data directory (required)"},
    {"listen", "HOST:PORT", "Health and metrics (default 127.0.0.1:8091); loopback only"},
    {"store-listen", "HOST",
     "Host on which Stores serve (default: that of --listen), or 'unix': on sockets only, without a health page "
     "unless --listen is given"},
    {"region", "NAME", "Region of this node, for placement"},
    {"zone", "NAME", "Zone of this node: among equal nodes the components of a project go to different zones"},
    {"label", "KEY=VALUE", "Label of this node; shown by sluice node list -o json; may be repeated", true},
    {"node-id", "ID", "Id of this node (default: made once, kept in the data directory)"},
    {"log-file", "FILE", "Log file (default: agent.log in the data directory)"},
    {"heartbeat-ms", "N", "Milliseconds between heartbeats (default 1000)"},
    {"stop-timeout-s", "N", "Seconds that components have to stop when this agent ends (default 20)"},
};

constexpr char kExample[] =
    "Example\n"
    "  sluice agent --data-dir /var/lib/sluice/a1 --coordinator 127.0.0.1:8090 \\\n"
    "      --token-file /var/lib/sluice/c/admin.token\n";

Result<agents::AgentOptions> options_of(const Config& config) {
  agents::AgentOptions options;
  SLUICE_ASSIGN(options.data_dir, required(config, "data-dir"));
  SLUICE_TRY(required(config, "coordinator"));
  options.coordinators = config.list("coordinator");
  options.store_listen = config.text("store-listen");
  options.listen = config.text("listen", options.store_listen.starts_with("unix") ? "" : options.listen);
  options.region = config.text("region");
  options.zone = config.text("zone");
  options.node_id = config.text("node-id");
  for (const std::string& label : config.list("label")) {
    const size_t equals = label.find('=');
    if (equals == 0 || equals == std::string::npos)
      return Error(ErrorCode::INVALID_ARGUMENT, "a label is KEY=VALUE", label);
    options.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  SLUICE_ASSIGN(const std::string token_file, required(config, "token-file"));
  SLUICE_ASSIGN(options.token, wait_for_token(token_file, std::chrono::seconds(30)));
  SLUICE_ASSIGN(const int64_t heartbeat, config.integer("heartbeat-ms", 1000, 10, 60'000));
  SLUICE_ASSIGN(const int64_t stop_timeout, config.integer("stop-timeout-s", 20, 0, 3600));
  options.heartbeat = std::chrono::milliseconds(heartbeat);
  options.stop_patience = std::chrono::seconds(stop_timeout);
  return options;
}

Result<Server> prepare(const Config& config) {
  SLUICE_ASSIGN(agents::AgentOptions options, options_of(config));
  const std::string data_dir = options.data_dir;
  return Server{data_dir, [options = std::move(options)]() -> Result<std::function<void()>> {
                  SLUICE_ASSIGN(std::shared_ptr<agents::Agent> agent, agents::Agent::start(options));
                  return std::function([agent] { agent->stop(); });
                }};
}

}  // namespace

int run_agent(int argc, char** argv) {
  return run_server(
      {"agent", "Runs the agent of one node: starts and watches the components that the coordinator assigns.", kExample,
       kFlags},
      argc, argv, prepare);
}

}  // namespace sluice::cli
