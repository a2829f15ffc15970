// From result cells of a kData session to values in canonical form. Pure.
#pragma once

#include <vector>

#include "core/schema.hpp"
#include "core/value.hpp"
#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

// `cell` came from append_select_expression(column). SCHEMA_MISMATCH when it does not fit.
Status decode_cell(const Column& column, const Cell& cell, ValueView& value);
// SELECT list of these columns, in canonical form.
std::string select_list(const TableSchema& schema);

}  // namespace sluice::mysql
