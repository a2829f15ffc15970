#include "coordinator/cluster/cluster_manager.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "core/log.hpp"
#include "core/net/convert.hpp"

namespace sluice::coordinator {
namespace {

using cluster::v1::ComponentStatus;
using std::chrono::milliseconds;

constexpr const char* kArea = "coordinator.cm";

constexpr milliseconds kCancelledPause{500};  // the agent that ended it is about to go

// A crash is answered at once; an error that the component reported is given a little time to pass.
milliseconds retry_delay(const Error& error, size_t restarts) {
  if (error.code() == ErrorCode::PROCESS_CRASHED) return milliseconds(restarts <= 1 ? 0 : 500 * restarts);
  return milliseconds(std::min<size_t>(1000u << std::min<size_t>(restarts, 5), 20'000));
}

}  // namespace

void ClusterManager::restore(uint64_t term, milliseconds earlier_ttl, const std::vector<StoredPlacement>& placements,
                             std::set<std::string> projects, std::set<std::string> deleted) {
  term_ = term;
  awaited_ = std::move(projects);
  over_ = std::move(deleted);
  for (const auto& placement : placements) {
    Entry& entry = entries_[placement.component.component_id()];
    entry.stored = placement.component;
    entry.mod_revision = placement.mod_revision;
    entry.active = !placement.component.node().empty();
    if (!entry.active) continue;
    // Whatever lease an earlier coordinator granted was granted before now: it ends within one ttl from now.
    Node& node = nodes_[placement.component.node()];
    node.about.set_node_id(placement.component.node());
    node.lost = false;
    node.lease_until = clock_.boot_time() + std::max(earlier_ttl, limits_.lease_ttl);
  }
}

ClusterManager::Node* ClusterManager::node_of(uint64_t session) {
  for (auto& [id, node] : nodes_)
    if (node.session == session) return &node;
  return nullptr;
}

const ClusterManager::Node* ClusterManager::alive(const std::string& id) const {
  auto found = nodes_.find(id);
  return found != nodes_.end() && !found->second.lost && found->second.session != 0 ? &found->second : nullptr;
}

void ClusterManager::registered(uint64_t session, const cluster::v1::Register& about) {
  if (about.term() > term_) {
    const Error older(ErrorCode::WRONG_STATE,
                      "the coordinator's term " + std::to_string(term_) + " is older than term " +
                          std::to_string(about.term()) +
                          " that this agent follows: its metadata were restored from an older copy. Bring the newer "
                          "ones back, or restart the agent to let it follow these",
                      about.node_id());
    log::error(kArea, "node refused", {{"node", about.node_id()}, {"error", older}});
    return reject(session, older);
  }
  Node& node = nodes_[about.node_id()];
  if (node.session != 0 && node.session != session)
    reject(node.session, Error(ErrorCode::WRONG_STATE, "a newer stream registered this node", about.node_id()));
  log::info(kArea, "node registered",
            {{"node", about.node_id()}, {"region", about.region()}, {"components", about.components_size()}});
  node.about = about;
  node.about.clear_components();
  node.session = session;
  node.lost = false;
  node.lease_until = std::max(node.lease_until, clock_.boot_time() + limits_.lease_ttl);
  node.sampled_us = clock_.unix_time_us();
  node.listed.clear();
  for (const auto& status : about.components()) {
    node.listed[status.component_id()] = status.epoch();
    reported(session, status);
  }
  node.dirty = true;
  for (auto& [id, entry] : entries_) {
    if (entry.stored.node() == about.node_id()) touch(entry);
    entry.waiting.reset();
  }
}

void ClusterManager::heartbeat(uint64_t session, const cluster::v1::Heartbeat& heartbeat) {
  Node* node = node_of(session);
  if (!node || node->lost || !ready()) return;
  node->load = heartbeat;
  node->sampled_us = clock_.unix_time_us();
  node->lease_until = clock_.boot_time() + limits_.lease_ttl;
  if (removals_of(*node) != node->removals) node->dirty = true;
  // Assignments first: a lease must never reach components that are not assigned any more.
  if (node->dirty) send_assignments(node->about.node_id(), *node);
  cluster::v1::CoordinatorMessage message;
  auto* lease = message.mutable_lease();
  lease->set_sequence(heartbeat.sequence());
  lease->set_ttl_ms(limits_.lease_ttl.count());
  lease->set_margin_ms(limits_.lease_margin.count());
  lease->set_term(term_);
  send(session, std::move(message));
}

void ClusterManager::reported(uint64_t session, const ComponentStatus& status) {
  Node* node = node_of(session);
  auto found = entries_.find(status.component_id());
  if (!node || found == entries_.end()) return;
  Entry& entry = found->second;
  if (!entry.active || entry.stored.epoch() != status.epoch() || entry.stored.node() != node->about.node_id()) return;
  take_status(entry, status);
}

void ClusterManager::take_status(Entry& entry, const ComponentStatus& status) {
  bool was_ended = entry.status && (entry.status->state() == cluster::v1::FAILED);
  entry.status = std::make_shared<const ComponentStatus>(status);
  touch(entry);
  if (status.state() == cluster::v1::FAILED && !was_ended && !entry.retry && !entry.failed)
    take_failure(entry, status.has_error() ? net::from_proto(status.error())
                                           : Error(ErrorCode::PROCESS_CRASHED, "the process ended without a report",
                                                   status.component_id()));
}

void ClusterManager::take_failure(Entry& entry, const Error& error) {
  log::warn(kArea, "component failed",
            {{"component", entry.stored.component_id()}, {"epoch", entry.stored.epoch()}, {"error", error}});
  // A failure of an earlier attempt was answered already: need() starts the component anew.
  if (entry.wanted && entry.stored.attempt() < entry.attempt) return;
  // Ended by the cluster's own rules or with its agent, not by its work: placed again, whatever the budget.
  if (error.code() == ErrorCode::LEASE_EXPIRED || error.code() == ErrorCode::STALE_EPOCH ||
      error.code() == ErrorCode::CANCELLED) {
    entry.retry = true;
    entry.retry_at = clock_.boot_time() + (error.code() == ErrorCode::CANCELLED ? kCancelledPause : milliseconds(0));
    return;
  }
  // A precheck is there to tell at once what is wrong: only its own crash is answered by another try.
  bool told = entry.want.spec.kind() == cluster::v1::PRECHECK && error.code() != ErrorCode::PROCESS_CRASHED;
  if (!error.retryable() || told) {
    entry.failed = error;
    return;
  }
  int64_t now = clock_.unix_time_us();
  auto* restarts = entry.stored.mutable_restarts_us();
  int64_t oldest = now - std::chrono::microseconds(limits_.restart_window).count();
  restarts->erase(std::remove_if(restarts->begin(), restarts->end(), [&](int64_t at) { return at < oldest; }),
                  restarts->end());
  if (static_cast<size_t>(restarts->size()) >= limits_.restarts_max) {
    entry.failed = Error(ErrorCode::RESTART_BUDGET_EXHAUSTED,
                         "it failed " + std::to_string(restarts->size() + 1) + " times within " +
                             std::to_string(limits_.restart_window.count() / 60) + " minutes, the last time by " +
                             std::string(error.id()) + ": " + error.cause(),
                         error.object().empty() ? entry.stored.component_id() : error.object(), error.position());
    return;
  }
  restarts->Add(now);
  entry.retry = true;
  entry.retry_at = clock_.boot_time() + retry_delay(error, restarts->size());
}

void ClusterManager::disconnected(uint64_t session) {
  if (Node* node = node_of(session)) {
    log::warn(kArea, "node disconnected", {{"node", node->about.node_id()}});
    node->session = 0;
  }
}

void ClusterManager::touch(const Entry& entry) { changed_projects_.insert(entry.stored.project_id()); }

void ClusterManager::set_desired(Entry& entry, const cluster::v1::ComponentDesired& want) {
  cluster::v1::ComponentDesired next = want;
  next.set_revision(entry.desired.revision());
  if (entry.desired.revision() != 0 && google::protobuf::util::MessageDifferencer::Equals(next, entry.desired)) return;
  // Greater than whatever an earlier coordinator may have sent for this epoch.
  uint64_t seen = entry.status ? entry.status->desired_revision() : 0;
  next.set_revision(std::max({entry.desired.revision() + 1, seen + 1, static_cast<uint64_t>(clock_.unix_time_us())}));
  entry.desired = std::move(next);
  if (auto node = nodes_.find(entry.stored.node()); entry.active && node != nodes_.end()) node->second.dirty = true;
}

void ClusterManager::set_wanted(const WantedProject& wanted) {
  awaited_.erase(wanted.project_id);
  if (wanted.over) over_.insert(wanted.project_id);
  std::set<std::string> named;
  for (const auto& component : wanted.components) {
    const std::string& id = component.spec.component_id();
    named.insert(id);
    Entry& entry = entries_[id];
    if (entry.stored.component_id().empty()) {
      entry.stored.set_component_id(id);
      entry.stored.set_project_id(wanted.project_id);
    }
    bool fresh = !entry.wanted || wanted.attempt > entry.attempt;
    entry.wanted = true;
    entry.want = component;
    entry.attempt = wanted.attempt;
    if (fresh && entry.stored.attempt() < wanted.attempt) {
      entry.failed.reset();
      entry.retry = false;
      entry.stored.clear_restarts_us();
    }
    if (fresh && !entry.spec_known) {  // adopted from an earlier coordinator: the epoch goes on with this
      entry.spec = component.spec;
      entry.spec.set_epoch(entry.stored.epoch());
      entry.spec_known = true;
      if (auto node = nodes_.find(entry.stored.node()); entry.active && node != nodes_.end()) node->second.dirty = true;
    }
    set_desired(entry, component.desired);
    if (fresh) touch(entry);
  }
  for (auto& [id, entry] : entries_) {
    if (entry.stored.project_id() != wanted.project_id || named.contains(id)) continue;
    if (entry.active)
      if (auto node = nodes_.find(entry.stored.node()); node != nodes_.end()) node->second.dirty = true;
    // The record stays: its node may go on running this epoch until its lease is over.
    if (entry.wanted || entry.active) touch(entry);
    entry.wanted = entry.active = entry.retry = entry.spec_known = false;
    entry.status.reset();
    entry.failed.reset();
    entry.waiting.reset();
  }
}

void ClusterManager::forget(const std::string& project_id) {
  set_wanted(WantedProject{project_id, 0, true, {}});
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->second.stored.project_id() == project_id) {
      forgotten_.insert(it->first);
      it = entries_.erase(it);
    } else {
      ++it;
    }
  }
  changed_projects_.erase(project_id);
}

void ClusterManager::lose(const std::string& id, Node& node) {
  log::warn(kArea, "node lost: its lease and the grace are over", {{"node", id}});
  node.lost = true;
  if (node.session != 0) {
    reject(node.session, Error(ErrorCode::LEASE_EXPIRED, "the node was silent for too long", id));
    node.session = 0;
  }
  for (auto& [component, entry] : entries_) {
    if (!entry.active || entry.stored.node() != id) continue;
    bool finished = entry.status && entry.status->state() == cluster::v1::FINISHED;
    if (finished) continue;  // nothing runs there any more, and its result is known
    entry.active = false;
    entry.retry = false;
    entry.status.reset();
    touch(entry);
  }
}

void ClusterManager::tick() {
  BootTime now = clock_.boot_time();
  for (auto& [id, node] : nodes_)
    if (!node.lost && now >= node.lease_until + limits_.grace) lose(id, node);
}

ClusterManager::Need ClusterManager::need(const Entry& entry) const {
  if (!entry.wanted || entry.failed) return Need::kNothing;
  bool stop = entry.want.desired.stop();
  if (!entry.active) return stop ? Need::kNothing : Need::kPlace;
  if (stop) return Need::kNothing;
  auto state = entry.status ? entry.status->state() : cluster::v1::COMPONENT_STATE_UNSPECIFIED;
  bool ended = state == cluster::v1::FINISHED || state == cluster::v1::FAILED || state == cluster::v1::STOPPED;
  if (ended && entry.stored.attempt() < entry.attempt) return Need::kRestart;
  if (state == cluster::v1::STOPPED) return Need::kRestart;
  if (entry.retry) return clock_.boot_time() >= entry.retry_at ? Need::kCountedRestart : Need::kNothing;
  if (ended) return Need::kNothing;
  const Node* node = alive(entry.stored.node());
  if (node && entry.sent_session != node->session) {
    auto listed = node->listed.find(entry.stored.component_id());
    // The agent registered without it: the process of this epoch is gone, and an epoch is never started twice.
    if (listed == node->listed.end() || listed->second != entry.stored.epoch()) return Need::kRestart;
  }
  return Need::kNothing;
}

// `extra`: what this plan has given to each node already.
NodeCandidate ClusterManager::candidate(const std::string& id, const Node& node, const Entry& entry,
                                        const std::map<std::string, int>& extra) const {
  NodeCandidate result{id, node.about.region()};
  result.cpu = node.load.cpu_load();
  result.memory = node.load.memory_used();
  result.disk = node.load.disk_used();
  int components = extra.contains(id) ? extra.at(id) : 0;
  for (const auto& [component, other] : entries_) {
    if (!other.wanted || !other.active) continue;
    const bool here = other.stored.node() == id;
    components += here;
    if (&other == &entry || other.stored.project_id() != entry.stored.project_id()) continue;
    result.has_store = result.has_store || (here && other.want.spec.kind() == cluster::v1::STORE);
    auto where = nodes_.find(other.stored.node());
    result.zone_mates +=
        where != nodes_.end() && !node.about.zone().empty() && where->second.about.zone() == node.about.zone();
  }
  result.components_per_cpu = static_cast<double>(components) / std::max(1u, node.about.cpus());
  return result;
}

Result<std::string> ClusterManager::choose(const Entry& entry, const std::map<std::string, int>& extra) const {
  // Where it was it stays while that node lives, and as long as it may still run there it goes nowhere else.
  if (auto old = nodes_.find(entry.stored.node()); old != nodes_.end() && !old->second.lost) {
    if (old->second.session != 0) return old->first;
    return Error(ErrorCode::NO_NODE, "waiting until the lease of node " + old->first + " is over");
  }
  std::vector<NodeCandidate> candidates;
  for (const auto& [id, node] : nodes_)
    if (alive(id)) candidates.push_back(candidate(id, node, entry, extra));
  return choose_node(candidates, {entry.want.region, entry.want.spec.kind() == cluster::v1::INCR_SYNC},
                     limits_.placement);
}

std::vector<ClusterManager::Placement> ClusterManager::plan() {
  std::vector<Placement> placements;
  if (!ready()) return placements;
  std::map<std::string, int> extra;
  for (auto& [id, entry] : entries_) {
    Need reason = need(entry);
    if (reason == Need::kNothing) continue;
    auto node = choose(entry, extra);
    if (!node.ok()) {
      if (!entry.waiting || entry.waiting->cause() != node.error().cause()) touch(entry);
      entry.waiting = node.error();
      continue;
    }
    if (!entry.active) ++extra[*node];
    Placement placement{entry.stored, entry.mod_revision};
    placement.next.set_epoch(entry.stored.epoch() + 1);
    placement.next.set_node(*node);
    placement.next.set_attempt(entry.attempt);
    placements.push_back(std::move(placement));
  }
  return placements;
}

void ClusterManager::commit(const std::vector<Placement>& placements, uint64_t revision) {
  for (const auto& placement : placements) {
    auto found = entries_.find(placement.next.component_id());
    if (found == entries_.end()) continue;
    Entry& entry = found->second;
    bool newer = placement.next.epoch() > entry.stored.epoch();
    if (!newer) continue;
    entry.stored = placement.next;
    entry.mod_revision = revision;
    entry.active = entry.wanted;
    entry.retry = false;
    entry.status.reset();
    entry.waiting.reset();
    entry.spec = entry.want.spec;
    entry.spec.set_epoch(entry.stored.epoch());
    entry.spec_known = true;
    auto node = nodes_.find(entry.stored.node());
    if (node != nodes_.end()) {
      node->second.dirty = true;
      entry.sent_session = node->second.session;
    }
    log::info(
        kArea, "placed",
        {{"component", entry.stored.component_id()}, {"node", entry.stored.node()}, {"epoch", entry.stored.epoch()}});
    touch(entry);
  }
}

void ClusterManager::conflicted(const v1::StoredComponent& stored, uint64_t revision) {
  auto found = entries_.find(stored.component_id());
  if (found == entries_.end()) return;
  found->second.stored = stored;
  found->second.mod_revision = revision;
  found->second.active = false;
  found->second.status.reset();
}

void ClusterManager::forgot(const std::set<std::string>& ids) {
  for (const auto& id : ids) forgotten_.erase(id);
}

void ClusterManager::send(uint64_t session, cluster::v1::CoordinatorMessage message, bool close) {
  messages_.push_back({session, std::make_shared<const cluster::v1::CoordinatorMessage>(std::move(message)), close});
}

void ClusterManager::reject(uint64_t session, const Error& error) {
  cluster::v1::CoordinatorMessage message;
  *message.mutable_rejected()->mutable_error() = net::to_proto(error);
  send(session, std::move(message), true);
}

void ClusterManager::send_assignments(const std::string& id, Node& node) {
  cluster::v1::CoordinatorMessage message;
  auto* desired = message.mutable_desired();
  desired->set_term(term_);
  for (auto& [component, entry] : entries_) {
    if (!entry.wanted || !entry.active || entry.stored.node() != id) continue;
    // One that needs a new epoch first is left out: named, its old epoch would be started once more.
    Need reason = need(entry);
    if (reason == Need::kRestart && entry.sent_session != node.session) continue;
    auto* assignment = desired->add_assignments();
    *assignment->mutable_spec() = entry.spec;
    *assignment->mutable_desired() = entry.desired;
  }
  node.removals = removals_of(node);
  desired->mutable_removals()->Assign(node.removals.begin(), node.removals.end());
  node.dirty = false;
  send(node.session, std::move(message));
}

// Only of projects that are known to be over: a folder of a project that this coordinator has never heard of may belong
// to a newer state of the metadata than the one that it was started with.
std::vector<std::string> ClusterManager::removals_of(const Node& node) const {
  std::vector<std::string> ids;
  for (const std::string& id : node.load.folders())
    if (over_.contains(id.substr(0, id.find('.')))) ids.push_back(id);
  return ids;
}

std::vector<ClusterManager::Message> ClusterManager::take_messages() {
  if (ready())
    for (auto& [id, node] : nodes_)
      if (node.dirty && node.session != 0 && !node.lost) send_assignments(id, node);
  return std::exchange(messages_, {});
}

ComponentView ClusterManager::view_of(const Entry& entry) const {
  ComponentView view;
  view.component_id = entry.stored.component_id();
  view.kind = entry.want.spec.kind();
  view.epoch = entry.stored.epoch();
  view.attempt = entry.stored.attempt();
  if (entry.active) view.node = entry.stored.node();
  if (auto node = nodes_.find(view.node); entry.active && node != nodes_.end()) {
    view.region = node->second.about.region();
    view.host = node->second.about.address();
  }
  view.restarts = entry.stored.restarts_us_size();
  view.status = entry.status;
  view.failed = entry.failed;
  view.waiting = entry.waiting;
  return view;
}

std::vector<std::pair<std::string, ComponentViews>> ClusterManager::take_views() {
  std::vector<std::pair<std::string, ComponentViews>> result;
  for (const auto& project : std::exchange(changed_projects_, {})) {
    ComponentViews views;
    for (const auto& [id, entry] : entries_)
      if (entry.wanted && entry.stored.project_id() == project) views.emplace(id, view_of(entry));
    result.emplace_back(project, std::move(views));
  }
  return result;
}

std::vector<admin::v1::Node> ClusterManager::nodes() const {
  std::vector<admin::v1::Node> result;
  for (const auto& [id, node] : nodes_) {
    admin::v1::Node& out = result.emplace_back();
    out.set_id(id);
    out.set_region(node.about.region());
    out.set_zone(node.about.zone());
    *out.mutable_labels() = node.about.labels();
    out.set_status(node.lost ? "OFFLINE" : node.session != 0 ? "ONLINE" : "SILENT");
    out.set_address(node.about.address());
    out.set_version(node.about.version());
    out.set_cpus(node.about.cpus());
    out.set_memory_bytes(node.about.memory_bytes());
    out.set_disk_bytes(node.about.disk_bytes());
    out.set_cpu_load(node.load.cpu_load());
    out.set_memory_used(node.load.memory_used());
    out.set_disk_used(node.load.disk_used());
    out.set_sampled_at_us(node.sampled_us);
    auto left = std::chrono::duration_cast<milliseconds>(node.lease_until - clock_.boot_time()).count();
    out.set_lease_ms(std::max<int64_t>(0, left));
    for (const auto& [component, entry] : entries_)
      if (entry.wanted && entry.active && entry.stored.node() == id) out.add_components(component);
  }
  return result;
}

}  // namespace sluice::coordinator
