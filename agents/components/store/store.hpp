// Entry point of the store component; called by run_component on the main thread, returns when the work is done.
#pragma once

#include <functional>

#include "agents/components/runtime/component.hpp"

namespace sluice::agents {

Status run_store(ComponentContext& context);

// The same on a disk that has as many bytes free as `free_bytes` tells of the folder.
using FreeBytes = std::function<Result<uint64_t>(const std::string& folder)>;
Status run_store_on(ComponentContext& context, FreeBytes free_bytes);

}  // namespace sluice::agents
