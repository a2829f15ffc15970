// wait_until: waits for a condition instead of sleeping for luck.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace sluice::testing {

// Calls `condition` every `pause` until it is true; false when it was not true within `patience`.
inline bool wait_until(const std::function<bool()>& condition,
                       std::chrono::milliseconds patience = std::chrono::seconds(30),
                       std::chrono::milliseconds pause = std::chrono::milliseconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

}  // namespace sluice::testing
