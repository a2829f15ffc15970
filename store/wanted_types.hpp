// Kinds of records that a reader of a Store wants. Plain value.
#pragma once

#include "core/record.hpp"

namespace sluice::store {

struct WantedTypes {
  bool insert = true, update = true, remove = true, ddl = true;
  bool rows(RowOp op) const { return op == RowOp::kInsert ? insert : op == RowOp::kUpdate ? update : remove; }
  bool all() const { return insert && update && remove && ddl; }
};

}  // namespace sluice::store
