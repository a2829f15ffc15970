// ManualClock: a clock that goes on when a test says so. Thread safe.
#pragma once

#include <atomic>

#include "core/clock.hpp"

namespace sluice::testing {

class ManualClock final : public Clock {
 public:
  BootTime boot_time() const override { return BootTime(boot_ns_.load()); }
  int64_t unix_time_us() const override { return unix_us_.load(); }
  void advance(std::chrono::nanoseconds by) {
    boot_ns_ += by.count();
    unix_us_ += by.count() / 1000;
  }

 private:
  std::atomic<int64_t> boot_ns_{1'000'000'000};
  std::atomic<int64_t> unix_us_{1'700'000'000'000'000};
};

}  // namespace sluice::testing
