// AdminService over gRPC: checks the token, translates messages, and leaves the rest to Control, which must outlive it.
// Called on gRPC's threads, several at once; a call blocks its thread until Control answers.
#pragma once

#include <memory>

#include "coordinator/control.hpp"
#include "core/secret.hpp"

namespace grpc {
class Service;
}

namespace sluice::coordinator {

std::shared_ptr<grpc::Service> make_admin_service(Control& control, Secret token);
// Reflection and the standard health service for servers that are started later. Once per process.
void enable_reflection_and_health();

}  // namespace sluice::coordinator
