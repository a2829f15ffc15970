// Clock: the two times a process may use, replaceable in tests. Implementations are thread safe.
//
// boot_time() is CLOCK_BOOTTIME: monotonic, goes on while the machine sleeps, the same in all processes of a node. All
// leases and deadlines use it. unix_time_us() is the wall clock, for display and for lag only.
#pragma once

#include <chrono>
#include <cstdint>

namespace sluice {

using BootTime = std::chrono::nanoseconds;  // since boot

class Clock {
 public:
  virtual ~Clock() = default;
  virtual BootTime boot_time() const = 0;
  virtual int64_t unix_time_us() const = 0;
};

Clock& system_clock();

}  // namespace sluice
