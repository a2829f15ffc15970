#include "cli/agent_command.hpp"

#include <CLI/CLI.hpp>
#include <map>
#include <thread>

#include "agents/supervisor/agent.hpp"
#include "cli/args.hpp"
#include "core/config.hpp"
#include "core/log.hpp"

namespace sluice::cli {
namespace {

const std::vector<std::string> kKeys = {"data-dir",   "coordinator", "listen",       "region",
                                        "zone",       "label",       "store-listen", "node-id",
                                        "token-file", "log-file",    "heartbeat-ms", "stop-timeout-s"};

struct Flag {
  const char* key;
  const char* help;
};
constexpr Flag kFlags[] = {
    {"data-dir", "Directory of this node: its id, logs, Stores (made when missing)"},
    {"coordinator", "Coordinators, HOST:PORT or unix:PATH, separated by commas"},
    {"listen", "HOST:PORT of health and metrics (default 127.0.0.1:8091)"},
    {"store-listen",
     "Host on which Stores serve (default: that of --listen), or 'unix': on sockets only, without a "
     "health page unless --listen is given"},
    {"region", "Region of this node, for placement"},
    {"zone", "Zone of this node, for placement"},
    {"label", "Label KEY=VALUE, for placement; may be repeated"},
    {"node-id", "Id of this node (default: made once, kept in the data directory)"},
    {"token-file", "File with the cluster's token (admin.token of the coordinator's data directory)"},
    {"log-file", "Log file (default: agent.log in the data directory)"},
    {"heartbeat-ms", "Interval of heartbeats (default 1000)"},
    {"stop-timeout-s", "Time that components have to stop when this agent ends (default 20)"},
};

// Flags into `config`; an exit status when the program is to end (help, usage error).
std::optional<int> parse(int argc, char** argv, Config& config) {
  CLI::App app{
      "Runs the agent of one node: starts and watches the components that the coordinator assigns.\n"
      "Every flag is also a key of the YAML file and, as SLUICE_..., of the environment.",
      "sluice agent"};
  std::map<std::string, std::vector<std::string>> values;
  std::string config_file;
  for (const Flag& flag : kFlags)
    app.add_option(std::string("--") + flag.key, values[flag.key], flag.help)->allow_extra_args(false);
  app.add_option("--config", config_file, "YAML file with these settings");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kExitDone : kExitUsage;
  }
  for (auto& [key, given] : values)
    if (!given.empty()) config.set_flag(key, given);
  if (config_file.empty()) return std::nullopt;
  const Status read = config.read_file(config_file);
  return read.ok() ? std::nullopt : std::optional(fail(read.error()));
}

// The coordinator makes the file when it first starts, which may be just now.
Result<Secret> wait_for_token(const std::string& file) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (;;) {
    auto token = read_token_file(file);
    if (token.ok() || std::chrono::steady_clock::now() >= deadline) return token;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Result<agents::AgentOptions> options_of(const Config& config) {
  agents::AgentOptions options;
  options.data_dir = config.text("data-dir");
  if (options.data_dir.empty()) return Error(ErrorCode::INVALID_ARGUMENT, "--data-dir is missing");
  options.coordinators = config.list("coordinator");
  if (options.coordinators.empty()) return Error(ErrorCode::INVALID_ARGUMENT, "--coordinator is missing");
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
  const std::string token_file = config.text("token-file");
  if (token_file.empty()) return Error(ErrorCode::INVALID_ARGUMENT, "--token-file is missing");
  SLUICE_ASSIGN(options.token, wait_for_token(token_file));
  SLUICE_ASSIGN(const int64_t heartbeat, config.integer("heartbeat-ms", 1000, 10, 60'000));
  SLUICE_ASSIGN(const int64_t stop_timeout, config.integer("stop-timeout-s", 20, 0, 3600));
  options.heartbeat = std::chrono::milliseconds(heartbeat);
  options.stop_patience = std::chrono::seconds(stop_timeout);
  return options;
}

}  // namespace

int run_agent(int argc, char** argv) {
  Config config(kKeys);
  if (auto end = parse(argc, argv, config)) return *end;
  auto options = options_of(config);
  if (!options.ok()) return fail(options.error());
  const std::string log_file = config.text("log-file", options->data_dir + "/agent.log");
  if (Status ready = become_server(options->data_dir, log_file); !ready.ok()) return fail(ready.error());
  auto agent = agents::Agent::start(std::move(*options));
  if (!agent.ok()) {
    log::error("agent", "cannot start", {{"cause", agent.error()}});
    return fail(agent.error());
  }
  wait_for_end();
  (*agent)->stop();
  return kExitDone;
}

}  // namespace sluice::cli
