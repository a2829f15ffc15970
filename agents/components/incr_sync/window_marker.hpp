// WindowMarker: a row of the checkpoint table that belongs to no applier. It says how far the copy's window reaches,
// and what else has to be known at a start. Pure.
#pragma once

#include "core/position.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::agents::incr_sync {

struct WindowMarker {
  static constexpr uint32_t kApplier = 1'000'000;  // beyond all appliers

  Position end;          // of the last reading of rows again
  bool strict = false;   // the window is closed and the foreign keys are in place
  bool seeking = false;  // the transaction of the start time is not found yet

  static bool is(const database::CheckpointRow& row) { return row.applier == kApplier; }
  static WindowMarker from_row(const database::CheckpointRow& row);
  database::CheckpointRow to_row(uint64_t epoch, uint64_t seq) const;
};

}  // namespace sluice::agents::incr_sync
