// Scheduler: which transactions may be applied now, and which of them together. Pure; one thread.
//
// Transactions are added in log order. A transaction depends on the last ones before it that claim the same values.
// It may be dispatched when each of its predecessors is committed or in the same group (otherwise two groups could wait
// for each other). Groups keep log order. Groups are made when an applier is idle, so a small transaction never waits.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <set>
#include <vector>

#include "sinks/database/apply/transaction.hpp"

namespace sluice::database {

struct GroupLimits {
  size_t transactions = 512;
  size_t rows = 1024;
  size_t bytes = 512 << 10;
};

class Scheduler {
 public:
  explicit Scheduler(GroupLimits limits = {}) : limits_(limits) {}

  void add(TransactionPtr transaction);
  // The next group for an idle applier, in log order; empty when nothing may be dispatched now. `idle` appliers share
  // what is pending.
  TransactionGroup next_group(size_t idle = 1);
  void committed(const TransactionGroup& group);

  bool empty() const { return pending_ == 0; }
  size_t pending() const { return pending_; }       // added, not yet committed
  size_t footprint() const { return footprint_; }   // bytes of memory of what is pending, without the row images
  size_t undispatched() const { return waiting_; }  // added, not yet in a group

 private:
  struct Node {
    TransactionPtr transaction;
    std::vector<Claim> claims;
    std::vector<uint64_t> successors;
    uint32_t blocking = 0;  // predecessors that are not committed
    uint32_t in_group = 0;  // of these, the ones in the group that is being made
    uint64_t group_stamp = 0, mark = 0;
    size_t footprint = 0;
    enum class State : uint8_t { kWaiting, kDispatched, kCommitted } state = State::kWaiting;
  };
  struct Slot {
    uint64_t exclusive = 0;        // sequence of the last writer, 0 = none
    std::vector<uint64_t> shared;  // those after it that only need the value
  };

  Node& node(uint64_t sequence) { return nodes_[sequence - base_]; }
  void depend(uint64_t on, uint64_t sequence);
  void release(uint64_t sequence);
  bool fits(const Transaction& transaction, size_t count, size_t rows, size_t bytes, size_t rows_limit) const;

  const GroupLimits limits_;
  std::deque<Node> nodes_;
  uint64_t base_ = 1;  // sequence of nodes_.front()
  absl::flat_hash_map<uint64_t, Slot> slots_;
  std::set<uint64_t> ready_;
  absl::flat_hash_map<const Transaction*, uint64_t> dispatched_;
  size_t pending_ = 0, waiting_ = 0, waiting_rows_ = 0, footprint_ = 0;
  uint64_t stamp_ = 0;
};

}  // namespace sluice::database
