// Spawns the actor of an applier. The applier's connection is closed when the actor ends.
#pragma once

#include <caf/fwd.hpp>

#include "sinks/actors.hpp"

namespace sluice::database {

applier_actor spawn_applier(caf::actor_system& system, std::shared_ptr<Applier> applier, group_listener_actor listener);

}  // namespace sluice::database
