// BlockSink: where capture puts its blocks. Called by the capturing thread only.
#pragma once

#include "store/log/log.hpp"

namespace sluice::store {

class BlockSink {
 public:
  virtual ~BlockSink() = default;
  // Before the first block: what follows continues after `begin` (Log::begin_incarnation).
  virtual Status begin(const Position& begin, int64_t begin_time_us) = 0;
  // Waits while too many bytes are on their way. An error ends capture.
  virtual Status write(NewBlock block) = 0;
  virtual Status discard_open() = 0;
};

}  // namespace sluice::store
