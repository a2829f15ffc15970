#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <random>

#include "agents/supervisor/agent.hpp"
#include "agents/supervisor/component_metrics.hpp"
#include "agents/supervisor/folder_bin.hpp"
#include "agents/supervisor/node_load.hpp"
#include "agents/supervisor/supervisor_actor.hpp"
#include "core/core_files.hpp"
#include "core/file.hpp"
#include "core/log_relay.hpp"
#include "core/metrics.hpp"
#include "core/net/http_server.hpp"
#include "core/net/listen_address.hpp"
#include "core/version.hpp"

namespace sluice::agents {
namespace {

constexpr std::chrono::seconds kSnapshotPatience{5};
constexpr std::chrono::seconds kFlushPatience{1};

std::string random_node_id() {
  std::random_device random;
  char text[20];
  std::snprintf(text, sizeof text, "n-%08x%08x", random(), random());
  return text;
}

// A node keeps its id over restarts: its processes and its Stores' logs are found by it.
Result<std::string> keep_node_id(const std::string& data_dir, const std::string& wanted) {
  const std::string file = data_dir + "/node_id";
  std::string kept;
  std::ifstream(file) >> kept;
  if (!kept.empty() && !wanted.empty() && kept != wanted)
    return Error(ErrorCode::INVALID_ARGUMENT, "the data directory belongs to node " + kept, wanted);
  if (!kept.empty()) return kept;
  const std::string id = wanted.empty() ? random_node_id() : wanted;
  SLUICE_TRY(write_whole(file, id + "\n"));
  return id;
}

}  // namespace

class Agent::Impl {
 public:
  explicit Impl(AgentOptions options) : options_(std::move(options)), load_(options_.data_dir) {}
  ~Impl();
  Status start();
  void stop();

  const std::string& node_id() const { return options_.node_id; }
  int http_port() const { return http_.port(); }
  std::string not_ready() const { return client_ ? client_->not_connected() : "starting"; }

 private:
  std::string socket() const { return socket_folder_ + "/agent.sock"; }
  Status prepare_data_dir();
  std::unique_ptr<Supervisor> make_supervisor();
  void spawn_actors();
  void tell_warnings();
  cluster::v1::Register registration();

  AgentOptions options_;
  std::optional<net::ListenAddress> listen_;  // of the health page
  std::string socket_folder_;
  int lock_fd_ = -1;
  bool ended_ = false;  // by stop(): no component is left that would look for the socket
  NodeLoad load_;
  net::HttpServer http_;
  std::unique_ptr<FolderBin> bin_;
  ComponentMetrics component_metrics_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> actors_;
  std::shared_ptr<CoordinatorClient> client_;
  std::shared_ptr<LocalService> service_;
  supervisor_actor supervisor_;
  coordinator_link_actor coordinator_link_;
  local_service_actor local_service_;
};

Status Agent::Impl::prepare_data_dir() {
  std::error_code failure;
  options_.data_dir = std::filesystem::absolute(options_.data_dir, failure).lexically_normal().string();
  std::filesystem::create_directories(options_.data_dir + "/components", failure);
  if (failure) return Error(ErrorCode::IO_ERROR, failure.message(), options_.data_dir);
  ::chmod(options_.data_dir.c_str(), 0700);
  lock_fd_ = ::open((options_.data_dir + "/agent.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0 || ::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0)
    return Error(ErrorCode::WORK_DIR_IN_USE, "another agent uses this data directory", options_.data_dir);
  SLUICE_ASSIGN(options_.node_id, keep_node_id(options_.data_dir, options_.node_id));
  SLUICE_ASSIGN(socket_folder_, socket_directory(options_.data_dir));
  bin_ = std::make_unique<FolderBin>(options_.data_dir + "/bin");
  return {};
}

Status Agent::Impl::start() {
  ::signal(SIGPIPE, SIG_IGN);  // a component that died while its boot message was written
  forbid_core_files();
  if (options_.coordinators.empty()) return Error(ErrorCode::INVALID_ARGUMENT, "no coordinator is given");
  if (options_.token.empty()) return Error(ErrorCode::UNAUTHENTICATED, "no token is given");
  if (!options_.listen.empty()) {
    SLUICE_ASSIGN(listen_, net::parse_http_address("--listen", options_.listen));
  }
  SLUICE_TRY(prepare_data_dir());
  if (options_.store_listen.empty()) options_.store_listen = listen_ ? listen_->host : "127.0.0.1";
  if (options_.store_listen == "unix") options_.store_listen = "unix:" + socket_folder_;
  if (!options_.store_listen.starts_with("unix:"))
    SLUICE_TRY(net::check_loopback("--store-listen", options_.store_listen));
  if (!options_.launcher) options_.launcher = std::make_shared<SystemLauncher>();

  client_ = std::make_shared<CoordinatorClient>(
      CoordinatorClient::Options{options_.coordinators, options_.token, options_.heartbeat},
      CoordinatorClient::Handlers{
          .registration = [this] { return registration(); },
          .sample_load =
              [this](cluster::v1::Heartbeat& heartbeat) {
                load_.sample(heartbeat);
                for (auto& id : component_folders(options_.data_dir + "/components"))
                  heartbeat.add_folders(std::move(id));
              },
          .on_lease =
              [this](BootTime sent, const cluster::v1::LeaseGrant& grant) {
                caf::anon_send(supervisor_, LeaseMessage{sent, grant});
              },
          .on_desired =
              [this](const cluster::v1::NodeDesired& desired) {
                caf::anon_send(supervisor_, NodeDesiredMessage{std::make_shared<cluster::v1::NodeDesired>(desired)});
              }},
      system_clock());
  service_ = std::make_shared<LocalService>(
      options_.token,
      LocalService::Handlers{
          .on_hello =
              [this](const cluster::v1::ComponentHello& hello, std::function<void(Status)> verdict) {
                caf::anon_send(supervisor_, HelloMessage{hello, std::move(verdict)});
              },
          .on_status =
              [this](cluster::v1::ComponentStatus status) {
                caf::anon_send(supervisor_,
                               StatusMessage{std::make_shared<const cluster::v1::ComponentStatus>(std::move(status))});
              },
          .on_log = [this](cluster::v1::LogLine line) { client_->send(std::move(line)); }});
  spawn_actors();
  SLUICE_TRY(service_->start("unix:" + socket()));
  if (listen_) {
    http_.add_metrics_and_health([this] { return not_ready(); });
    http_.get("/metrics", [this] {
      return net::HttpAnswer{200, metrics::kExpositionType, metrics::exposition() + component_metrics_.exposition()};
    });
    SLUICE_TRY(http_.start(listen_->host, listen_->port));
  }
  client_->start();
  tell_warnings();
  log::info("agent", "started", {{"node", options_.node_id}, {"data_dir", options_.data_dir}, {"socket", socket()}});
  return {};
}

// The agent's own warnings reach the coordinator's log as those of its components do.
void Agent::Impl::tell_warnings() {
  auto relay = std::make_shared<log::LogRelay>(system_clock());
  log::set_tap([relay, client = client_](log::Level level, const std::string& line) {
    if (!line.starts_with("agent")) return;
    relay->offer(level, line);
    for (auto& kept : relay->take()) {
      cluster::v1::LogLine told;
      told.set_line(std::move(kept.text));
      told.set_level(kept.level == log::Level::kError ? "ERROR" : "WARN");
      told.set_dropped(kept.dropped);
      client->send(std::move(told));
    }
  });
}

void Agent::Impl::spawn_actors() {
  config_.set("scheduler.max-threads", 2u);
  actors_ = std::make_unique<caf::actor_system>(config_);
  coordinator_link_ = actors_->spawn(coordinator_link, client_);
  local_service_ = actors_->spawn(local_service, service_);
  supervisor_ = actors_->spawn<caf::detached>(supervisor, SupervisorFactory([this] { return make_supervisor(); }));
}

std::unique_ptr<Supervisor> Agent::Impl::make_supervisor() {
  SupervisorPorts ports{
      .report =
          [this](const cluster::v1::ComponentStatus& status) {
            caf::anon_send(coordinator_link_,
                           StatusMessage{std::make_shared<const cluster::v1::ComponentStatus>(status)});
          },
      .command =
          [this](const std::string& component, uint64_t epoch, const cluster::v1::ComponentCommand& command) {
            caf::anon_send(local_service_, CommandMessage{component, epoch, command});
          },
      .measured =
          [this](const cluster::v1::ComponentSpec& spec, const cluster::v1::ComponentStatus* status) {
            status ? component_metrics_.take(spec, *status) : component_metrics_.remove(spec.component_id());
          },
      .discard = [this](const std::string& folder) { return bin_->take(folder); }};
  return std::make_unique<Supervisor>(SupervisorOptions{.data_dir = options_.data_dir,
                                                        .socket = "unix:" + socket(),
                                                        .listen_host = options_.store_listen,
                                                        .token = options_.token,
                                                        .stop_patience = options_.stop_patience},
                                      system_clock(), *options_.launcher, std::move(ports));
}

// On the link's own thread, which may wait for the actor.
cluster::v1::Register Agent::Impl::registration() {
  cluster::v1::Register message;
  message.set_node_id(options_.node_id);
  message.set_region(options_.region);
  message.set_zone(options_.zone);
  for (const auto& [key, value] : options_.labels) (*message.mutable_labels())[key] = value;
  load_.describe(message);
  message.set_address(options_.store_listen);
  message.set_version(kVersion);
  auto answer = std::make_shared<std::promise<std::vector<cluster::v1::ComponentStatus>>>();
  auto components = answer->get_future();
  caf::anon_send(supervisor_, SnapshotQuery{[answer](auto statuses) { answer->set_value(std::move(statuses)); }});
  if (components.wait_for(kSnapshotPatience) == std::future_status::ready)
    for (auto& status : components.get()) *message.add_components() = std::move(status);
  return message;
}

void Agent::Impl::stop() {
  log::info("agent", "stopping");
  auto done = std::make_shared<std::promise<void>>();
  auto stopped = done->get_future();
  caf::anon_send(supervisor_, StopMessage{[done] { done->set_value(); }});
  if (stopped.wait_for(options_.stop_patience + std::chrono::seconds(10)) != std::future_status::ready)
    log::error("agent", "components are left behind; their leases end them");
  client_->flush(kFlushPatience);
  ended_ = true;
}

Agent::Impl::~Impl() {
  log::set_tap({});
  http_.stop();
  if (client_) client_->stop();
  if (service_) service_->stop();
  if (actors_) {
    caf::anon_send_exit(supervisor_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(coordinator_link_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(local_service_, caf::exit_reason::user_shutdown);
    supervisor_ = nullptr;
    coordinator_link_ = nullptr;
    local_service_ = nullptr;
    actors_.reset();  // waits for them
  }
  std::error_code ignored;
  if (ended_ && socket_folder_ != options_.data_dir) std::filesystem::remove_all(socket_folder_, ignored);
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::start(AgentOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  SLUICE_TRY(impl->start());
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

void Agent::stop() { impl_->stop(); }
const std::string& Agent::node_id() const { return impl_->node_id(); }
int Agent::http_port() const { return impl_->http_port(); }
std::string Agent::not_ready() const { return impl_->not_ready(); }

}  // namespace sluice::agents
