// Building a batch from parts of another one: images are copied as they are.
#pragma once

#include "core/record.hpp"

namespace sluice::store {

Status add_record(BatchBuilder& builder, const RecordView& record);

// A batch with whole transactions, the last one still open, as two: what is complete, and the open one's part.
struct SplitBatch {
  std::string complete;  // empty when there is nothing complete
  std::string open;      // empty when nothing is open
};
// Splits before the last Begin that has no Commit.
Result<SplitBatch> split_open(const Batch& batch);

}  // namespace sluice::store
