// Cursor: one reader's place in a Log. Used by one thread; the log must outlive it.
//
// next() hands out visible blocks in source order, from one incarnation to the next, without a hole and without
// repeating a transaction. Of the first block only the transactions that were asked for are left in.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "store/log/log.hpp"

namespace sluice::store {

// The GTIDs at a place (file and offset) that is the border of transactions in the log; nothing when it is none.
Result<std::optional<std::string>> gtids_at(const Log& log, const Position& place);

class Cursor {
 public:
  // Transactions after this position. Its file may be empty: then the end of a transaction with exactly these gtids is
  // looked for. A position the log has not reached yet is waited for. An empty position: all that is retained.
  // POSITION_EXPIRED, naming the retained range, when the log does not reach back so far.
  static Result<Cursor> after(const Log& log, const Position& position);
  // From the first transaction committed at or after this time on. POSITION_EXPIRED when older ones were removed.
  static Result<Cursor> at_time(const Log& log, int64_t commit_time_us);

  // The next block; null when there is none now (Log::add_listener tells when to look again).
  Result<std::shared_ptr<const StoredBlock>> next();
  // Everything up to here was handed out, or lies before what was asked for.
  const Position& position() const { return position_; }
  bool at_end() const;

 private:
  explicit Cursor(const Log& log) : log_(&log) {}
  Status place();
  Status place_in(const Incarnation& row);
  bool passed(const BlockInfo& info) const;
  Result<bool> skip_transaction(const BlockInfo& first);
  Result<std::shared_ptr<const StoredBlock>> cut(std::shared_ptr<const StoredBlock> block);
  bool before_start(const Commit& commit) const;
  Error expired(const Position& wanted) const;

  const Log* log_;
  uint64_t incarnation_ = 0;  // 0: not placed yet, the log has not begun
  uint64_t sequence_ = 0;     // next to read
  Position position_;
  int64_t from_time_us_ = 0;  // 0: by position
  bool cutting_ = true;       // the first block to hand out is still to come
  bool inside_ = false;       // of a transaction: its first blocks were handed out, its last was not
};

}  // namespace sluice::store
