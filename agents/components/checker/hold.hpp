// A hold (docs/exactness.md section 7): the source and the target at one and the same position. Used by one thread.
//
// Incr-Sync pauses, the source's snapshot is opened and gives its position P, Incr-Sync applies exactly to P, then the
// target's snapshot is opened and Incr-Sync goes on at once: what is compared are the two snapshots, so a hold is short
// whatever there is to compare.
#pragma once

#include "agents/components/checker/compare.hpp"
#include "agents/components/checker/patience.hpp"
#include "agents/components/runtime/component.hpp"

namespace sluice::agents::checker {

struct HoldTimes {
  std::chrono::milliseconds pause{20'000};  // until Incr-Sync has paused
  std::chrono::milliseconds apply{40'000};  // until it has applied up to the snapshot's position
  // A snapshot opened later than this after the wish is not trusted: Incr-Sync's own patience is 60 s.
  std::chrono::milliseconds whole{45'000};
};

// Two connections inside snapshots of the same position. TIMED_OUT: Incr-Sync did not answer in time; XA_PENDING:
// prepared transactions; both mean that nothing was compared.
// Tables in engines without snapshots are not held on the source: see is_held.
Result<Sides> open_hold(ComponentContext& context, const SideEndpoints& endpoints, const HoldTimes& times = {});
// Whether nothing was logged on the source since the hold, so that what was read of a table without snapshots is what
// it held at the hold's position.
Result<bool> is_held(Sides& sides);

}  // namespace sluice::agents::checker
