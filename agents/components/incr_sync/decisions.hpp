// Decisions: what the operator decided, sorted by what it is about. Pure.
#pragma once

#include <map>
#include <string>

#include "agents/components/runtime/component.hpp"
#include "sinks/database/apply/ddl_runner.hpp"

namespace sluice::agents::incr_sync {

struct Decisions {
  std::map<std::string, database::DdlDecision> ddl;           // by the statement's position
  std::map<std::string, database::ConflictPolicy> conflicts;  // by the transaction's id
};
// Words that are not known are left out: the coordinator has refused them.
Decisions decisions_of(const cluster::v1::ComponentDesired& desired);

}  // namespace sluice::agents::incr_sync
