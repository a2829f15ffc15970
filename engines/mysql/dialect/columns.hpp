// What a statement says of single columns of its table. Pure function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace sluice::mysql {

struct ColumnNews {
  std::string column;        // in lower case: columns are compared without regard to it
  std::string type;          // in upper case, its first word; empty: the column is gone
  std::string renamed_from;  // the type is that of this column; then `type` is empty
};

// In the order of the text: definitions of CREATE TABLE, clauses of ALTER TABLE. Others say nothing.
std::vector<ColumnNews> column_news(std::string_view sql, std::string_view default_database, uint64_t sql_mode);

}  // namespace sluice::mysql
