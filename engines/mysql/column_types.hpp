// From what information_schema says about a column to a Column. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/schema.hpp"

namespace sluice::mysql {

struct ColumnText {  // as information_schema.columns gives it
  std::string name, data_type, column_type, nullable, extra;
  std::optional<std::string> charset, collation;
  std::optional<std::string> characters, octets, precision, scale, fraction;
};

// UNSUPPORTED when the type is not known.
Result<Column> make_column(const ColumnText& text);
// The labels of "enum('a','b''c')" or "set(…)".
std::vector<std::string> parse_labels(std::string_view column_type);

}  // namespace sluice::mysql
