#include "core/row_throttle.hpp"

#include <algorithm>

namespace sluice {

RowThrottle::RowThrottle(std::chrono::nanoseconds saved, const Clock& clock)
    : saved_s_(std::chrono::duration<double>(saved).count()), clock_(clock), at_(clock.boot_time()) {}

void RowThrottle::refill() {
  const BootTime now = clock_.boot_time();
  const auto rate = static_cast<double>(rate_);
  rows_ = std::min(rows_ + std::chrono::duration<double>(now - at_).count() * rate, saved_s_ * rate);
  at_ = now;
}

void RowThrottle::set_rate(uint64_t rows_per_second) {
  std::lock_guard lock(mutex_);
  if (rows_per_second == rate_) return;
  refill();
  rate_ = rows_per_second;
  if (rate_ == 0) rows_ = 0;  // nobody waits for what was taken under a limit that is lifted
}

bool RowThrottle::limited() const {
  std::lock_guard lock(mutex_);
  return rate_ > 0;
}

bool RowThrottle::open() {
  std::lock_guard lock(mutex_);
  if (rate_ == 0) return true;
  refill();
  return rows_ >= 0;
}

void RowThrottle::take(uint64_t rows) {
  std::lock_guard lock(mutex_);
  if (rate_ == 0) return;
  refill();
  rows_ -= static_cast<double>(rows);
}

bool RowThrottle::try_take(uint64_t rows) {
  std::lock_guard lock(mutex_);
  if (rate_ == 0) return true;
  refill();
  if (rows_ < 0) return false;
  rows_ -= static_cast<double>(rows);
  return true;
}

}  // namespace sluice
