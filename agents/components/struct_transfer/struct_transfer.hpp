// Entry point of the struct_transfer component; called by run_component on the main thread, returns when the work is
// done.
#pragma once

#include "agents/components/runtime/component.hpp"

namespace sluice::agents {

Status run_struct_transfer(ComponentContext& context);

}  // namespace sluice::agents
