// Registered readers, and removing what nobody needs any more.
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

#include "core/log.hpp"
#include "store/log/log.hpp"

namespace sluice::store {

std::vector<ReaderRow> Log::readers() const {
  std::lock_guard lock(mutex_);
  std::vector<ReaderRow> rows;
  for (auto& [name, row] : readers_) rows.push_back(row);
  return rows;
}

Status Log::register_reader(const ReaderRow& reader) {
  ReaderRow row = reader;
  {
    std::lock_guard lock(mutex_);
    auto known = readers_.find(reader.name);
    if (known != readers_.end()) {
      if (known->second.epoch > reader.epoch)
        return Error(
            ErrorCode::STALE_EPOCH,
            "reader has epoch " + std::to_string(known->second.epoch) + ", not " + std::to_string(reader.epoch),
            reader.name);
      if (compare_in_log(known->second.durable, row.durable) > 0) row.durable = known->second.durable;
    }
  }
  rocksdb::WriteBatch batch;
  batch.Put(meta_, "r" + row.name, row.encode());
  SLUICE_TRY(write(batch, true));
  std::lock_guard lock(mutex_);
  readers_[row.name] = row;
  return {};
}

Status Log::set_durable(const std::string& reader, const Position& durable) {
  ReaderRow row;
  {
    std::lock_guard lock(mutex_);
    auto known = readers_.find(reader);
    if (known == readers_.end()) return Error(ErrorCode::NOT_FOUND, "no such reader", reader);
    if (compare_in_log(durable, known->second.durable) <= 0) return {};
    known->second.durable = durable;
    // An older position on disk only keeps more than needed, so the row need not follow every report.
    int64_t now = clock_->unix_time_us();
    int64_t& saved = reader_saved_us_[reader];
    if (saved && now - saved < 1'000'000 && now >= saved) return {};
    saved = now;
    row = known->second;
  }
  rocksdb::WriteBatch batch;
  batch.Put(meta_, "r" + row.name, row.encode());
  return write(batch, false);
}

Result<uint64_t> Log::expire(int64_t written_before_us) {
  auto known = readers();
  if (known.empty()) return uint64_t{0};
  auto least = std::min_element(known.begin(), known.end(), [](const ReaderRow& a, const ReaderRow& b) {
                 return compare_in_log(a.durable, b.durable) < 0;
               })->durable;
  return expire_while([&](const BlockInfo& info) {
    return info.written_us < written_before_us && compare_in_log(info.end, least) <= 0;
  });
}

Status Log::release_space() {
  std::lock_guard one(retention_mutex_);
  if (read_only_) return Error(ErrorCode::WRONG_STATE, "the log is open for reading only", options_.path);
  auto status = db_->Flush({}, {meta_, blocks_, index_, schemas_});
  if (!status.ok()) return fail(status, "flush");
  auto rows = incarnations();
  if (rows.empty()) return {};
  std::string first_left = block_key(rows.front().id, rows.front().first);
  rocksdb::Slice end(first_left);
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  status = db_->CompactRange(options, blocks_, nullptr, &end);
  return status.ok() ? Status() : Status(fail(status, "compact"));
}

Result<uint64_t> Log::expire_while(const std::function<bool(const BlockInfo&)>& gone) {
  std::lock_guard one(retention_mutex_);
  uint64_t total = 0;
  auto rows = incarnations();
  for (size_t index = 0; index < rows.size(); ++index) {
    SLUICE_ASSIGN(uint64_t count, expire_incarnation(rows[index], index + 1 == rows.size(), gone));
    total += count;
    if (rows[index].first + count <= rows[index].visible) break;  // what follows is younger
  }
  return total;
}

// Removes the longest run of blocks from the front for which `gone` holds (it holds for a prefix), never a part of a
// transaction. The row that says so and the deletion are one write; the files go afterwards, and again next time if
// the process dies in between.
Result<uint64_t> Log::expire_incarnation(Incarnation row, bool newest,
                                         const std::function<bool(const BlockInfo&)>& gone) {
  uint64_t low = row.first, high = row.visible + 1;  // first block that stays is in [low, high]
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    SLUICE_ASSIGN(auto info, block_info(row.id, middle));
    if (gone(info))
      low = middle + 1;
    else
      high = middle;
  }
  if (low > row.first) {
    SLUICE_ASSIGN(auto last_gone, block_info(row.id, low - 1));
    if (!last_gone.complete) low = last_gone.transaction_sequence;
  }
  uint64_t count = low - row.first;
  bool whole = low > row.visible && !newest;
  if (!count && !whole) return uint64_t{0};
  if (count) {
    SLUICE_ASSIGN(auto last_gone, block_info(row.id, low - 1));
    row.begin = last_gone.end;
    row.begin_time_us = std::max(row.begin_time_us, last_gone.max_commit_us);
    row.first = low;
  }
  rocksdb::WriteBatch batch;
  for (auto* family : {blocks_, index_}) batch.DeleteRange(family, block_key(row.id, 0), block_key(row.id, low));
  if (whole) {
    batch.Delete(meta_, front_key(row.id));
    batch.Delete(meta_, back_key(row.id));
  } else {
    batch.Put(meta_, front_key(row.id), row.encode_front());
  }
  SLUICE_TRY(write(batch, true));
  {
    std::lock_guard lock(mutex_);
    if (whole) {
      incarnations_.erase(row.id);
    } else {
      Incarnation& known = incarnations_.at(row.id);
      known.first = row.first;
      known.begin = row.begin;
      known.begin_time_us = row.begin_time_us;
    }
  }
  std::string from = block_key(0, 0), to = block_key(row.id, low);
  rocksdb::Slice first(from), last(to);
  auto status = rocksdb::DeleteFilesInRange(db_.get(), blocks_, &first, &last, false);
  if (!status.ok()) return fail(status, "remove files");
  log::info("store.log", "expired", {{"incarnation", row.id}, {"blocks", count}, {"begin", row.begin.to_string()}});
  return count;
}

}  // namespace sluice::store
