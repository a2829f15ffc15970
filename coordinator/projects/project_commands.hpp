// What an operator can ask of a project: the state after it, or why it is refused. Pure, and all idempotent. Who calls
// persists the state before anything follows from it.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.hpp"
#include "sluice/coordinator/v1/state.pb.h"

namespace sluice::coordinator {

enum class Verb { kStart, kStop, kResume, kRelease, kDelete, kFinish, kDecide };

struct ProjectCommand {
  Verb verb = Verb::kStart;
  admin::v1::ResumeProjectRequest resume;  // of kResume
  cluster::v1::Decision decision;          // of kDecide
};
Result<v1::StoredProject> carry_out(const ProjectCommand& command, const v1::StoredProject& state, int64_t now_us);

v1::StoredProject new_project(std::string id, const admin::v1::CreateProjectRequest& spec, int64_t now_us);
Result<v1::StoredProject> start_project(const v1::StoredProject& state, int64_t now_us);
Result<v1::StoredProject> stop_project(const v1::StoredProject& state, int64_t now_us);
Result<v1::StoredProject> resume_project(const v1::StoredProject& state, const admin::v1::ResumeProjectRequest& wish,
                                         int64_t now_us);
Result<v1::StoredProject> release_project(const v1::StoredProject& state, int64_t now_us);
Result<v1::StoredProject> delete_project(const v1::StoredProject& state, int64_t now_us);
Result<v1::StoredProject> finish_project(const v1::StoredProject& state, int64_t now_us);

// Not an operator's wish: the coordinator itself cannot go on with it. The step that runs, or would be next, is FAILED.
v1::StoredProject fail_project(const v1::StoredProject& state, const Error& error, int64_t now_us);

// What Incr-Sync is to do with the statement or the transaction that stopped it: kept with the project, and handed to
// every Incr-Sync from now on. Of two decisions on one position the later one counts. INVALID_ARGUMENT names the field.
Result<v1::StoredProject> decide_position(const v1::StoredProject& state, const cluster::v1::Decision& decision,
                                          int64_t now_us);
// Of a project; the oldest go first: their positions were passed long ago.
inline constexpr int kDecisionsMax = 1000;
inline constexpr size_t kDecisionBytesMax = 1 << 20;

}  // namespace sluice::coordinator
