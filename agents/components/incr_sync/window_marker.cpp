#include "agents/components/incr_sync/window_marker.hpp"

#include <algorithm>

namespace sluice::agents::incr_sync {
namespace {

// The words stand where an applier has the transactions that it applied above the low watermark.
constexpr std::string_view kStrict = "strict", kSeeking = "seeking";

}  // namespace

WindowMarker WindowMarker::from_row(const database::CheckpointRow& row) {
  const auto has = [&](std::string_view word) {
    return std::find(row.applied.begin(), row.applied.end(), word) != row.applied.end();
  };
  return {row.low_watermark, has(kStrict), has(kSeeking)};
}

database::CheckpointRow WindowMarker::to_row(uint64_t epoch, uint64_t seq) const {
  database::CheckpointRow row{kApplier, epoch, seq, end, {}};
  if (strict) row.applied.emplace_back(kStrict);
  if (seeking) row.applied.emplace_back(kSeeking);
  return row;
}

}  // namespace sluice::agents::incr_sync
