// Names without regard to case, as servers of the MySQL family compare those of columns, keys and foreign keys, and
// those of tables and databases too where lower_case_table_names is not 0. With 1 the server keeps the latter in lower
// case: its log has them so in table maps, but statements as they were written. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sluice::mysql {

std::string fold_name(std::string_view name);
bool same_name(std::string_view a, std::string_view b);
// The statement with its tables and databases in lower case. One that is not known as DDL, or cannot be read, stays as
// it is.
std::string fold_names(std::string_view sql, std::string_view default_database, uint64_t sql_mode);

}  // namespace sluice::mysql
