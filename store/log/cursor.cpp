#include "store/log/cursor.hpp"

#include "store/log/reencode.hpp"

namespace sluice::store {
namespace {

// The position with file and offset at which a transaction with exactly these gtids ends.
Result<Position> locate_gtids(const Log& log, const std::string& gtids) {
  auto rows = log.incarnations();
  for (auto& row : rows) {
    if (row.begin.gtids == gtids) return row.begin;
    for (uint64_t sequence = row.first; sequence <= row.visible; ++sequence) {
      SLUICE_ASSIGN(auto info, log.block_info(row.id, sequence));
      if (info.complete && info.end.gtids == gtids) return info.end;
    }
  }
  for (auto& row : rows) {
    for (uint64_t sequence = row.first; sequence <= row.visible; ++sequence) {
      SLUICE_ASSIGN(auto block, log.block(row.id, sequence));
      Position found;
      SLUICE_TRY(block->batch.for_each([&](const RecordView& record) -> Status {
        auto* commit = std::get_if<Commit>(&record);
        if (commit && commit->gtids == gtids) found = commit->position();
        return {};
      }));
      if (!found.empty()) return found;
    }
  }
  return Error(ErrorCode::POSITION_EXPIRED, "no retained transaction ends at this GTID position", {}, gtids);
}

// The first block of an incarnation for which `wanted` holds, which it then does for all that follow.
template <class Wanted>
Result<uint64_t> first_block(const Log& log, const Incarnation& row, Wanted wanted) {
  uint64_t low = row.first, high = row.visible + 1;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    SLUICE_ASSIGN(auto info, log.block_info(row.id, middle));
    if (wanted(info))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

bool same_place(const Position& a, const Position& b) { return compare_in_log(a, b) == 0; }

}  // namespace

Result<std::optional<std::string>> gtids_at(const Log& log, const Position& place) {
  for (auto& row : log.incarnations()) {
    if (same_place(row.begin, place)) return std::optional(row.begin.gtids);
    if (compare_in_log(row.begin, place) > 0 || compare_in_log(row.end, place) < 0) continue;
    SLUICE_ASSIGN(uint64_t sequence,
                  first_block(log, row, [&](const BlockInfo& info) { return compare_in_log(info.end, place) >= 0; }));
    if (sequence > row.visible) continue;
    SLUICE_ASSIGN(auto block, log.block(row.id, sequence));
    std::optional<std::string> found;
    SLUICE_TRY(block->batch.for_each([&](const RecordView& record) -> Status {
      auto* commit = std::get_if<Commit>(&record);
      auto* heartbeat = std::get_if<Heartbeat>(&record);
      if (commit && same_place(commit->position(), place)) found = std::string(commit->gtids);
      if (heartbeat && same_place(heartbeat->position(), place)) found = std::string(heartbeat->gtids);
      return {};
    }));
    if (found) return found;
  }
  return std::optional<std::string>();
}

Error Cursor::expired(const Position& wanted) const {
  auto status = log_->status();
  return Error(ErrorCode::POSITION_EXPIRED,
               "retained is (" + status.begin.to_string() + ", " + status.end.to_string() + "]", {},
               wanted.to_string());
}

Result<Cursor> Cursor::after(const Log& log, const Position& position) {
  Cursor cursor(log);
  cursor.position_ = position;
  if (position.file.empty() && !position.gtids.empty()) {
    SLUICE_ASSIGN(cursor.position_, locate_gtids(log, position.gtids));
  }
  SLUICE_TRY(cursor.place());
  return cursor;
}

Result<Cursor> Cursor::at_time(const Log& log, int64_t commit_time_us) {
  Cursor cursor(log);
  cursor.from_time_us_ = commit_time_us;
  auto rows = log.incarnations();
  if (!rows.empty() && rows.front().begin_time_us > commit_time_us)
    return Error(ErrorCode::POSITION_EXPIRED,
                 "the log begins at " + rows.front().begin.to_string() + ", later than that", {},
                 std::to_string(commit_time_us) + " us");
  SLUICE_TRY(cursor.place());
  return cursor;
}

// Finds the incarnation and the block to begin with.
Status Cursor::place() {
  auto rows = log_->incarnations();
  if (rows.empty()) return {};
  if (from_time_us_) {
    for (auto& row : rows)
      if (row.max_commit_us >= from_time_us_ && row.visible >= row.first) return place_in(row);
    return place_in(rows.back());
  }
  if (position_.empty()) return place_in(rows.front());
  if (compare_in_log(position_, rows.front().begin) < 0) return expired(position_);
  for (auto row = rows.rbegin(); row != rows.rend(); ++row)
    if (compare_in_log(row->begin, position_) <= 0) return place_in(*row);
  return expired(position_);
}

// Whether all of the block lies before what was asked for.
bool Cursor::passed(const BlockInfo& info) const {
  if (from_time_us_) return info.max_commit_us < from_time_us_;
  return compare_in_log(info.end, position_) <= 0;
}

Status Cursor::place_in(const Incarnation& row) {
  incarnation_ = row.id;
  cutting_ = true;
  if (position_.empty()) position_ = row.begin;
  SLUICE_ASSIGN(sequence_, first_block(*log_, row, [&](const BlockInfo& info) { return !passed(info); }));
  if (sequence_ <= row.visible) {
    SLUICE_ASSIGN(auto info, log_->block_info(row.id, sequence_));
    sequence_ = info.transaction_sequence;
  }
  return {};
}

bool Cursor::at_end() const {
  auto extent = log_->extent(incarnation_);
  return !extent.next_incarnation && (!extent.exists || sequence_ > extent.visible);
}

Result<std::shared_ptr<const StoredBlock>> Cursor::next() {
  for (;;) {
    auto extent = log_->extent(incarnation_);
    if (!extent.exists) {
      if (!extent.next_incarnation) return std::shared_ptr<const StoredBlock>();
      // It went while this reader was in it: retention took it, or it was empty when the next one began. The position
      // tells which; inside a transaction there is no going on.
      if (inside_) return expired(position_);
      SLUICE_TRY(place());
      continue;
    }
    if (sequence_ < extent.first) return expired(position_);
    if (sequence_ > extent.visible) {
      if (!extent.next_incarnation) return std::shared_ptr<const StoredBlock>();
      for (auto& row : log_->incarnations()) {
        if (row.id != extent.next_incarnation) continue;
        if (compare_in_log(row.begin, position_) > 0 && !from_time_us_) return expired(position_);
        SLUICE_TRY(place_in(row));
      }
      continue;
    }
    auto block = log_->block(incarnation_, sequence_);
    if (!block.ok()) {
      // Retention may have taken the block between the look and the read.
      if (log_->extent(incarnation_).first > sequence_) return expired(position_);
      return block.error();
    }
    auto found = std::move(block).value();
    if (cutting_) {
      SLUICE_ASSIGN(bool skipped, skip_transaction(found->info));
      if (skipped) continue;
      SLUICE_ASSIGN(found, cut(std::move(found)));
    }
    ++sequence_;
    if (!found) continue;
    cutting_ = false;
    from_time_us_ = 0;
    inside_ = !found->info.complete;
    if (found->info.complete) position_ = found->info.end;
    return found;
  }
}

// A transaction over several blocks is wanted or not as a whole; its last block tells.
Result<bool> Cursor::skip_transaction(const BlockInfo& first) {
  if (first.complete && first.transaction_sequence == first.sequence) return false;
  BlockInfo last = first;
  while (!last.complete) {
    SLUICE_ASSIGN(last, log_->block_info(incarnation_, last.sequence + 1));
  }
  bool wanted = from_time_us_ ? last.last_commit_us >= from_time_us_ : compare_in_log(last.end, position_) > 0;
  if (wanted) return false;
  sequence_ = last.sequence + 1;
  return true;
}

bool Cursor::before_start(const Commit& commit) const {
  if (from_time_us_) return commit.commit_time_us < from_time_us_;
  return compare_in_log(commit.position(), position_) <= 0;
}

// Leaves out the transactions that were not asked for; null when nothing is left.
Result<std::shared_ptr<const StoredBlock>> Cursor::cut(std::shared_ptr<const StoredBlock> block) {
  if (!block->info.complete || block->info.transaction_sequence != block->info.sequence) return block;
  // Counts the leading transactions to drop; a heartbeat is dropped when nothing that stays precedes it.
  size_t drop = 0, records = 0;
  bool dropping = true;
  SLUICE_TRY(block->batch.for_each([&](const RecordView& record) -> Status {
    ++records;
    if (!dropping) return {};
    if (auto* commit = std::get_if<Commit>(&record)) {
      if (before_start(*commit))
        drop = records;
      else
        dropping = false;
    } else if (auto* heartbeat = std::get_if<Heartbeat>(&record)) {
      if (from_time_us_ || compare_in_log(heartbeat->position(), position_) <= 0)
        drop = records;
      else
        dropping = false;
    }
    return {};
  }));
  if (!drop) return block;
  if (drop == records) return std::shared_ptr<const StoredBlock>();
  BatchBuilder builder;
  size_t index = 0;
  SLUICE_TRY(block->batch.for_each(
      [&](const RecordView& record) -> Status { return index++ < drop ? Status() : add_record(builder, record); }));
  StoredBlock rest{block->info, block->batch};
  rest.info.schema_ids = builder.schema_ids();
  rest.info.rows = builder.row_count();
  SLUICE_ASSIGN(rest.batch, Batch::open(builder.finish()));
  rest.info.bytes = rest.batch.size();
  return std::make_shared<const StoredBlock>(std::move(rest));
}

}  // namespace sluice::store
