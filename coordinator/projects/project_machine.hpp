// The project state machine. Pure: state and what the cluster shows go in, the next state and what shall run come out.
//
//   loop: decision = decide(state, views, now)
//         decision.changed → persist decision.next, state = decision.next, again
//         else             → tell the cluster decision.wanted
//
// So nothing is acted on that is not persisted, and after a crash at any point the same decisions follow from the
// persisted state and the agents' next reports. Reports of components placed in an earlier attempt do not end a step.
#pragma once

#include <cstdint>
#include <string>

#include "coordinator/cluster/types.hpp"
#include "coordinator/projects/project_spec.hpp"
#include "sluice/coordinator/v1/state.pb.h"

namespace sluice::coordinator {

// The wanted components have no endpoints: who knows the secrets fills them in.
struct Decision {
  v1::StoredProject next;
  bool changed = false;
  WantedProject wanted;
};

Decision decide(const v1::StoredProject& state, const ComponentViews& views, int64_t now_us);

// ---- commands: the state after them, or why they are refused. All idempotent. ----
v1::StoredProject new_project(std::string id, const admin::v1::CreateProjectRequest& spec, int64_t now_us);
Result<v1::StoredProject> start_project(const v1::StoredProject& state, int64_t now_us);
Result<v1::StoredProject> stop_project(const v1::StoredProject& state, int64_t now_us);
Result<v1::StoredProject> resume_project(const v1::StoredProject& state, const admin::v1::ResumeProjectRequest& wish,
                                         int64_t now_us);
Result<v1::StoredProject> release_project(const v1::StoredProject& state, int64_t now_us);
Result<v1::StoredProject> delete_project(const v1::StoredProject& state, int64_t now_us);
Result<v1::StoredProject> finish_project(const v1::StoredProject& state, int64_t now_us);

// Which step answers for a component, by its id and kind.
std::string step_of(const v1::StoredProject& state, cluster::v1::ComponentKind kind);
const char* step_description(const std::string& step);

}  // namespace sluice::coordinator
