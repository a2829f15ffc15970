// Entry point of the checker component; called by run_component on the main thread, returns when the work is done.
#pragma once

#include "agents/components/runtime/component.hpp"

namespace sluice::agents {

Status run_checker(ComponentContext& context);

}  // namespace sluice::agents
