#include "coordinator/projects/project_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <functional>

#include "coordinator/metadata/metadata_keys.hpp"
#include "coordinator/projects/project_commands.hpp"
#include "coordinator/projects/project_detail.hpp"
#include "coordinator/projects/project_machine.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/convert.hpp"

namespace sluice::coordinator {
namespace {

constexpr const char* kArea = "coordinator.project";
constexpr std::chrono::milliseconds kTick{500};
constexpr std::chrono::seconds kMetadataTimeout{30};
constexpr int64_t kPublishIntervalUs = 200'000;

struct GaugeName {
  const char *name, *help;
};
constexpr GaugeName kLag{"sluice_project_lag_seconds", "Age of the oldest change not yet applied"},
    kRunning{"sluice_project_running", "1 while the project's status is RUNNING"},
    kFailed{"sluice_project_failed", "1 while the project's status is FAILED"};

cluster::v1::DatabaseEndpoint endpoint_of(const v1::StoredEndpoint& stored, const Secret& password) {
  cluster::v1::DatabaseEndpoint out;
  out.set_kind("mysql");
  out.set_host(stored.source().ip());
  out.set_port(stored.source().port());
  out.set_socket(stored.source().socket());
  out.set_user(stored.source().user_name());
  out.set_password(password.reveal());
  out.set_database(stored.source().schema());
  out.set_ssl_mode(stored.source().ssl_mode());
  out.set_ssl_ca(stored.ssl_ca());
  out.set_ssl_cert(stored.ssl_cert());
  out.set_ssl_key(stored.ssl_key());
  return out;
}

bool runs(const v1::StoredProject& project) { return project.status() == "RUNNING" && project.ending().empty(); }

struct project_state {
  static inline const char* name = "project";
  project_actor::stateful_pointer<project_state> self = nullptr;
  ProjectWorld world;
  v1::StoredProject project;
  uint64_t revision = 0;
  ProjectDetail detail;
  ComponentViews views;
  v1::StoredEndpoint source, sink;
  cluster::v1::DatabaseEndpoint source_login, sink_login;
  Status endpoints = Error(ErrorCode::TIMED_OUT, "the data sources are being read");  // whether the logins are known
  std::string sent;  // the wanted set that the CM has, serialised
  int64_t published_us = 0;
  bool unpublished = false;
  bool disowned = false;  // another coordinator wrote the record: this one acts no more

  int64_t now() const { return world.clock->unix_time_us(); }

  // ---- the loop of the state machine ----

  void advance() {
    if (disowned) return;
    if (!endpoints.ok() && !endpoints.error().retryable() && runs(project)) return give_up();
    Outcome outcome = decide(project, views, now());
    if (outcome.changed)
      return persist(std::move(outcome.next), [this](const Status& kept) {
        if (kept.ok()) advance();  // else again at the next tick
      });
    if (project.status() == "DELETED") return vanish();
    send_wanted(std::move(outcome.wanted));
    publish(false);
  }

  // Without logins nothing can be started: an empty one could reach a server that nobody named.
  void give_up() {
    persist(fail_project(project, endpoints.error(), now()), [this](const Status& kept) {
      if (kept.ok()) advance();
    });
  }

  using Then = std::function<void(const Status&)>;

  void persist(v1::StoredProject next, Then then) {
    detail.keep(next, views);
    auto txn = std::make_shared<Txn>();
    txn->compares.push_back({project_key(project.id()), revision});
    txn->puts.push_back({project_key(project.id()), next.SerializeAsString()});
    // Tables' results change fast; they are kept whenever a step moves.
    txn->puts.push_back({tables_key(project.id()), detail.tables().SerializeAsString()});
    commit(txn, [this, next = std::move(next), then](const Status& kept) {
      if (!kept.ok()) return then(kept);
      if (next.status() != project.status())
        log::info(
            kArea, "status",
            {{"project", next.id()}, {"name", next.spec().name()}, {"from", project.status()}, {"to", next.status()}});
      const bool again = (project.verified() && !next.verified()) || project.verify_round() != next.verify_round();
      project = next;
      if (again) detail.forget_verification();
      publish(true);
      then(kept);
    });
  }

  void commit(std::shared_ptr<Txn> txn, Then then) {
    // However long the disk takes: a write that was given up and is then done would look like another coordinator's.
    self->request(world.metadata, caf::infinite, CommitRequest{txn})
        .await([this, then](const CommitReply& reply) { then(take_commit(*reply.result)); },
               [this, then](const caf::error&) { then(unanswered()); });
  }

  Status take_commit(const Result<TxnResult>& result) {
    if (!result.ok()) {
      log::error(kArea, "state cannot be written", {{"project", project.id()}, {"error", result.error()}});
      return result.error();
    }
    if (!result->committed) {
      disowned = true;
      log::error(kArea, "another coordinator wrote the project; this one leaves it alone", {{"project", project.id()}});
      return Error(ErrorCode::WRONG_STATE, "another coordinator leads this project", project.id());
    }
    revision = result->revision;
    return {};
  }

  Status unanswered() const { return Error(ErrorCode::TIMED_OUT, "metadata does not answer", project.id()); }

  void send_wanted(WantedProject wanted) {
    if (!endpoints.ok()) wanted.components.clear();
    wanted.over = project.status() == "RELEASED";
    std::string bytes = std::to_string(wanted.attempt) + (wanted.over ? "-" : "+");
    for (auto& component : wanted.components) {
      *component.spec.mutable_source() = source_login;
      *component.spec.mutable_target() = sink_login;
      bool near_source = component.spec.kind() == cluster::v1::STORE;
      component.region = near_source ? source.source().region() : sink.source().region();
      if (component.region.empty()) component.region = world.region;
      bytes += component.spec.SerializeAsString() + component.desired.SerializeAsString();
    }
    if (bytes == sent) return;
    sent = std::move(bytes);
    self->send(world.cm, Wanted{std::make_shared<const WantedProject>(std::move(wanted)), project_actor(self)});
  }

  // ---- events ----

  void take_views(const ViewsChanged& changed) {
    views = *changed.views;
    detail.take(views);
    advance();
  }

  void tick() {
    if (!endpoints.ok() && endpoints.error().retryable()) load_endpoints([](const Status&) {});
    // What rests changes by messages only; the lag of what runs grows by itself.
    if (project.status() == "RUNNING" || !project.ending().empty() || sent.empty() || project.status() == "DELETED")
      advance();
    if (unpublished) publish(true);
    self->delayed_send(self, kTick, Tick{});
  }

  void publish(bool at_once) {
    unpublished = true;
    if (!at_once && now() - published_us < kPublishIntervalUs) return;
    published_us = now();
    unpublished = false;
    auto rendered = detail.render(project, views, source.source(), sink.source(), now());
    gauge(kLag).set(static_cast<double>(rendered.incremental().lag_ms()) / 1000);
    gauge(kRunning).set(project.status() == "RUNNING");
    gauge(kFailed).set(project.status() == "FAILED");
    world.board->publish(std::move(rendered));
  }

  metrics::Gauge gauge(const GaugeName& about) const {
    return metrics::gauge(about.name, about.help, {{"project", project.id()}});
  }

  void command(const Command& command, Then reply) {
    if (disowned) return reply(Error(ErrorCode::WRONG_STATE, "another coordinator leads this project", project.id()));
    auto next = carry_out(*command.wish, project, now());
    if (!next.ok()) return reply(next.error());
    bool same = next->SerializeAsString() == project.SerializeAsString();
    auto go = [this, same, command, next = *next, reply] {
      if (same) return reply(Status());
      persist(next, [this, command, reply](const Status& kept) {
        if (kept.ok()) audit(*command.wish);
        reply(kept);
        if (kept.ok()) advance();
      });
    };
    if (command.wish->verb != Verb::kStart && command.wish->verb != Verb::kResume) return go();
    // Addresses and passwords may have been replaced since.
    load_endpoints([go, reply](const Status& loaded) {
      if (!loaded.ok()) return reply(loaded);
      go();
    });
  }

  void audit(const ProjectCommand& command) const {
    if (command.verb != Verb::kDecide) return;
    log::info("coordinator.audit", "decided",
              {{"project", project.id()},
               {"position", command.decision.position()},
               {"decision", command.decision.decision()},
               {"statement_bytes", command.decision.statement().size()}});
  }

  // ---- endpoints ----

  void load_endpoints(Then then) {
    ReadRequest read{
        {endpoint_key(project.spec().source_endpoint_id()), endpoint_key(project.spec().sink_endpoint_id())}};
    self->request(world.metadata, kMetadataTimeout, read)
        .await([this, then](const ReadReply& reply) { then(note(take_endpoints(*reply.values))); },
               [this, then](const caf::error&) { then(note(unanswered())); });
  }

  // Logins that were read once stay in use when they cannot be read again.
  Status note(const Status& loaded) {
    if (endpoints.ok() && !loaded.ok()) return loaded;
    if (!loaded.ok() && endpoints.error().code() != loaded.error().code())
      log::error(kArea, "data sources cannot be read", {{"project", project.id()}, {"error", loaded.error()}});
    endpoints = loaded;
    return loaded;
  }

  Status take_endpoints(const Result<std::vector<std::optional<KeyValue>>>& values) {
    if (!values.ok()) return values.error();
    // What the API shows of them needs no key.
    SLUICE_TRY(take_endpoint((*values)[0], source));
    SLUICE_TRY(take_endpoint((*values)[1], sink));
    SLUICE_ASSIGN(auto from, login_of(source));
    SLUICE_ASSIGN(auto to, login_of(sink));
    source_login = std::move(from);
    sink_login = std::move(to);
    return {};
  }
  Status take_endpoint(const std::optional<KeyValue>& value, v1::StoredEndpoint& stored) const {
    if (!value || !stored.ParseFromString(value->value))
      return Error(ErrorCode::NOT_FOUND, "a data source of the project does not exist", project.id());
    return {};
  }
  Result<cluster::v1::DatabaseEndpoint> login_of(const v1::StoredEndpoint& stored) const {
    Secret password;
    if (!stored.sealed_password().empty()) {
      auto opened = world.sealer->unseal(stored.sealed_password());
      if (!opened.ok()) return opened.error().with_object(stored.source().name());
      password = std::move(opened).value();
    }
    return endpoint_of(stored, password);
  }

  // ---- the end ----

  void vanish() {
    auto txn = std::make_shared<Txn>();
    txn->compares.push_back({project_key(project.id()), revision});
    txn->deletes = {project_key(project.id()), tables_key(project.id()), project_name_key(project.spec().name())};
    v1::StoredDeletion deletion;
    deletion.set_deleted_us(now());
    txn->puts.push_back({deleted_key(project.id()), deletion.SerializeAsString()});
    commit(txn, [this](const Status& kept) {
      if (!kept.ok()) return;
      self->send(world.cm, Forget{project.id()});
      world.board->remove(project.id());
      for (const auto& about : {kLag, kRunning, kFailed})
        metrics::remove_gauge(about.name, about.help, {{"project", project.id()}});
      disowned = true;
      self->quit();
    });
  }
};

project_actor::behavior_type project_behavior(project_actor::stateful_pointer<project_state> self, ProjectWorld world,
                                              std::shared_ptr<const StoredRecord> record) {
  auto& state = self->state;
  state.self = self;
  state.world = std::move(world);
  state.project = record->project;
  state.revision = record->mod_revision;
  state.detail.restore(record->project, record->tables);
  state.load_endpoints([self](const Status&) {
    self->state.publish(true);
    self->send(self, Tick{});
  });
  return {
      [self](const ViewsChanged& changed) { self->state.take_views(changed); },
      [self](const Tick&) { self->state.tick(); },
      [self](const Command& command) -> caf::result<CommandReply> {
        auto promise = self->make_response_promise<CommandReply>();
        self->state.command(command, [promise](const Status& status) mutable {
          promise.deliver(CommandReply{std::make_shared<const Status>(status)});
        });
        return promise;
      },
  };
}

}  // namespace

project_actor spawn_project(caf::actor_system& system, ProjectWorld world, StoredRecord record) {
  return system.spawn(project_behavior, std::move(world), std::make_shared<const StoredRecord>(std::move(record)));
}

}  // namespace sluice::coordinator
