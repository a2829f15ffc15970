// The pipeline of a full import: one planner actor that owns the plan, and worker actors that do its jobs.
#pragma once

#include <functional>
#include <memory>

#include "agents/components/full_import/import_plan.hpp"
#include "agents/components/full_import/import_worker.hpp"

namespace sluice::agents::full_import {

struct ImportRun {
  ImportPlan& plan;  // owned by the planner until run_import_actors returns
  size_t workers = 4;
  std::function<std::unique_ptr<ImportWorker>()> make_worker;
  // Called from the planner's thread for every job that came back, before the plan sees it.
  std::function<void(const ImportOutcome&)> on_outcome;
  // Called by the calling thread about five times a second; true: a stop is desired.
  std::function<bool()> tick;
  // Called once, from any thread, when jobs in flight are to be given up: a stop is desired, or the import failed.
  std::function<void()> give_up;
};

// Runs until the plan has ended and no job is in flight.
void run_import_actors(const ImportRun& run);

}  // namespace sluice::agents::full_import
