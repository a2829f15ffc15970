// ClusterManager: nodes, leases, placement and epochs of one region's agents. Plain C++ without threads, clocks of its
// own or I/O; one owner calls it (cm_actor), tests drive it with a manual clock.
//
//   events (registered, heartbeat, …, set_wanted, tick)
//     → plan(): placements that need a new epoch. The owner persists them by compare-and-swap, then calls commit().
//     → take_messages(): what is to be sent to agents;  take_views(): what projects are to be told.
//
// Rules: an epoch is raised in metadata before its assignment is sent. A component that may still run somewhere is
// placed on another node only after that node's lease and the grace are over. Statuses of other epochs are ignored.
// Nothing is assigned or ended before every project that metadata holds has said what it wants.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/cluster/placement.hpp"
#include "coordinator/cluster/types.hpp"
#include "core/clock.hpp"
#include "sluice/admin/v1/admin.pb.h"
#include "sluice/coordinator/v1/state.pb.h"

namespace sluice::coordinator {

struct ClusterLimits {
  std::chrono::milliseconds lease_ttl{10'000};
  std::chrono::milliseconds lease_margin{2'000};
  std::chrono::milliseconds grace{2'000};
  size_t restarts_max = 5;  // per component within the window
  std::chrono::seconds restart_window{600};
  PlacementLimits placement;
};

class ClusterManager {
 public:
  struct StoredPlacement {
    v1::StoredComponent component;
    uint64_t mod_revision = 0;
  };
  struct Placement {
    v1::StoredComponent next;
    uint64_t expected_revision = 0;
  };
  struct Message {
    uint64_t session = 0;
    std::shared_ptr<const cluster::v1::CoordinatorMessage> message;
    bool close = false;  // after it
  };

  ClusterManager(const Clock& clock, ClusterLimits limits) : clock_(clock), limits_(limits) {}

  // Before anything else. `earlier_ttl`: the longest that a lease granted by an earlier coordinator may last.
  // `deleted`: ids of projects that were deleted; agents may still have folders of theirs.
  void restore(uint64_t term, std::chrono::milliseconds earlier_ttl, const std::vector<StoredPlacement>& placements,
               std::set<std::string> projects, std::set<std::string> deleted);

  // Refused when the node follows a later term: the metadata behind this manager are older than what ran there.
  void registered(uint64_t session, const cluster::v1::Register& node);
  void heartbeat(uint64_t session, const cluster::v1::Heartbeat& heartbeat);
  void reported(uint64_t session, const cluster::v1::ComponentStatus& status);
  void disconnected(uint64_t session);
  void set_wanted(const WantedProject& wanted);
  void forget(const std::string& project_id);  // deleted: its records are of no use any more
  void tick();

  std::vector<Placement> plan();
  void commit(const std::vector<Placement>& placements, uint64_t revision);
  // The compare failed: what metadata really holds.
  void conflicted(const v1::StoredComponent& stored, uint64_t revision);
  // Component ids whose records are to be deleted, until forgot() tells that they are.
  const std::set<std::string>& forgotten() const { return forgotten_; }
  void forgot(const std::set<std::string>& ids);

  std::vector<Message> take_messages();
  std::vector<std::pair<std::string, ComponentViews>> take_views();
  std::vector<admin::v1::Node> nodes() const;
  bool ready() const { return awaited_.empty(); }

 private:
  struct Node {
    cluster::v1::Register about;
    cluster::v1::Heartbeat load;
    int64_t sampled_us = 0;
    uint64_t session = 0;  // 0: not connected
    BootTime lease_until{0};
    bool lost = true;                        // the lease and the grace are over
    bool dirty = false;                      // its assignments are to be sent
    std::map<std::string, uint64_t> listed;  // components and epochs that it registered with
    std::vector<std::string> removals;       // components whose folders it was told last to remove
  };
  struct Entry {
    v1::StoredComponent stored;
    uint64_t mod_revision = 0;
    bool wanted = false;
    bool active = false;        // stored.epoch is assigned to stored.node
    uint64_t sent_session = 0;  // first session that this epoch was sent in
    uint64_t attempt = 0;       // that the project wants
    WantedComponent want;
    cluster::v1::ComponentSpec spec;  // as placed
    bool spec_known = false;
    cluster::v1::ComponentDesired desired;  // with revision
    std::shared_ptr<const cluster::v1::ComponentStatus> status;
    std::optional<Error> failed, waiting;
    bool retry = false;  // failed, to be started again
    BootTime retry_at{0};
  };
  enum class Need { kNothing, kPlace, kRestart, kCountedRestart };

  Node* node_of(uint64_t session);
  const Node* alive(const std::string& id) const;
  Need need(const Entry& entry) const;
  Result<std::string> choose(const Entry& entry, const std::map<std::string, int>& extra) const;
  NodeCandidate candidate(const std::string& id, const Node& node, const Entry& entry,
                          const std::map<std::string, int>& extra) const;
  void take_status(Entry& entry, const cluster::v1::ComponentStatus& status);
  void take_failure(Entry& entry, const Error& error);
  void set_desired(Entry& entry, const cluster::v1::ComponentDesired& want);
  void lose(const std::string& id, Node& node);
  void touch(const Entry& entry);
  void send(uint64_t session, cluster::v1::CoordinatorMessage message, bool close = false);
  void reject(uint64_t session, const Error& error);
  void send_assignments(const std::string& id, Node& node);
  std::vector<std::string> removals_of(const Node& node) const;
  ComponentView view_of(const Entry& entry) const;

  const Clock& clock_;
  ClusterLimits limits_;
  uint64_t term_ = 0;
  std::set<std::string> awaited_;  // projects that have not said yet what they want
  std::set<std::string> over_;     // projects that are released or deleted
  std::map<std::string, Node> nodes_;
  std::map<std::string, Entry> entries_;
  std::set<std::string> changed_projects_;
  std::vector<Message> messages_;
  std::set<std::string> forgotten_;
};

}  // namespace sluice::coordinator
