#include "engines/mysql/binlog/xa_branches.hpp"

#include <algorithm>
#include <utility>

namespace sluice::mysql {

Status XaBranches::add(const SchemaPtr& schema, uint64_t schema_id, RowOp op, uint16_t flags,
                       std::span<const ValueView> before, std::span<const ValueView> after) {
  XaRow row{schema, schema_id, op, flags, {}, {}};
  if (op != RowOp::kInsert) row.before = encode_row(*schema, before);
  if (op != RowOp::kDelete) row.after = encode_row(*schema, after);
  size_t size = row.before.size() + row.after.size() + sizeof row;
  if (bytes_ + size > kMaxBytes) {
    return Error(ErrorCode::UNSUPPORTED,
                 "open XA transactions hold more than 64 MiB of changes; commit them in smaller parts",
                 schema->qualified_name());
  }
  bytes_ += size;
  started_.bytes += size;
  started_.rows.push_back(std::move(row));
  return {};
}

XaBranchPtr XaBranches::prepare(std::string xid, Position prepared) {
  started_.xid = std::move(xid);
  started_.prepared = std::move(prepared);
  prepared_.push_back(std::make_shared<const XaBranch>(std::exchange(started_, {})));
  return prepared_.back();
}

XaBranch XaBranches::take_started() {
  bytes_ -= started_.bytes;
  return std::exchange(started_, {});
}

void XaBranches::keep(XaBranchPtr branch) {
  bytes_ += branch->bytes;
  prepared_.push_back(std::move(branch));
}

XaBranchPtr XaBranches::take(std::string_view xid) {
  auto found = std::find_if(prepared_.begin(), prepared_.end(), [&](const auto& branch) { return branch->xid == xid; });
  if (found == prepared_.end()) return nullptr;
  XaBranchPtr branch = std::move(*found);
  prepared_.erase(found);
  bytes_ -= branch->bytes;
  return branch;
}

}  // namespace sluice::mysql
