#include "coordinator/projects/project_commands.hpp"

#include <algorithm>
#include <numeric>

#include "coordinator/projects/project_spec.hpp"
#include "coordinator/projects/project_steps.hpp"

namespace sluice::coordinator {
namespace {

Error wrong_state(const v1::StoredProject& state, const std::string& why) {
  return Error(ErrorCode::WRONG_STATE, "the project is " + state.status() + ": " + why, state.id());
}

bool gone(const v1::StoredProject& state) {
  return state.status() == "RELEASED" || state.status() == "DELETED" || state.ending() == "RELEASED" ||
         state.ending() == "DELETED";
}

bool changes_components(admin::v1::CreateProjectRequest before, const admin::v1::CreateProjectRequest& after) {
  before.set_run_mode(after.run_mode());
  return before.SerializeAsString() != after.SerializeAsString();
}

v1::StoredProject ending(v1::StoredProject state, const char* to, int64_t now_us) {
  state.set_ending(to);
  state.set_ending_us(now_us);
  state.set_modified_us(now_us);
  return state;
}

constexpr size_t kPositionBytesMax = 4096, kStatementBytesMax = 64 << 10;

Error invalid(const char* field, const std::string& why) {
  return Error(ErrorCode::INVALID_ARGUMENT, std::string(field) + ": " + why, field);
}

// "GTID#n" or "FILE:OFFSET#n": one statement of a transaction, as errors of DDL name it.
bool names_statement(const std::string& position) {
  auto mark = position.rfind('#');
  return mark != std::string::npos && mark > 0 && mark + 1 < position.size() &&
         position.find_first_not_of("0123456789", mark + 1) == std::string::npos;
}

Status check(const cluster::v1::Decision& decision) {
  const std::string& position = decision.position();
  if (position.empty()) return invalid("position", "is missing");
  if (position.size() > kPositionBytesMax) return invalid("position", "is too long");
  if (position.find('#') != std::string::npos && !names_statement(position))
    return invalid("position", "a number stands after the # of a statement");
  const std::string& word = decision.decision();
  if (!names_statement(position)) {
    if (word != "OVERWRITE" && word != "SKIP")
      return invalid("decision", "OVERWRITE or SKIP for a transaction; a statement's position ends in #n");
  } else if (word != "SKIP" && word != "RETRY" && word != "DONE" && word != "REPLACE") {
    return invalid("decision", "SKIP, RETRY, DONE or REPLACE for a statement");
  }
  if (word == "REPLACE" && decision.statement().empty()) return invalid("statement", "is missing");
  if (word != "REPLACE" && !decision.statement().empty()) return invalid("statement", "is only for REPLACE");
  if (decision.statement().size() > kStatementBytesMax) return invalid("statement", "is longer than 64 KiB");
  return {};
}

}  // namespace

v1::StoredProject new_project(std::string id, const admin::v1::CreateProjectRequest& spec, int64_t now_us) {
  v1::StoredProject state;
  state.set_id(std::move(id));
  *state.mutable_spec() = spec;
  state.set_status("INIT");
  state.set_created_us(now_us);
  state.set_modified_us(now_us);
  auto steps = ProjectSteps::of(spec);
  auto add = [&](const char* name, bool enabled) {
    if (!enabled) return;
    auto* step = state.add_steps();
    step->set_name(name);
    step->set_status("INIT");
  };
  add(kPrecheck, true);
  add(kStruct, steps.structure);
  add(kLogPull, steps.log());
  add(kFull, steps.full);
  add(kIndexes, steps.defer_indexes);
  add(kIncr, steps.incremental);
  add(kVerify, steps.verify);
  return state;
}

Result<v1::StoredProject> start_project(const v1::StoredProject& state, int64_t now_us) {
  if (state.status() == "RUNNING" && state.ending().empty()) return state;
  if (state.status() != "INIT" || !state.ending().empty())
    return wrong_state(state, "only a project that has not started is started; resume it");
  v1::StoredProject next = state;
  next.set_status("RUNNING");
  next.set_attempt(next.attempt() + 1);
  next.set_started_us(now_us);
  next.set_modified_us(now_us);
  return next;
}

Result<v1::StoredProject> stop_project(const v1::StoredProject& state, int64_t now_us) {
  if (gone(state)) return wrong_state(state, "nothing is left to stop");
  if (state.status() == "SUSPEND" || state.ending() == "SUSPEND" || state.ending() == "FAILED" ||
      state.status() == "FAILED")
    return state;
  if (state.status() != "RUNNING") return wrong_state(state, "only a running project is stopped");
  return ending(state, "SUSPEND", now_us);
}

Result<v1::StoredProject> resume_project(const v1::StoredProject& state, const admin::v1::ResumeProjectRequest& wish,
                                         int64_t now_us) {
  if (gone(state)) return wrong_state(state, "its resources are released");
  if (state.status() == "INIT") return wrong_state(state, "start it");
  SLUICE_ASSIGN(auto spec, changed_spec(state.spec(), wish));
  // A component that runs keeps what it was started with.
  if ((state.status() == "RUNNING" || !state.ending().empty()) && changes_components(state.spec(), spec))
    return wrong_state(state, "stop it before its options are changed");
  v1::StoredProject next = state;
  *next.mutable_spec() = std::move(spec);
  if (state.status() == "RUNNING" && state.ending().empty()) return next;
  bool over = state.status() == "FINISHED" || state.ending() == "FINISHED";
  if (over && !wish.again())
    return wrong_state(state, "it has ended; ask for `again` to catch up and verify once more");
  next.set_status("RUNNING");
  next.clear_errors();  // of earlier attempts
  next.clear_ending();
  next.clear_ending_us();
  next.set_attempt(next.attempt() + 1);
  next.clear_finished_us();
  next.set_modified_us(now_us);
  // The wish to finish was one of the attempt that is over; where everything shall be done once it comes back by
  // itself.
  next.clear_finish();
  next.clear_draining();
  if (ProjectSteps::of(next.spec()).incremental) {
    next.clear_incr_done();
    next.clear_counters_done();
  }
  // What was verified before says nothing of what is followed from now on: it is verified again.
  const bool repeat = over || state.verified();
  if (repeat) {
    next.clear_verified();
    next.clear_verification();
    next.clear_differences();
    next.clear_unsettled();
    next.clear_hold();
  }
  for (auto& step : *next.mutable_steps()) {
    bool repeated = repeat && (step.name() == kIncr || step.name() == kVerify);
    if (step.status() == "SUSPEND" || step.status() == "FAILED") {
      step.clear_error();
      step.clear_failed_us();
      step.set_status(step.finished_us() > 0 ? "FINISHED" : "RUNNING");
    }
    if (step.status() != "FINISHED" || repeated) {
      step.clear_error();
      step.clear_failed_us();
      step.clear_finished_us();
    }
    if (repeated) {
      step.set_status("INIT");
      step.clear_started_us();
    }
  }
  return next;
}

Result<v1::StoredProject> release_project(const v1::StoredProject& state, int64_t now_us) {
  if (gone(state)) return state;
  auto next = ending(state, "RELEASED", now_us);
  next.set_status("RELEASING");
  return next;
}

Result<v1::StoredProject> delete_project(const v1::StoredProject& state, int64_t now_us) {
  if (state.status() == "DELETED" || state.ending() == "DELETED") return state;
  auto next = ending(state, "DELETED", now_us);
  next.set_status("RELEASING");
  return next;
}

Result<v1::StoredProject> finish_project(const v1::StoredProject& state, int64_t now_us) {
  if (gone(state)) return wrong_state(state, "its resources are released");
  if (state.status() == "FINISHED" || state.ending() == "FINISHED" || state.finish()) return state;
  if (state.status() != "RUNNING" || !state.ending().empty())
    return wrong_state(state, "only a running project is finished; resume it first");
  v1::StoredProject next = state;
  next.set_finish(true);
  next.set_modified_us(now_us);
  return next;
}

v1::StoredProject fail_project(const v1::StoredProject& state, const Error& error, int64_t now_us) {
  v1::StoredProject next = state;
  auto step = std::find_if(next.steps().begin(), next.steps().end(),
                           [](const auto& one) { return one.status() == "RUNNING" || one.status() == "MONITORING"; });
  if (step == next.steps().end())
    step = std::find_if(next.steps().begin(), next.steps().end(),
                        [](const auto& one) { return one.status() != "FINISHED"; });
  fail_step(next, step == next.steps().end() ? std::string() : step->name(), error, now_us);
  next.set_modified_us(now_us);
  return next;
}

Result<v1::StoredProject> decide_position(const v1::StoredProject& state, const cluster::v1::Decision& decision,
                                          int64_t now_us) {
  SLUICE_TRY(check(decision));
  if (gone(state)) return wrong_state(state, "its resources are released");
  if (state.status() == "INIT") return wrong_state(state, "nothing has stopped it yet");
  v1::StoredProject next = state;
  auto* all = next.mutable_decisions();
  auto same = std::find_if(all->begin(), all->end(),
                           [&](const auto& earlier) { return earlier.position() == decision.position(); });
  uint64_t number = 1;
  for (const auto& earlier : *all) number = std::max<uint64_t>(number, earlier.number() + 1);
  if (same != all->end()) {
    // Incr-Sync carries a numbered word out once; given again after the project has stopped again, it is another one.
    const bool repeated = same->decision() == decision.decision() && same->statement() == decision.statement();
    if (repeated && state.status() != "FAILED") return state;
    all->erase(same);
  }
  auto* given = all->Add();
  *given = decision;
  given->set_number(number);
  const auto bytes = [&] {
    return std::accumulate(all->begin(), all->end(), size_t(0),
                           [](size_t sum, const auto& one) { return sum + one.ByteSizeLong(); });
  };
  while (all->size() > kDecisionsMax || bytes() > kDecisionBytesMax) all->erase(all->begin());
  next.set_modified_us(now_us);
  return next;
}

Result<v1::StoredProject> carry_out(const ProjectCommand& command, const v1::StoredProject& state, int64_t now_us) {
  switch (command.verb) {
    case Verb::kStart:
      return start_project(state, now_us);
    case Verb::kStop:
      return stop_project(state, now_us);
    case Verb::kResume:
      return resume_project(state, command.resume, now_us);
    case Verb::kRelease:
      return release_project(state, now_us);
    case Verb::kDelete:
      return delete_project(state, now_us);
    case Verb::kFinish:
      return finish_project(state, now_us);
    case Verb::kDecide:
      return decide_position(state, command.decision, now_us);
  }
  return Error(ErrorCode::INTERNAL, "unknown command");
}

}  // namespace sluice::coordinator
