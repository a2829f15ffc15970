// Actors of the Store and their messages. Capture runs in one detached actor, writing to the log in another, so that
// reading the source and writing to the disk overlap. Bytes flow by credit: a block carries the grant that it was
// given, and gives it back when it is written.
#pragma once

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <memory>

#include "core/budget.hpp"
#include "store/log/log.hpp"

namespace sluice::store {

struct BeginIncarnation {
  Position begin;
  int64_t begin_time_us;
};
struct WriterAnswer {
  std::shared_ptr<const Status> status;
};
struct WriteBlock {
  std::shared_ptr<const NewBlock> block;
  std::shared_ptr<ByteBudget::Grant> credit;
};
struct DiscardOpen {};
struct FinishWriting {};
struct RunCapture {};

// Writes to the log, in the order of messages. After an error it writes nothing more.
using log_writer_actor = caf::typed_actor<
    // Answered when it is on disk.
    caf::replies_to<BeginIncarnation>::with<WriterAnswer>,
    // The next block.
    caf::reacts_to<WriteBlock>,
    // The transaction whose parts were written last is void.
    caf::reacts_to<DiscardOpen>,
    // Answered when every message before it was carried out; the last one.
    caf::replies_to<FinishWriting>::with<WriterAnswer>>;

// Follows the source until it is stopped.
using capture_actor = caf::typed_actor<caf::reacts_to<RunCapture>>;

}  // namespace sluice::store

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::store::BeginIncarnation)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::store::WriterAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::store::WriteBlock)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::store::DiscardOpen)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::store::FinishWriting)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::store::RunCapture)
