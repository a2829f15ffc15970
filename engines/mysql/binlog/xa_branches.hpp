// XaBranches: what prepared XA transactions changed, kept until they are committed or rolled back. One thread. Bounded:
// 64 MiB for all open branches of a stream.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
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
  Position prepared;        // end of its XA PREPARE: no other branch of the log has the same
  std::vector<XaRow> rows;  // those that are wanted
  size_t bytes = 0;
};
using XaBranchPtr = std::shared_ptr<const XaBranch>;

class XaBranches {
 public:
  static constexpr size_t kMaxBytes = 64 << 20;

  void start() { take_started(); }
  // UNSUPPORTED when all branches together would pass the bound.
  Status add(const SchemaPtr& schema, uint64_t schema_id, RowOp op, uint16_t flags, std::span<const ValueView> before,
             std::span<const ValueView> after);
  XaBranchPtr prepare(std::string xid, Position prepared);  // the started branch waits for its end
  XaBranch take_started();                                  // it ends in one phase, or is dropped
  void keep(XaBranchPtr branch);                            // prepared before reading began
  // The prepared branch; null when it was not seen.
  XaBranchPtr take(std::string_view xid);

 private:
  XaBranch started_;
  std::list<XaBranchPtr> prepared_;  // in the order of the log
  size_t bytes_ = 0;
};

}  // namespace sluice::mysql
