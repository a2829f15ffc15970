#include "core/lease.hpp"

#include <limits>

namespace sluice {

std::shared_ptr<Lease> Lease::unlimited() {
  auto lease = std::make_shared<Lease>(system_clock());
  lease->extend(BootTime(std::numeric_limits<int64_t>::max()));
  return lease;
}

void Lease::extend(BootTime deadline) {
  int64_t present = deadline_ns_.load(std::memory_order_relaxed);
  while (deadline.count() > present && !deadline_ns_.compare_exchange_weak(present, deadline.count())) {
  }
}

Status Lease::check() const {
  if (!expired()) return {};
  return Error(ErrorCode::LEASE_EXPIRED, "no renewal came before the deadline");
}

}  // namespace sluice
