// Spawns the CM: the ClusterManager under an actor, its epochs persisted through the metadata actor. One per
// coordinator, which ends it. It runs on CAF's threads and never blocks; while an epoch is written it takes no other
// message.
#pragma once

#include <map>

#include "coordinator/actors.hpp"
#include "coordinator/cluster/cluster_manager.hpp"
#include "coordinator/cluster/term.hpp"

namespace caf {
class actor_system;
}

namespace sluice::coordinator {

// `manager` is restored already. `ready` is set once every stored project has said what it wants. What `term` leaves to
// be settled is written when its time has come.
cm_actor spawn_cm(caf::actor_system& system, metadata_actor metadata, std::unique_ptr<ClusterManager> manager,
                  std::shared_ptr<std::atomic<bool>> ready, const Term& term);

}  // namespace sluice::coordinator
