#include "agents/components/full_import/import_actor.hpp"

#include <future>

#include "agents/actors.hpp"

namespace sluice::agents::full_import {
namespace {

struct worker_state {
  std::unique_ptr<ImportWorker> worker;
  const char* name = "import_worker";
};

import_worker_actor::behavior_type import_worker(import_worker_actor::stateful_pointer<worker_state> self,
                                                 std::function<std::unique_ptr<ImportWorker>()> make) {
  self->state.worker = make();
  return {[self](const ImportJobMessage& message) {
    return ImportOutcomeMessage{std::make_shared<const ImportOutcome>(self->state.worker->run(message.job))};
  }};
}

using planner_pointer = import_planner_actor::stateful_pointer<struct planner_state>;

struct planner_state {
  const char* name = "import_planner";
  const ImportRun* run = nullptr;
  std::promise<void>* ended = nullptr;
  std::vector<import_worker_actor> idle, all;
  bool given_up = false, over = false;

  void begin(planner_pointer self);
  void stop(planner_pointer self);
  void hand_out(planner_pointer self);
  void done(planner_pointer self, const import_worker_actor& worker, const ImportOutcome& outcome);
  void give_up();
  void look_for_end(planner_pointer self);
};

void planner_state::begin(planner_pointer self) {
  for (size_t i = 0; i < run->workers; ++i) all.push_back(self->spawn<caf::detached>(import_worker, run->make_worker));
  idle = all;
  hand_out(self);
  look_for_end(self);
}

void planner_state::stop(planner_pointer self) {
  run->plan.stop();
  give_up();
  look_for_end(self);
}

void planner_state::hand_out(planner_pointer self) {
  while (!idle.empty()) {
    const ImportJobPtr job = run->plan.next_job();
    if (!job) return;
    const import_worker_actor worker = idle.back();
    idle.pop_back();
    // No time limit: a job answers when it is done, and a worker that dies answers with an error.
    self->request(worker, caf::infinite, ImportJobMessage{job})
        .then([this, self, worker](const ImportOutcomeMessage& message) { done(self, worker, *message.outcome); },
              [this, self, worker, job](caf::error& error) {
                ImportOutcome outcome;
                outcome.job = job;
                outcome.error = Error(ErrorCode::INTERNAL, "a worker ended: " + self->system().render(error));
                done(self, worker, outcome);
              });
  }
}

void planner_state::done(planner_pointer self, const import_worker_actor& worker, const ImportOutcome& outcome) {
  run->on_outcome(outcome);
  run->plan.finished(outcome);
  idle.push_back(worker);
  if (run->plan.error()) give_up();
  hand_out(self);
  look_for_end(self);
}

void planner_state::give_up() {
  if (!given_up) run->give_up();
  given_up = true;
}

void planner_state::look_for_end(planner_pointer self) {
  if (over || !run->plan.ended()) return;
  over = true;
  for (const auto& worker : all) self->send_exit(worker, caf::exit_reason::user_shutdown);
  all.clear();
  idle.clear();
  ended->set_value();
  self->quit();
}

import_planner_actor::behavior_type import_planner(planner_pointer self, const ImportRun* run,
                                                   std::promise<void>* ended) {
  self->state.run = run;
  self->state.ended = ended;
  return {[self](import_begin_atom) { self->state.begin(self); }, [self](import_stop_atom) { self->state.stop(self); }};
}

}  // namespace

void run_import_actors(const ImportRun& run) {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", 1);  // the planner only; workers have threads of their own
  caf::actor_system system(config);
  std::promise<void> promise;
  auto ended = promise.get_future();
  {
    const auto planner = system.spawn(import_planner, &run, &promise);
    caf::anon_send(planner, import_begin_atom::value);
    bool stopping = false;
    while (ended.wait_for(std::chrono::milliseconds(200)) != std::future_status::ready) {
      if (!run.tick() || stopping) continue;
      stopping = true;
      caf::anon_send(planner, import_stop_atom::value);
    }
  }
  system.await_all_actors_done();
}

}  // namespace sluice::agents::full_import
