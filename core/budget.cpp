#include "core/budget.hpp"

#include <algorithm>

namespace sluice {

ByteBudget::Grant::Grant(Grant&& other) noexcept : owner_(other.owner_), bytes_(other.bytes_) {
  other.owner_ = nullptr;
}

ByteBudget::Grant& ByteBudget::Grant::operator=(Grant&& other) noexcept {
  if (this != &other) {
    release();
    owner_ = other.owner_, bytes_ = other.bytes_;
    other.owner_ = nullptr;
  }
  return *this;
}

ByteBudget::Grant::~Grant() { release(); }

void ByteBudget::Grant::release() {
  if (owner_ != nullptr) owner_->give_back(bytes_);
  owner_ = nullptr;
  bytes_ = 0;
}

bool ByteBudget::fits(uint64_t bytes) const { return used_ == 0 || (used_ <= limit_ && bytes <= limit_ - used_); }

std::optional<ByteBudget::Grant> ByteBudget::try_acquire(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (closed_ || !waiting_.empty() || !fits(bytes)) return std::nullopt;
  used_ += bytes;
  return Grant(this, bytes);
}

std::optional<ByteBudget::Grant> ByteBudget::acquire(uint64_t bytes, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const uint64_t ticket = next_ticket_++;
  waiting_.push_back(ticket);
  const bool granted = changed_.wait_for(lock, patience, [&] {
    return closed_ || (waiting_.front() == ticket && fits(bytes));
  }) && !closed_;
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), ticket));
  if (granted) used_ += bytes;
  changed_.notify_all();
  return granted ? std::optional<Grant>(Grant(this, bytes)) : std::nullopt;
}

void ByteBudget::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

uint64_t ByteBudget::used_bytes() const {
  std::lock_guard lock(mutex_);
  return used_;
}

void ByteBudget::give_back(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  used_ -= bytes;
  changed_.notify_all();
}

}  // namespace sluice
