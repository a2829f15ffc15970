// Entry point of the precheck component; called by run_component on the main thread, returns when the work is done.
#pragma once

#include <string_view>
#include <vector>

#include "agents/components/runtime/component.hpp"

namespace sluice::agents {

Status run_precheck(ComponentContext& context);

// The checks that a project can leave out, in the order in which they run.
std::vector<std::string_view> precheck_names();

}  // namespace sluice::agents
