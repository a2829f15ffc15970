// The steps of a project by their names in the API, and which of them answers for a component. Pure.
#pragma once

#include <string>

#include "core/error.hpp"
#include "sluice/cluster/v1/cluster.pb.h"
#include "sluice/coordinator/v1/state.pb.h"

namespace sluice::coordinator {

inline constexpr const char* kPrecheck = "TRANSFER_PRECHECK";
inline constexpr const char* kStruct = "STRUCT_TRANSFER";
inline constexpr const char* kLogPull = "TRANSFER_INCR_LOG_PULL";
inline constexpr const char* kFull = "FULL_TRANSFER";
inline constexpr const char* kIndexes = "INDEX_TRANSFER";
inline constexpr const char* kIncr = "INCR_TRANSFER";
inline constexpr const char* kVerify = "FULL_VERIFIER";

// Which step answers for a component, by its id and kind.
std::string step_of(const v1::StoredProject& state, const std::string& component_id, cluster::v1::ComponentKind kind);
// The step is FAILED by this error, and the project on its way to FAILED.
void fail_step(v1::StoredProject& state, const std::string& step, const Error& error, int64_t now_us);
const char* step_description(const std::string& step);

}  // namespace sluice::coordinator
