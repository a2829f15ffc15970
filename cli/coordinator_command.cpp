#include "cli/coordinator_command.hpp"

#include "cli/server_command.hpp"
#include "coordinator/coordinator.hpp"

namespace sluice::cli {
namespace {

constexpr ServerFlag kFlags[] = {
    {"data-dir", "DIR", "Directory of metadata, admin.token and master.key (required; made when missing)"},
    {"grpc", "ADDR", "HOST:PORT or unix:PATH of the API (default 127.0.0.1:8090); loopback only"},
    {"http", "HOST:PORT", "Metrics and health, or 'none' (default 127.0.0.1:8089); loopback only"},
    {"metadata", "WHERE", "Where metadata lie: rocksdb (default)"},
    {"region", "NAME", "Region whose nodes are preferred where a data source names none"},
    {"master-key-file", "FILE", "The key that seals passwords (default: master.key in the data directory)"},
    {"log-file", "FILE", "Log file (default: coordinator.log in the data directory)"},
    {"cpu-threshold", "PERCENT", "CPU load above which a node is taken last (default 85; 0: not looked at)"},
    {"memory-threshold", "PERCENT",
     "Memory use above which a node takes no new component (default 85; 0: not looked at)"},
    {"disk-threshold", "PERCENT", "Disk use above which a node takes no new component (default 90; 0: not looked at)"},
    {"lease-ttl-ms", "N", "Milliseconds that an agent may work without hearing from a coordinator (default 10000)"},
    {"grace-ms", "N", "Milliseconds that a silent node is waited for beyond its lease (default 2000)"},
};

constexpr char kExample[] =
    "Example\n"
    "  sluice coordinator --data-dir /var/lib/sluice/c\n"
    "      then agents and client commands with --token-file /var/lib/sluice/c/admin.token\n";

Result<coordinator::CoordinatorOptions> options_of(const Config& config) {
  coordinator::CoordinatorOptions options;
  SLUICE_ASSIGN(options.data_dir, required(config, "data-dir"));
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
  options.limits.placement.cpu_max = static_cast<double>(cpu) / 100;
  options.limits.placement.memory_max = static_cast<double>(memory) / 100;
  options.limits.placement.disk_max = static_cast<double>(disk) / 100;
  options.limits.lease_ttl = std::chrono::milliseconds(ttl);
  options.limits.lease_margin = std::chrono::milliseconds(std::min<int64_t>(2'000, ttl / 5));
  options.limits.grace = std::chrono::milliseconds(grace);
  return options;
}

Result<Server> prepare(const Config& config) {
  SLUICE_ASSIGN(const coordinator::CoordinatorOptions options, options_of(config));
  return Server{options.data_dir, [options]() -> Result<std::function<void()>> {
                  SLUICE_ASSIGN(std::shared_ptr<coordinator::Coordinator> coordinator,
                                coordinator::Coordinator::start(options));
                  return std::function([coordinator]() mutable { coordinator.reset(); });
                }};
}

}  // namespace

int run_coordinator(int argc, char** argv) {
  return run_server({"coordinator", "Runs a coordinator: projects, agents, the API.", kExample, kFlags}, argc, argv,
                    prepare);
}

}  // namespace sluice::cli
