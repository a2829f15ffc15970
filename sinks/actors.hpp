// The actors of the sinks and their messages. Payloads are immutable and shared; a message carries a group, never a
// row.
#pragma once

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>
#include <memory>

#include "core/result.hpp"
#include "sinks/database/apply/applier.hpp"

namespace sluice::database {

struct ApplyGroup {
  std::shared_ptr<const Group> group;
};
struct GroupApplied {
  uint32_t applier = 0;
  std::shared_ptr<const Group> group;
  std::shared_ptr<const Result<GroupResult>> result;
};

// Told of every group that an applier has finished, or failed to.
using group_listener_actor = caf::typed_actor<caf::reacts_to<GroupApplied>>;

// One applier with its connection; detached, because it waits for the target.
using applier_actor = caf::typed_actor<
    // Applies the group and tells the listener. One group at a time.
    caf::reacts_to<ApplyGroup>>;

}  // namespace sluice::database

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::database::ApplyGroup)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::database::GroupApplied)
