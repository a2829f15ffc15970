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

Status split_open(const Batch& batch, BatchBuilder& complete, BatchBuilder& open) {
  size_t index = 0, begin = 0;
  bool inside = false;
  SLUICE_TRY(batch.for_each([&](const RecordView& record) -> Status {
    if (std::holds_alternative<Begin>(record)) {
      inside = true;
      begin = index;
    } else if (std::holds_alternative<Commit>(record)) {
      inside = false;
    }
    ++index;
    return {};
  }));
  if (!inside) begin = index;
  index = 0;
  return batch.for_each(
      [&](const RecordView& record) -> Status { return add_record(index++ < begin ? complete : open, record); });
}

}  // namespace sluice::store
