// SourceState: what the source said of its own log when it last answered. Thread safe.
#pragma once

#include <chrono>
#include <mutex>

#include "core/position.hpp"

namespace sluice::store {

class SourceState {
 public:
  struct Sample {
    Position end;                                      // the source's end position
    int64_t asked_us = 0;                              // and when that was, on the source's clock; 0: it never answered
    std::chrono::steady_clock::time_point answered{};  // the same on ours
    int64_t age_ms() const {
      return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - answered).count();
    }
  };
  void set(Sample sample) {
    std::lock_guard lock(mutex_);
    sample_ = std::move(sample);
  }
  Sample get() const {
    std::lock_guard lock(mutex_);
    return sample_;
  }

 private:
  mutable std::mutex mutex_;
  Sample sample_;
};

}  // namespace sluice::store
