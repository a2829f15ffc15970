// Fuzz target: any bytes as a binlog file, and as the pieces that are decoded on their own.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engines/mysql/binlog/events.hpp"
#include "engines/mysql/binlog/json.hpp"
#include "engines/mysql/binlog/stream.hpp"

namespace {

using namespace sluice;
using namespace sluice::mysql;

class NothingKnown : public SchemaSource {
 public:
  Result<SchemaPtr> table(const TableName&) override { return Error(ErrorCode::NOT_FOUND, "nothing is known"); }
};

// Touches every byte that it is given, so that a sanitizer sees a view that is not valid.
class Toucher : public BinlogHandler {
 public:
  Status on_begin(const Begin& begin) override { return touch(begin.gtid); }
  Status on_row(const SchemaPtr& schema, uint64_t, RowOp, uint16_t, std::span<const ValueView> before,
                std::span<const ValueView> after) override {
    for (auto row : {before, after}) {
      if (!row.empty() && row.size() != schema->columns.size()) __builtin_trap();
      for (const ValueView& value : row) {
        if (!value.null) (void)touch(value.bytes);
      }
    }
    return {};
  }
  Status on_ddl(const Ddl& ddl) override { return touch(ddl.sql); }
  Status on_commit(const Commit& commit) override { return touch(commit.gtids); }
  Status on_rollback() override { return {}; }
  Status on_heartbeat(const Position& position) override { return touch(position.file); }
  Status on_idle() override { return {}; }
  bool wants(std::string_view database, std::string_view) override { return database != "mysql"; }

 private:
  Status touch(std::string_view bytes) {
    for (char c : bytes) sum_ = sum_ + static_cast<uint8_t>(c);
    return {};
  }
  volatile uint64_t sum_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  NothingKnown source;
  Toucher handler;
  (void)decode_event_stream(bytes, source, handler);
  std::string text;
  (void)append_json_text(text, bytes);
  (void)parse_previous_gtids(bytes);
  (void)encode_gtid_set(bytes);
  (void)xid_from_sql(bytes);
  (void)statement_kind(bytes);
  return 0;
}
