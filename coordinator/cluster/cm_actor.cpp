#include "coordinator/cluster/cm_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <atomic>

#include "coordinator/metadata/metadata_keys.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"

namespace sluice::coordinator {
namespace {

constexpr std::chrono::milliseconds kTick{200};
constexpr std::chrono::seconds kMetadataTimeout{30};
constexpr std::chrono::seconds kMetadataPause{1};

struct cm_state {
  static inline const char* name = "cm";
  cm_actor::stateful_pointer<cm_state> self = nullptr;
  metadata_actor metadata;
  std::unique_ptr<ClusterManager> manager;
  std::shared_ptr<std::atomic<bool>> ready;
  std::map<uint64_t, std::shared_ptr<AgentOutbox>> outboxes;  // by session
  std::map<std::string, project_actor> projects;
  std::chrono::steady_clock::time_point failed_until{};
  std::shared_ptr<const Txn> settle;  // the leases of earlier terms are over
  std::chrono::steady_clock::time_point settle_at{};
  metrics::Counter placements = metrics::counter("sluice_coordinator_placements_total", "Epochs raised and assigned");
  metrics::Gauge online = metrics::gauge("sluice_coordinator_nodes_online", "Agents whose stream is open");

  void received(const SessionMessage& event) {
    if (!outboxes.contains(event.session)) return;
    const auto& message = *event.message;
    if (message.has_register_()) manager->registered(event.session, message.register_());
    if (message.has_heartbeat()) manager->heartbeat(event.session, message.heartbeat());
    if (message.has_status()) manager->reported(event.session, message.status());
    pump();
  }

  void closed(uint64_t session) {
    outboxes.erase(session);
    manager->disconnected(session);
    online.set(outboxes.size());
    pump();
  }

  // Persists what needs a new epoch, then lets messages and views out. While the write is under way no other event is
  // handled (await), so the plan stays true.
  void pump() {
    // A disk that refuses writes is not asked again at every heartbeat. What is persisted goes on under its leases.
    if (std::chrono::steady_clock::now() < failed_until) return flush();
    auto plan = manager->plan();
    auto forgotten = manager->forgotten();
    if (plan.empty() && forgotten.empty()) return flush();
    auto txn = std::make_shared<Txn>();
    for (const auto& placement : plan) {
      txn->compares.push_back({component_key(placement.next.component_id()), placement.expected_revision});
      txn->puts.push_back({component_key(placement.next.component_id()), placement.next.SerializeAsString()});
    }
    for (const auto& id : forgotten) txn->deletes.push_back(component_key(id));
    self->request(metadata, kMetadataTimeout, CommitRequest{txn})
        .await([this, plan, forgotten](const CommitReply& reply) { committed(plan, forgotten, *reply.result); },
               [this](const caf::error&) { failed(Error(ErrorCode::TIMED_OUT, "metadata does not answer")); });
  }

  void failed(const Error& error) {
    failed_until = std::chrono::steady_clock::now() + kMetadataPause;
    log::error("coordinator.cm", "epochs cannot be written", {{"error", error}});
    flush();
  }

  void committed(const std::vector<ClusterManager::Placement>& plan, const std::set<std::string>& forgotten,
                 const Result<TxnResult>& result) {
    if (!result.ok()) return failed(result.error());
    if (!result->committed) return reread(plan);
    manager->forgot(forgotten);
    placements.add(plan.size());
    manager->commit(plan, result->revision);
    flush();
  }

  // Somebody else raised one of the epochs: take what is stored, and plan again from it.
  void reread(const std::vector<ClusterManager::Placement>& plan) {
    ReadRequest read;
    for (const auto& placement : plan) read.keys.push_back(component_key(placement.next.component_id()));
    self->request(metadata, kMetadataTimeout, read)
        .await(
            [this](const ReadReply& reply) {
              if (!reply.values->ok()) return;
              for (const auto& value : **reply.values) {
                v1::StoredComponent stored;
                if (value && stored.ParseFromString(value->value)) manager->conflicted(stored, value->mod_revision);
              }
            },
            [](const caf::error&) {});
  }

  void flush() {
    for (auto& message : manager->take_messages()) {
      auto found = outboxes.find(message.session);
      if (found == outboxes.end()) continue;
      found->second->push(message.message);
      if (message.close) {
        found->second->close();
        outboxes.erase(found);
      }
    }
    for (auto& [project, views] : manager->take_views())
      if (auto found = projects.find(project); found != projects.end())
        self->send(found->second, ViewsChanged{std::make_shared<const ComponentViews>(std::move(views))});
    if (manager->ready()) ready->store(true);
  }

  void want(const Wanted& wanted) {
    projects[wanted.project->project_id] = wanted.sender;
    manager->set_wanted(*wanted.project);
    pump();
  }

  void settle_leases() {
    if (!settle || std::chrono::steady_clock::now() < settle_at) return;
    self->request(metadata, kMetadataTimeout, CommitRequest{std::exchange(settle, nullptr)})
        .await([](const CommitReply&) {}, [](const caf::error&) {});  // not written: the next start waits longer
  }

  void tick() {
    manager->tick();
    settle_leases();
    pump();
    self->delayed_send(self, kTick, Tick{});
  }
};

cm_actor::behavior_type cm(cm_actor::stateful_pointer<cm_state> self, metadata_actor metadata,
                           std::shared_ptr<std::unique_ptr<ClusterManager>> manager,
                           std::shared_ptr<std::atomic<bool>> ready, const Term& term) {
  auto& state = self->state;
  state.self = self;
  state.metadata = std::move(metadata);
  state.manager = std::move(*manager);
  state.ready = std::move(ready);
  state.settle = term.settle;
  state.settle_at = std::chrono::steady_clock::now() + term.earlier_ttl;
  self->send(self, Tick{});
  return {
      [self](const SessionOpened& event) {
        self->state.outboxes[event.outbox->session()] = event.outbox;
        self->state.online.set(self->state.outboxes.size());
      },
      [self](const SessionMessage& event) { self->state.received(event); },
      [self](const SessionClosed& event) { self->state.closed(event.session); },
      [self](const Wanted& wanted) { self->state.want(wanted); },
      [self](const Forget& forget) {
        self->state.manager->forget(forget.project);
        self->state.projects.erase(forget.project);
        self->state.pump();
      },
      [self](const Tick&) { self->state.tick(); },
      [self](const NodesRequest&) {
        return NodesReply{std::make_shared<const std::vector<admin::v1::Node>>(self->state.manager->nodes())};
      },
  };
}

}  // namespace

cm_actor spawn_cm(caf::actor_system& system, metadata_actor metadata, std::unique_ptr<ClusterManager> manager,
                  std::shared_ptr<std::atomic<bool>> ready, const Term& term) {
  auto shared = std::make_shared<std::unique_ptr<ClusterManager>>(std::move(manager));
  return system.spawn(cm, std::move(metadata), shared, std::move(ready), term);
}

}  // namespace sluice::coordinator
