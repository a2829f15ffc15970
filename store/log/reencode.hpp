// Building a batch from parts of another one: images are copied as they are.
// Pure; any thread. The new batch owns its bytes.
#pragma once

#include "core/record.hpp"

namespace sluice::store {

Status add_record(BatchBuilder& builder, const RecordView& record);

// A batch of whole transactions of which the last may be open: adds what is complete to one builder and the open
// transaction's part to the other.
Status split_open(const Batch& batch, BatchBuilder& complete, BatchBuilder& open);

}  // namespace sluice::store
