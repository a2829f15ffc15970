// ClusterService: one stream per agent. Reads on gRPC's thread, writes on a thread of its own; everything it reads goes
// to the CM as an event.
#pragma once

#include <atomic>
#include <memory>

#include "coordinator/cluster/agent_outbox.hpp"
#include "core/secret.hpp"

namespace grpc {
class Service;
}

namespace sluice::coordinator {

std::shared_ptr<grpc::Service> make_cluster_service(AgentEvents& events, Secret token);

}  // namespace sluice::coordinator
