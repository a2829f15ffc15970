// What run_incr_sync does with a job; for tests that bring their own log.
#pragma once

#include "agents/components/incr_sync/job.hpp"

namespace sluice::agents {

// Follows the log until it is told to end. Blocking.
Status follow(Job& job);

}  // namespace sluice::agents
