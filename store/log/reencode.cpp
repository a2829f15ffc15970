#include "store/log/reencode.hpp"

namespace sluice::store {

Status add_record(BatchBuilder& builder, const RecordView& record) {
  return std::visit(
      [&](const auto& one) -> Status {
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, Rows>) {
          return one.for_each([&](RowView before, RowView after) -> Status {
            builder.add_row(one.schema_id, one.op, one.flags, before, after);
            return {};
          });
        } else {
          builder.add(one);
          return {};
        }
      },
      record);
}

Result<SplitBatch> split_open(const Batch& batch) {
  size_t index = 0, begin = 0;
  bool open = false;
  SLUICE_TRY(batch.for_each([&](const RecordView& record) -> Status {
    if (std::holds_alternative<Begin>(record)) {
      open = true;
      begin = index;
    } else if (std::holds_alternative<Commit>(record)) {
      open = false;
    }
    ++index;
    return {};
  }));
  if (!open) begin = index;
  BatchBuilder complete, rest;
  index = 0;
  SLUICE_TRY(batch.for_each(
      [&](const RecordView& record) -> Status { return add_record(index++ < begin ? complete : rest, record); }));
  SplitBatch result;
  if (!complete.empty()) result.complete = complete.finish();
  if (!rest.empty()) result.open = rest.finish();
  return result;
}

}  // namespace sluice::store
