// SourceState: what the source said of its own log when it was last asked. Thread safe.
#pragma once

#include <mutex>

#include "core/position.hpp"

namespace sluice::store {

class SourceState {
 public:
  struct Sample {
    Position end;          // the source's end position
    int64_t asked_us = 0;  // and when that was, on the source's clock; 0: never asked
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
