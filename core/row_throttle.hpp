// RowThrottle: a limit in rows per second. Whoever takes rows may run into debt; while there is one, nobody else may
// take any. Thread safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

#include "core/clock.hpp"

namespace sluice {

class RowThrottle {
 public:
  // The rows of at most this time are saved up while nobody takes any.
  explicit RowThrottle(std::chrono::nanoseconds saved, const Clock& clock = system_clock());

  // 0: none. Counts at once, also for what is owed.
  void set_rate(uint64_t rows_per_second);
  bool limited() const;
  bool open();               // nothing is owed
  void take(uint64_t rows);  // they pass now
  bool try_take(uint64_t rows);

 private:
  void refill();
  const double saved_s_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  uint64_t rate_ = 0;
  double rows_ = 0;  // saved; less than 0: owed
  BootTime at_;
};

}  // namespace sluice
