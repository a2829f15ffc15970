// TableCopy: the copy of a source's table that was, or is to be, made in one round. Plain value.
#pragma once

#include <cstdint>

#include "core/table_mapping.hpp"

namespace sluice {

struct TableCopy {
  TableName table;
  uint32_t round = 0;
  auto operator<=>(const TableCopy&) const = default;
};

}  // namespace sluice
