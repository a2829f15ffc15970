// The actors of Incr-Sync and their messages. All are detached: the reader waits for the Store, the others for
// databases. A message carries what one message of the Store held, never a row.
#pragma once

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>
#include <memory>

#include "agents/components/incr_sync/ddl_order.hpp"
#include "agents/components/runtime/component.hpp"
#include "sinks/actors.hpp"
#include "store/client/log_client.hpp"

namespace sluice::agents::incr_sync {

struct ReadNext {};
struct ItemRead {
  std::shared_ptr<const Result<store::LogItem>> item;
};
struct DesiredChanged {
  std::shared_ptr<const cluster::v1::ComponentDesired> desired;
};
struct RunDdl {
  std::shared_ptr<const DdlOrder> order;
};
struct DdlRan {
  std::shared_ptr<const Result<database::DdlOutcome>> outcome;
};
struct SessionTick {};

// Reads the Store's stream and passes every item on. The stream's credit bounds what waits in mailboxes.
using reader_actor = caf::typed_actor<
    // Reads one item, then asks itself for the next.
    caf::reacts_to<ReadNext>>;

// Runs one DDL statement after the other, while the session goes on with what it does not concern.
using ddl_actor = caf::typed_actor<
    // Runs it and tells the session.
    caf::reacts_to<RunDdl>>;

// The dispatcher: decides what is applied, when and how.
using session_actor = caf::typed_actor<
    // An item of the Store, or the error that ended the stream.
    caf::reacts_to<ItemRead>,
    // An applier is done with its group.
    caf::reacts_to<database::GroupApplied>,
    // The statement that was ordered is done, or failed.
    caf::reacts_to<DdlRan>,
    // The coordinator wishes something else.
    caf::reacts_to<DesiredChanged>,
    // Time has passed.
    caf::reacts_to<SessionTick>>;

}  // namespace sluice::agents::incr_sync

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::incr_sync::ReadNext)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::incr_sync::ItemRead)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::incr_sync::DesiredChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::incr_sync::RunDdl)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::incr_sync::DdlRan)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::incr_sync::SessionTick)
