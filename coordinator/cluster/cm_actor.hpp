// Spawns the CM: the ClusterManager under an actor, its epochs persisted through the metadata actor.
#pragma once

#include <map>

#include "coordinator/actors.hpp"
#include "coordinator/cluster/cluster_manager.hpp"

namespace caf {
class actor_system;
}

namespace sluice::coordinator {

// `manager` is restored already. `ready` is set once every stored project has said what it wants.
cm_actor spawn_cm(caf::actor_system& system, metadata_actor metadata, std::unique_ptr<ClusterManager> manager,
                  std::shared_ptr<std::atomic<bool>> ready);
std::string component_key(const std::string& component_id);

}  // namespace sluice::coordinator
