// Entry point of the full_import component; called by run_component on the main thread, returns when the work is done.
#pragma once

#include "agents/components/runtime/component.hpp"

namespace sluice::agents {

Status run_full_import(ComponentContext& context);

}  // namespace sluice::agents
