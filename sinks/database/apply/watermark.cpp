#include "sinks/database/apply/watermark.hpp"

#include <algorithm>

namespace sluice::database {

Watermark::Watermark(Position start, std::unordered_set<std::string> known)
    : low_(std::move(start)), known_(std::move(known)) {}

uint64_t Watermark::add(std::string id, Position end, int64_t commit_time_us) {
  // Known ids lie within the span above some older watermark; those that were at or below the start are never met.
  if (++added_ > kKnownSpan) known_.clear();
  entries_.push_back({std::move(id), std::move(end), commit_time_us, false});
  ++open_;
  return first_ + entries_.size() - 1;
}

void Watermark::pass(Position end) {
  // Where entries are open the last one's end grows: nothing lies between.
  Position& last = entries_.empty() ? low_ : entries_.back().end;
  if (compare_in_log(end, last) > 0) last = std::move(end);
}

void Watermark::add_known(const std::string& id, Position end, int64_t commit_time_us) {
  const uint64_t number = add(id, std::move(end), commit_time_us);
  known_.erase(id);
  applied(number, 0);
}

void Watermark::applied(uint64_t number, uint32_t applier) {
  if (number < first_ || number >= first_ + entries_.size()) return;
  Entry& entry = entries_[number - first_];
  if (entry.done) return;
  entry.done = true;
  --open_;
  if (by_applier_.size() <= applier) by_applier_.resize(applier + 1);
  by_applier_[applier].push_back(number);
  advance();
}

void Watermark::advance() {
  while (!entries_.empty() && entries_.front().done) {
    low_ = std::move(entries_.front().end);
    low_time_us_ = std::max(low_time_us_, entries_.front().commit_time_us);
    entries_.pop_front();
    ++first_;
  }
}

int64_t Watermark::oldest_open_time_us() const {
  for (const Entry& entry : entries_) {
    if (!entry.done) return entry.commit_time_us;
  }
  return 0;
}

std::vector<std::string> Watermark::applied_by(uint32_t applier) {
  std::vector<std::string> ids;
  if (applier < by_applier_.size()) {
    // Numbers of one applier grow only roughly: groups are in order, but a group may be older than the one before it.
    auto& numbers = by_applier_[applier];
    std::erase_if(numbers, [&](uint64_t number) { return number < first_; });
    for (const uint64_t number : numbers) ids.push_back(entries_[number - first_].id);
  }
  if (applier == 0) ids.insert(ids.end(), known_.begin(), known_.end());
  return ids;
}

Recovered recover(const std::vector<CheckpointRow>& rows) {
  Recovered found;
  for (const CheckpointRow& row : rows) {
    if (!found.found || compare_in_log(row.low_watermark, found.start) > 0) found.start = row.low_watermark;
    found.found = true;
    found.known.insert(row.applied.begin(), row.applied.end());
    found.next_seq = std::max(found.next_seq, row.seq + 1);
  }
  return found;
}

}  // namespace sluice::database
