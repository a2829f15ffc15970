// Waiting, trying again and keeping to the project's throttle, each ended early by a stop or by the end of the lease.
// Any thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "agents/components/runtime/component.hpp"
#include "core/log.hpp"

namespace sluice::agents::checker {

// Waits; CANCELLED when a stop is desired, LEASE_EXPIRED when the lease is over.
Status wait_for(ComponentContext& context, std::chrono::milliseconds time);

// Waits so long that `rows`, read by one of `readers` in `seconds`, keep to the project's limit of rows per second.
Status pace(ComponentContext& context, uint64_t rows, double seconds, uint32_t readers = 1);

// Calls `attempt` until it succeeds or fails for good, and begins no more attempts when it has failed for a minute: a
// server that is restarted, or frozen for a while, must not cost the whole verification. `attempt` opens lost
// connections again.
template <class Attempt>
auto patiently(ComponentContext& context, std::string_view what, Attempt attempt) -> decltype(attempt()) {
  constexpr std::chrono::seconds kRetryFor{60};
  constexpr std::chrono::milliseconds kLongestPause{5000};
  std::optional<std::chrono::steady_clock::time_point> failing_since;
  for (std::chrono::milliseconds pause{200};; pause = std::min(pause * 2, kLongestPause)) {
    auto result = attempt();
    if (result.ok() || !result.error().retryable()) return result;
    // From the end of the first failure: an attempt that waited long for a silent server is tried again as well.
    const auto now = std::chrono::steady_clock::now();
    if (!failing_since) failing_since = now;
    if (now - *failing_since > kRetryFor) return result;
    log::warn("checker", "tried again", {{"what", std::string(what)}, {"cause", result.error()}});
    if (auto waited = wait_for(context, pause); !waited.ok()) return waited.error();
  }
}

}  // namespace sluice::agents::checker
