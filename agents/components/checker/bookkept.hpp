// What the project's bookkeeping on the target says about its tables while they are verified: a table that is copied
// again, and a row that was left as it was by a conflict, void what was found equal before.
// Blocking, on the thread that owns the connection.
#pragma once

#include <map>
#include <vector>

#include "agents/components/checker/check_plan.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::agents::checker {

struct Bookkept {
  std::map<TableName, uint64_t> copies;  // by source name; another number means another copy
  std::vector<database::ConflictRow> conflicts;
  uint64_t conflicts_total = 0;
};

// Empty when the project keeps none (only a verification was asked for).
Result<Bookkept> read_bookkept(const ComponentContext& context, const SideEndpoints& endpoints);
// Which copy of each table is there, in the order of the pairs.
std::vector<uint64_t> copies_of(const Bookkept& bookkept, const std::vector<TablePair>& pairs);
// What must be compared again because of what happened between the two looks.
Result<PendingTables> voided(const SideEndpoints& endpoints, const std::vector<TablePair>& pairs,
                             const Bookkept& before, const Bookkept& now);

}  // namespace sluice::agents::checker
