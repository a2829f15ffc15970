// Record batches and table definitions from hostile bytes: refused or read, never past their end.
#include <cstdint>
#include <string>

#include "core/record.hpp"

namespace {

void read_batch(const sluice::Batch& batch, const sluice::TableSchema& schema) {
  std::vector<sluice::ValueView> values(schema.columns.size());
  (void)batch.for_each([&](const sluice::RecordView& record) -> sluice::Status {
    const auto* rows = std::get_if<sluice::Rows>(&record);
    if (rows == nullptr) return {};
    return rows->for_each([&](sluice::RowView before, sluice::RowView after) -> sluice::Status {
      (void)before.decode(schema, values);
      return after.decode(schema, values);
    });
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  auto schema = sluice::TableSchema::decode(bytes);
  sluice::TableSchema two_columns;
  two_columns.columns = {{.name = "a"}, {.name = "b", .type = sluice::ColumnType::kBlob}};
  if (auto batch = sluice::Batch::open(bytes); batch.ok()) read_batch(*batch, schema.ok() ? *schema : two_columns);
  // The checksum keeps most inputs out: the rows behind it are tried directly as well.
  std::vector<sluice::ValueView> values(2);
  (void)sluice::RowView(bytes).decode(two_columns, values);
  sluice::Rows rows{1, sluice::RowOp::kUpdate, 0, static_cast<uint32_t>(size), bytes};
  (void)rows.for_each([](sluice::RowView, sluice::RowView) -> sluice::Status { return {}; });
  return 0;
}
