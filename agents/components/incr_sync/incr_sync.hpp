// Entry point of the incr_sync component; called by run_component on the main thread, returns when the work is done.
#pragma once

#include "agents/components/runtime/component.hpp"

namespace sluice::agents {

Status run_incr_sync(ComponentContext& context);

}  // namespace sluice::agents
