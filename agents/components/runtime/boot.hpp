// Reading the boot message of a component process from the pipe that the agent left open.
#pragma once

#include "core/result.hpp"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents {

inline constexpr int kBootFd = 3;
inline constexpr int kExitRetry = 75;  // EX_TEMPFAIL: start again with a new epoch
inline constexpr int kExitLeaseOver =
    76;  // its lease was over, or its agent did not want it: not the component's fault
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// Reads until the writer closes the pipe, closes `fd`, checks that the message is whole. The pipe's buffer is wiped.
Result<cluster::v1::ComponentBoot> read_boot(int fd);

}  // namespace sluice::agents
