// The composition root: opens metadata, spawns the actors, starts the servers; and Control, which turns calls of gRPC's
// threads into messages.
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <sys/stat.h>

#include <atomic>
#include <filesystem>

#include "coordinator/api/admin_service.hpp"
#include "coordinator/cluster/cluster_service.hpp"
#include "coordinator/cluster/cm_actor.hpp"
#include "coordinator/cluster/term.hpp"
#include "coordinator/coordinator.hpp"
#include "coordinator/metadata/metadata_actor.hpp"
#include "coordinator/metadata/metadata_keys.hpp"
#include "coordinator/projects/project_actor.hpp"
#include "coordinator/projects/project_commands.hpp"
#include "coordinator/projects/project_spec.hpp"
#include "core/log.hpp"
#include "core/net/channel.hpp"
#include "core/net/http_server.hpp"
#include "core/net/listen_address.hpp"

namespace sluice::coordinator {
namespace {

constexpr const char* kArea = "coordinator";
constexpr size_t kDeletionsMax = 10'000;
constexpr std::chrono::seconds kCommandTimeout{35};

Result<bool> holds_secrets(Metadata& metadata) {
  SLUICE_ASSIGN(auto items, metadata.list(kEndpointPrefix));
  v1::StoredEndpoint stored;
  return std::any_of(items.begin(), items.end(), [&](const KeyValue& item) {
    return stored.ParseFromString(item.value) && !stored.sealed_password().empty();
  });
}

// Ids of deleted projects. An agent that was away for so long that its project is not among them any more keeps the
// folders.
Result<std::set<std::string>> read_deleted(Metadata& metadata) {
  SLUICE_ASSIGN(auto items, metadata.list(kDeletedPrefix));
  std::set<std::string> ids;
  std::multimap<int64_t, std::string> by_age;
  for (const auto& item : items) {
    v1::StoredDeletion deletion;
    if (!deletion.ParseFromString(item.value)) return Error(ErrorCode::CORRUPTED, "cannot be read", item.key);
    ids.insert(item.key.substr(std::string(kDeletedPrefix).size()));
    by_age.emplace(deletion.deleted_us(), item.key);
  }
  Txn txn;
  for (auto oldest = by_age.begin(); by_age.size() - txn.deletes.size() > kDeletionsMax; ++oldest)
    txn.deletes.push_back(oldest->second);
  SLUICE_ASSIGN([[maybe_unused]] auto pruned, metadata.txn(txn));
  return ids;
}

class CoordinatorImpl final : public Coordinator, public Control, public AgentEvents {
 public:
  explicit CoordinatorImpl(CoordinatorOptions options) : options_(std::move(options)) {}

  ~CoordinatorImpl() override {
    stopping_ = true;
    http_.stop();
    if (server_.server) server_.server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
    for (auto& [id, project] : projects_) caf::anon_send_exit(project, caf::exit_reason::user_shutdown);
    if (cm_) caf::anon_send_exit(cm_, caf::exit_reason::user_shutdown);
    if (metadata_actor_) caf::anon_send_exit(metadata_actor_, caf::exit_reason::user_shutdown);
    projects_.clear();
    cm_ = nullptr;
    metadata_actor_ = nullptr;
    world_ = {};
    system_.reset();  // waits for the actors
  }

  Status open() {
    SLUICE_ASSIGN(grpc_, net::parse_listen_address("--grpc", options_.grpc));
    if (options_.http != "none") {
      SLUICE_ASSIGN(http_address_, net::parse_http_address("--http", options_.http));
    }
    SLUICE_TRY(open_data_dir());
    SLUICE_ASSIGN(auto term, begin_term(*metadata_, options_.limits.lease_ttl));
    config_.set("scheduler.max-threads", size_t(2));
    system_ = std::make_unique<caf::actor_system>(config_);
    metadata_actor_ = spawn_metadata(*system_, metadata_);
    SLUICE_TRY(restore(term));
    return serve();
  }

  // ---- Coordinator ----
  std::string grpc_address() const override { return grpc_.to_string(); }
  int http_port() const override { return options_.http == "none" ? 0 : http_.port(); }
  const Secret& token() const override { return token_; }

  // ---- AgentEvents ----
  void opened(std::shared_ptr<AgentOutbox> outbox) override { caf::anon_send(cm_, SessionOpened{std::move(outbox)}); }
  void received(uint64_t session, std::shared_ptr<const cluster::v1::AgentMessage> message) override {
    caf::anon_send(cm_, SessionMessage{session, std::move(message)});
  }
  void closed(uint64_t session) override { caf::anon_send(cm_, SessionClosed{session}); }

  // ---- Control ----
  DataSources& data_sources() override { return *data_sources_; }
  const ProjectBoard& board() const override { return *world_board_; }
  bool stopping() const override { return stopping_; }

  Result<std::string> create_project(admin::v1::CreateProjectRequest request) override {
    SLUICE_TRY(validate_project(request));
    SLUICE_ASSIGN(auto source, data_sources_->find(request.source_endpoint_id()));
    SLUICE_ASSIGN(auto sink, data_sources_->find(request.sink_endpoint_id()));
    request.set_source_endpoint_id(source.source().id());
    request.set_sink_endpoint_id(sink.source().id());
    SLUICE_TRY(scope_by_schema(request, source.source().schema(), sink.source().schema()));
    StoredRecord record{new_project(random_id("np_"), request, system_clock().unix_time_us()), 0, {}};
    const std::string id = record.project.id();
    Txn txn;
    txn.compares = {{project_key(id), 0}, {project_name_key(request.name()), 0}};
    txn.puts = {{project_key(id), record.project.SerializeAsString()}, {project_name_key(request.name()), id}};
    SLUICE_ASSIGN(auto result, metadata_->txn(txn));
    if (!result.committed) return Error(ErrorCode::ALREADY_EXISTS, "a project of this name exists", request.name());
    record.mod_revision = result.revision;
    spawn(std::move(record));
    // The answer means that the project can be described and started.
    if (!world_board_->wait_for(id, kCommandTimeout))
      return Error(ErrorCode::TIMED_OUT, "the project does not answer", id);
    return id;
  }

  Status command(const std::string& id_or_name, ProjectCommand wish) override {
    auto project = world_board_->get(id_or_name);
    project_actor target;
    if (project) {
      std::lock_guard lock(mutex_);
      if (auto found = projects_.find(project->id()); found != projects_.end()) target = found->second;
    }
    if (!target) return Error(ErrorCode::NOT_FOUND, "there is no project of this id or name", id_or_name);
    caf::scoped_actor self(*system_);
    Status status = Error(ErrorCode::TIMED_OUT, "the project does not answer", id_or_name);
    self->request(target, kCommandTimeout, Command{std::make_shared<const ProjectCommand>(std::move(wish))})
        .receive([&](const CommandReply& reply) { status = *reply.status; },
                 [&](const caf::error& error) {
                   status = Error(ErrorCode::TIMED_OUT, "the project does not answer: " + system_->render(error),
                                  id_or_name);
                 });
    return status;
  }

  Result<std::vector<admin::v1::Node>> nodes() override {
    caf::scoped_actor self(*system_);
    Result<std::vector<admin::v1::Node>> result = Error(ErrorCode::TIMED_OUT, "the cluster manager does not answer");
    self->request(cm_, kCommandTimeout, NodesRequest{})
        .receive([&](const NodesReply& reply) { result = *reply.nodes; }, [](const caf::error&) {});
    return result;
  }

 private:
  Status open_data_dir() {
    std::error_code error;
    std::filesystem::create_directories(options_.data_dir, error);
    if (error) return Error(ErrorCode::IO_ERROR, error.message(), options_.data_dir);
    chmod(options_.data_dir.c_str(), 0700);
    SLUICE_ASSIGN(token_, read_or_make_secret_file(options_.data_dir + "/admin.token"));
    std::string key_file =
        options_.master_key_file.empty() ? options_.data_dir + "/master.key" : options_.master_key_file;
    SLUICE_ASSIGN(auto metadata, open_rocksdb_metadata(options_.data_dir + "/metadata"));
    metadata_ = std::move(metadata);
    SLUICE_ASSIGN(bool secrets_exist, holds_secrets(*metadata_));
    SLUICE_ASSIGN(auto sealer, Sealer::open(key_file, secrets_exist));
    sealer_ = std::make_shared<const Sealer>(std::move(sealer));
    data_sources_ = std::make_unique<DataSources>(metadata_, sealer_, system_clock());
    return {};
  }

  // A scope given by nothing but the data sources' default databases.
  static Status scope_by_schema(admin::v1::CreateProjectRequest& request, const std::string& from,
                                const std::string& to) {
    SLUICE_ASSIGN(auto scope, scope_of(request));
    if (!scope.includes.empty() || from.empty()) return {};
    request.add_include(from + ".*");
    if (!to.empty() && to != from && scope.renames.empty()) request.add_rename(from + ".*=" + to + ".*");
    return {};
  }

  Status restore(const Term& term) {
    std::vector<ClusterManager::StoredPlacement> placements;
    SLUICE_ASSIGN(auto components, metadata_->list(kComponentPrefix));
    for (const auto& item : components) {
      auto& placement = placements.emplace_back();
      placement.mod_revision = item.mod_revision;
      if (!placement.component.ParseFromString(item.value))
        return Error(ErrorCode::CORRUPTED, "cannot be read", item.key);
    }
    std::vector<StoredRecord> records;
    std::set<std::string> ids;
    SLUICE_ASSIGN(auto items, metadata_->list(kProjectPrefix));
    for (const auto& item : items) {
      auto& record = records.emplace_back();
      record.mod_revision = item.mod_revision;
      if (!record.project.ParseFromString(item.value)) return Error(ErrorCode::CORRUPTED, "cannot be read", item.key);
      SLUICE_ASSIGN(auto tables, metadata_->get(tables_key(record.project.id())));
      if (tables && !record.tables.ParseFromString(tables->value))
        return Error(ErrorCode::CORRUPTED, "cannot be read", tables->key);
      ids.insert(record.project.id());
    }
    SLUICE_ASSIGN(auto deleted, read_deleted(*metadata_));
    auto manager = std::make_unique<ClusterManager>(system_clock(), options_.limits);
    manager->restore(term.number, term.earlier_ttl, placements, std::move(ids), std::move(deleted));
    cm_ = spawn_cm(*system_, metadata_actor_, std::move(manager), ready_, term);
    world_ = {metadata_actor_, cm_, world_board_, sealer_, &system_clock(), options_.region};
    std::vector<std::string> expected;
    for (auto& record : records) {
      const bool vanishes = record.project.status() == "DELETED" || record.project.ending() == "DELETED";
      if (!vanishes) expected.push_back(record.project.id());
      spawn(std::move(record));
    }
    // Nobody may be told that a project does not exist because it is still being read.
    for (const auto& id : expected)
      if (!world_board_->wait_for(id, kCommandTimeout))
        return Error(ErrorCode::TIMED_OUT, "a project cannot be read", id);
    log::info(kArea, "term begun",
              {{"term", term.number}, {"projects", records.size()}, {"placements", placements.size()}});
    return {};
  }

  void spawn(StoredRecord record) {
    std::string id = record.project.id();
    std::lock_guard lock(mutex_);
    projects_[id] = spawn_project(*system_, world_, std::move(record));
  }

  Status serve() {
    enable_reflection_and_health();
    admin_ = make_admin_service(*this, token_);
    cluster_ = make_cluster_service(*this, token_);
    SLUICE_ASSIGN(server_, net::start_server(grpc_.to_string(), {admin_.get(), cluster_.get()}));
    grpc_.port = server_.port;
    if (options_.http == "none") return {};
    http_.add_metrics_and_health([this]() -> std::string { return *ready_ ? "" : "projects are still being read"; });
    return http_.start(http_address_.host, http_address_.port);
  }

  CoordinatorOptions options_;
  net::ListenAddress grpc_, http_address_;  // the port of grpc_: the one that was picked
  std::atomic<bool> stopping_{false};
  std::shared_ptr<std::atomic<bool>> ready_ = std::make_shared<std::atomic<bool>>(false);
  Secret token_;
  std::shared_ptr<const Sealer> sealer_;
  std::shared_ptr<Metadata> metadata_;
  std::unique_ptr<DataSources> data_sources_;
  std::shared_ptr<ProjectBoard> world_board_ = std::make_shared<ProjectBoard>();
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  metadata_actor metadata_actor_;
  cm_actor cm_;
  ProjectWorld world_;
  std::mutex mutex_;
  std::map<std::string, project_actor> projects_;
  std::shared_ptr<grpc::Service> admin_, cluster_;
  net::Server server_;
  net::HttpServer http_;
};

}  // namespace

Result<std::unique_ptr<Coordinator>> Coordinator::start(const CoordinatorOptions& options) {
  auto coordinator = std::make_unique<CoordinatorImpl>(options);
  SLUICE_TRY(coordinator->open());
  log::info(kArea, "listening", {{"grpc", coordinator->grpc_address()}, {"http", coordinator->http_port()}});
  return std::unique_ptr<Coordinator>(std::move(coordinator));
}

}  // namespace sluice::coordinator
