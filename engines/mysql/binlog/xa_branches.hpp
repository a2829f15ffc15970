// XaBranches: what prepared XA transactions changed, kept until they are committed or rolled back. One thread. Bounded:
// 64 MiB for all open branches of a stream.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/position.hpp"
#include "core/record.hpp"
#include "core/result.hpp"

namespace sluice::mysql {

struct XaRow {
  SchemaPtr schema;
  uint64_t schema_id = 0;
  RowOp op = RowOp::kInsert;
  uint16_t flags = 0;
  std::string before, after;  // as encode_row() gives them
};

struct XaBranch {
  std::string xid;
  Position before;  // end of the group before its first event
  std::vector<XaRow> rows;
  size_t bytes = 0;
};

class XaBranches {
 public:
  static constexpr size_t kMaxBytes = 64 << 20;

  void start(Position before);
  // UNSUPPORTED when all branches together would pass the bound.
  Status add(const SchemaPtr& schema, uint64_t schema_id, RowOp op, uint16_t flags, std::span<const ValueView> before,
             std::span<const ValueView> after);
  void prepare(std::string xid);  // the started branch waits for its end
  XaBranch take_started();        // it ends in one phase, or is dropped
  // The prepared branch; nothing when it was not seen.
  std::optional<XaBranch> take(std::string_view xid);
  const XaBranch* oldest() const { return prepared_.empty() ? nullptr : &prepared_.front(); }

 private:
  XaBranch started_;
  std::list<XaBranch> prepared_;  // in the order of the log
  size_t bytes_ = 0;
};

}  // namespace sluice::mysql
