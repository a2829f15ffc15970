// The project state machine. Pure: state and what the cluster shows go in, the next state and what shall run come out.
//
//   loop: outcome = decide(state, views, now)
//         outcome.changed → persist outcome.next, state = outcome.next, again
//         else            → tell the cluster outcome.wanted
//
// So nothing is acted on that is not persisted, and after a crash at any point the same decisions follow from the
// persisted state and the agents' next reports. Reports of components placed in an earlier attempt do not end a step.
#pragma once

#include <cstdint>

#include "coordinator/cluster/types.hpp"
#include "sluice/coordinator/v1/state.pb.h"

namespace sluice::coordinator {

// The wanted components have no endpoints: who knows the secrets fills them in.
struct Outcome {
  v1::StoredProject next;
  bool changed = false;
  WantedProject wanted;
};

Outcome decide(const v1::StoredProject& state, const ComponentViews& views, int64_t now_us);

}  // namespace sluice::coordinator
