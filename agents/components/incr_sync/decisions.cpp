#include "agents/components/incr_sync/decisions.hpp"

#include <optional>

namespace sluice::agents::incr_sync {
namespace {

std::optional<database::DdlDecision::What> ddl_word(const std::string& word) {
  using enum database::DdlDecision::What;
  if (word == "SKIP") return kSkip;
  if (word == "DONE") return kDone;
  if (word == "RETRY") return kRetry;
  if (word == "REPLACE") return kReplace;
  return {};
}

}  // namespace

Decisions decisions_of(const cluster::v1::ComponentDesired& desired) {
  Decisions decisions;
  for (const auto& one : desired.decisions()) {
    // A statement's position ends with its number; no transaction has such an id.
    if (one.position().find('#') == std::string::npos) {
      if (one.decision() == "OVERWRITE") decisions.conflicts[one.position()] = database::ConflictPolicy::kOverwrite;
      if (one.decision() == "SKIP") decisions.conflicts[one.position()] = database::ConflictPolicy::kSkip;
    } else if (const auto what = ddl_word(one.decision())) {
      const std::string identity = one.decision() + " " + std::to_string(one.number()) + " " + one.statement();
      decisions.ddl[one.position()] = {*what, one.statement(), identity};
    }
  }
  return decisions;
}

}  // namespace sluice::agents::incr_sync
