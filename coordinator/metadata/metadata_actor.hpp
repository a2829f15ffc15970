// Spawns the metadata actor on a thread of its own.
#pragma once

#include "coordinator/actors.hpp"

namespace caf {
class actor_system;
}

namespace sluice::coordinator {

metadata_actor spawn_metadata(caf::actor_system& system, std::shared_ptr<Metadata> metadata);

}  // namespace sluice::coordinator
