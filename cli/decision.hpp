// Decision: what is to be done about what stopped a project at one place of the log, as `sluice project decide` and
// `sluice migrate --decide` take it. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "sluice/admin/v1/admin.pb.h"

namespace sluice::cli {

struct Decision {
  std::string position;   // as the error names it
  std::string word;       // lower case: skip, retry, done, replace, overwrite
  std::string statement;  // of replace
};

// Of --decide: "POSITION=WORD". INVALID_ARGUMENT as check_decision() has it.
Result<Decision> parse_decision(const std::string& text, const std::string& statement);

// INVALID_ARGUMENT: a word that its position does not take, or a statement without replace and the other way round.
Status check_decision(const Decision& decision);

// The words by which the project can be made to go on that this error stopped; empty: no decision helps.
std::vector<std::string_view> decision_words(const Error& error);

admin::v1::DecideRequest decide_request(const std::string& project, const Decision& decision);

}  // namespace sluice::cli
