// The actors of an agent; their interfaces are in agents/actors.hpp.
#pragma once

#include "agents/actors.hpp"
#include "agents/supervisor/coordinator_client.hpp"
#include "agents/supervisor/local_service.hpp"
#include "agents/supervisor/supervisor.hpp"

namespace sluice::agents {

struct supervisor_state {
  std::unique_ptr<Supervisor> table;
  std::function<void()> stopped;  // who waits for the end
  const char* name = "supervisor";
};

// Spawn detached. `make` runs on the actor's thread; its ports may send messages as this actor.
using SupervisorFactory = std::function<std::unique_ptr<Supervisor>()>;
supervisor_actor::behavior_type supervisor(supervisor_actor::stateful_pointer<supervisor_state> self,
                                           SupervisorFactory make);

coordinator_link_actor::behavior_type coordinator_link(coordinator_link_actor::pointer self,
                                                       std::shared_ptr<CoordinatorClient> client);
local_service_actor::behavior_type local_service(local_service_actor::pointer self,
                                                 std::shared_ptr<LocalService> service);

}  // namespace sluice::agents
