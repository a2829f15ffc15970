// Record batches and table definitions from hostile bytes: refused or read, never past their end.
#include <xxhash.h>

#include <cstdint>
#include <cstring>
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

// A batch with these bytes as its records, so that the checksum does not keep them out.
std::string as_batch(const std::string& body) {
  std::string bytes = "SLB1";
  bytes.resize(32);
  const uint16_t version = 1;
  const auto size = static_cast<uint32_t>(body.size());
  const uint64_t sum = XXH3_64bits(body.data(), body.size());
  std::memcpy(bytes.data() + 4, &version, sizeof version);
  std::memcpy(bytes.data() + 12, &size, sizeof size);
  std::memcpy(bytes.data() + 16, &sum, sizeof sum);
  return bytes + body;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  auto schema = sluice::TableSchema::decode(bytes);
  sluice::TableSchema two_columns;
  two_columns.columns = {{.name = "a"}, {.name = "b", .type = sluice::ColumnType::kBlob}};
  for (const std::string& whole : {bytes, as_batch(bytes)})
    if (auto batch = sluice::Batch::open(whole); batch.ok()) read_batch(*batch, schema.ok() ? *schema : two_columns);
  if (!sluice::Batch::open(as_batch(bytes)).ok()) __builtin_trap();  // the target would look at nothing
  std::vector<sluice::ValueView> values(2);
  (void)sluice::RowView(bytes).decode(two_columns, values);
  sluice::Rows rows{1, sluice::RowOp::kUpdate, 0, static_cast<uint32_t>(size), bytes};
  (void)rows.for_each([](sluice::RowView, sluice::RowView) -> sluice::Status { return {}; });
  return 0;
}
