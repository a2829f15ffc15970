#include "coordinator/projects/project_steps.hpp"

#include "coordinator/projects/project_spec.hpp"
#include "core/net/convert.hpp"

namespace sluice::coordinator {
namespace {

constexpr int kErrorsMax = 50;

}  // namespace

std::string step_of(const v1::StoredProject& state, const std::string& component_id, cluster::v1::ComponentKind kind) {
  auto steps = ProjectSteps::of(state.spec());
  switch (kind) {
    case cluster::v1::PRECHECK:
      return kPrecheck;
    case cluster::v1::STORE:
      return kLogPull;
    case cluster::v1::STRUCT_TRANSFER:
      return component_id.ends_with(".struct.idx") ? kIndexes : kStruct;
    case cluster::v1::FULL_IMPORT:
      return steps.full ? kFull : kIncr;
    case cluster::v1::INCR_SYNC:
      return steps.incremental ? kIncr : kFull;
    case cluster::v1::CHECKER:
      return kVerify;
    default:
      return kPrecheck;
  }
}

void fail_step(v1::StoredProject& state, const std::string& step, const Error& error, int64_t now_us) {
  auto wire = net::to_proto(error);
  for (auto& found : *state.mutable_steps()) {
    if (found.name() != step) continue;
    found.set_status("FAILED");
    found.set_failed_us(now_us);
    *found.mutable_error() = wire;
  }
  *state.add_errors() = wire;
  if (state.errors_size() > kErrorsMax) state.mutable_errors()->erase(state.mutable_errors()->begin());
  state.set_ending("FAILED");
  state.set_ending_us(now_us);
}

const char* step_description(const std::string& step) {
  if (step == kPrecheck) return "Precheck";
  if (step == kStruct) return "Schema migration";
  if (step == kLogPull) return "Pull incremental logs synchronously";
  if (step == kFull) return "Full migration";
  if (step == kIndexes) return "Index migration";
  if (step == kIncr) return "Incremental synchronization";
  if (step == kVerify) return "Full verification";
  return "";
}

}  // namespace sluice::coordinator
