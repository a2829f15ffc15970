// The actors of the Checker's first pass: one planner and several comparers, all detached because they wait for
// databases. A comparer asks for a job by handing in the outcome of its last one, so the planner never has more jobs
// open than there are comparers.
#pragma once

#include "agents/components/checker/check_plan.hpp"

namespace sluice::agents::checker {

struct FirstPass {
  TablePairs pairs;
  SideEndpoints endpoints;
  uint32_t comparers = 4;
  CheckJournal* journal = nullptr;  // used by the planner only
};

// Compares all chunks of all tables once. Blocks until it is done; returns what did not come out equal. CANCELLED when
// a stop was desired.
Result<PendingTables> run_first_pass(ComponentContext& context, const FirstPass& pass);

}  // namespace sluice::agents::checker
