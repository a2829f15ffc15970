// Lease: a process's right to write, until a deadline. Thread safe; the check is one atomic load and a clock read.
//
// Every send to a target, Store or broker is preceded by check(). Once the deadline is over the lease never becomes
// valid again by itself; only extend() with the same epoch's newer deadline does that, and a component exits before.
#pragma once

#include <atomic>
#include <memory>

#include "core/clock.hpp"
#include "core/result.hpp"

namespace sluice {

class Lease {
 public:
  explicit Lease(Clock& clock) : clock_(clock) {}
  // No deadline (tests, tools that run outside a cluster).
  static std::shared_ptr<Lease> unlimited();

  void extend(BootTime deadline);  // ignores a deadline before the present one
  Status check() const;            // LEASE_EXPIRED when over
  BootTime deadline() const { return BootTime(deadline_ns_.load(std::memory_order_relaxed)); }
  bool expired() const { return clock_.boot_time() >= deadline(); }

 private:
  Clock& clock_;
  std::atomic<int64_t> deadline_ns_{0};
};

}  // namespace sluice
