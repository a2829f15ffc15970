// Watermark: up to where everything is applied, and what is applied above that (exactness.md section 1). Pure; one
// thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/position.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::database {

class Watermark {
 public:
  // `known` are the ids that the recovered rows hold above `start`; they stand in applier 0's row until the log has
  // passed them.
  explicit Watermark(Position start = {}, std::unordered_set<std::string> known = {});

  // Transactions and passed positions, in log order. Returns the number by which applied() names the transaction.
  uint64_t add(std::string id, Position end, int64_t commit_time_us);
  // Nothing is to be applied up to here (heartbeats, events out of scope).
  void pass(Position end);
  // True for a transaction that the target holds already; it is forgotten by that, and the caller adds it as done.
  bool is_known(const std::string& id) const { return known_.contains(id); }
  bool knows_any() const { return !known_.empty(); }
  void add_known(const std::string& id, Position end, int64_t commit_time_us);
  void applied(uint64_t number, uint32_t applier);

  const Position& low() const { return low_; }
  size_t span() const { return entries_.size(); }       // above the low watermark
  size_t open() const { return open_; }                 // added, not applied
  int64_t oldest_open_time_us() const;                  // 0 when nothing is open
  int64_t low_time_us() const { return low_time_us_; }  // commit time of the last transaction below the watermark
  // The ids above the low watermark that this applier committed.
  std::vector<std::string> applied_by(uint32_t applier);

 private:
  struct Entry {
    std::string id;
    Position end;
    int64_t commit_time_us = 0;
    bool done = false;
  };
  void advance();
  static constexpr uint64_t kKnownSpan = 1 << 16;  // far above the span of any writer

  Position low_;
  uint64_t added_ = 0;
  int64_t low_time_us_ = 0;
  std::unordered_set<std::string> known_;
  std::deque<Entry> entries_;
  uint64_t first_ = 1;  // number of entries_.front()
  size_t open_ = 0;
  std::vector<std::deque<uint64_t>> by_applier_;
};

// What a start makes of the rows that it finds, whoever wrote them.
struct Recovered {
  bool found = false;  // there were rows
  Position start;      // the greatest low watermark
  std::unordered_set<std::string> known;
  uint64_t next_seq = 1;  // greater than any that was used, so that a late packet of an old session matches nothing
};
Recovered recover(const std::vector<CheckpointRow>& rows);

}  // namespace sluice::database
