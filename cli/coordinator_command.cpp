#include "cli/coordinator_command.hpp"

#include <CLI/CLI.hpp>
#include <map>
#include <optional>

#include "cli/args.hpp"
#include "coordinator/coordinator.hpp"
#include "core/config.hpp"
#include "core/log.hpp"

namespace sluice::cli {
namespace {

const std::vector<std::string> kKeys = {"data-dir",       "http",          "grpc",
                                        "metadata",       "region",        "master-key-file",
                                        "log-file",       "cpu-threshold", "memory-threshold",
                                        "disk-threshold", "lease-ttl-ms",  "grace-ms"};

struct Flag {
  const char* key;
  const char* help;
};
constexpr Flag kFlags[] = {
    {"data-dir", "Directory of metadata, admin.token and master.key (made when missing)"},
    {"http", "HOST:PORT of metrics and health, or 'none' (default 127.0.0.1:8089)"},
    {"grpc", "HOST:PORT or unix:PATH of the API (default 127.0.0.1:8090)"},
    {"metadata", "Where metadata lie: rocksdb (default)"},
    {"region", "Region whose nodes are preferred where a data source names none"},
    {"master-key-file", "File with the key that seals passwords (default: master.key in the data directory)"},
    {"log-file", "Log file (default: coordinator.log in the data directory)"},
    {"cpu-threshold", "Percent of CPU above which a node is taken last (default 85; 0: not looked at)"},
    {"memory-threshold", "Percent of memory above which a node takes no new component (default 85; 0: not looked at)"},
    {"disk-threshold", "Percent of disk above which a node takes no new component (default 90; 0: not looked at)"},
    {"lease-ttl-ms", "How long an agent may work without hearing from a coordinator (default 10000)"},
    {"grace-ms", "How much longer than the lease a silent node is waited for (default 2000)"},
};

// Flags into `config`; an exit status when the program is to end (help, usage error).
std::optional<int> parse(int argc, char** argv, Config& config) {
  CLI::App app{
      "Runs a coordinator: projects, agents, the API.\n"
      "Every flag is also a key of the YAML file and, as SLUICE_..., of the environment.",
      "sluice coordinator"};
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

Result<coordinator::CoordinatorOptions> options_of(const Config& config) {
  coordinator::CoordinatorOptions options;
  options.data_dir = config.text("data-dir");
  if (options.data_dir.empty()) return Error(ErrorCode::INVALID_ARGUMENT, "--data-dir is missing");
  if (const std::string metadata = config.text("metadata", "rocksdb"); metadata != "rocksdb")
    return Error(ErrorCode::UNSUPPORTED, "--metadata: only rocksdb is supported", metadata);
  options.http = config.text("http", options.http);
  options.grpc = config.text("grpc", options.grpc);
  options.region = config.text("region");
  options.master_key_file = config.text("master-key-file");
  // On a unix socket there is this machine only: refusing it work because it is busy would help nobody.
  const bool local = options.grpc.starts_with("unix:");
  SLUICE_ASSIGN(const int64_t cpu, config.integer("cpu-threshold", local ? 0 : 85, 0, 100));
  SLUICE_ASSIGN(const int64_t memory, config.integer("memory-threshold", local ? 0 : 85, 0, 100));
  SLUICE_ASSIGN(const int64_t disk, config.integer("disk-threshold", local ? 0 : 90, 0, 100));
  SLUICE_ASSIGN(const int64_t ttl, config.integer("lease-ttl-ms", 10'000, 500, 600'000));
  SLUICE_ASSIGN(const int64_t grace, config.integer("grace-ms", 2'000, 0, 600'000));
  options.limits.cpu_max = static_cast<double>(cpu) / 100;
  options.limits.memory_max = static_cast<double>(memory) / 100;
  options.limits.disk_max = static_cast<double>(disk) / 100;
  options.limits.lease_ttl = std::chrono::milliseconds(ttl);
  options.limits.lease_margin = std::chrono::milliseconds(std::min<int64_t>(2'000, ttl / 5));
  options.limits.grace = std::chrono::milliseconds(grace);
  return options;
}

}  // namespace

int run_coordinator(int argc, char** argv) {
  Config config(kKeys);
  if (auto end = parse(argc, argv, config)) return *end;
  auto options = options_of(config);
  if (!options.ok()) return fail(options.error());
  const std::string log_file = config.text("log-file", options->data_dir + "/coordinator.log");
  if (Status ready = become_server(options->data_dir, log_file); !ready.ok()) return fail(ready.error());
  auto started = coordinator::Coordinator::start(*options);
  if (!started.ok()) {
    log::error("coordinator", "cannot start", {{"cause", started.error()}});
    return fail(started.error());
  }
  wait_for_end();
  return kExitDone;
}

}  // namespace sluice::cli
