// Names in SQL text.
#pragma once

#include <string>
#include <string_view>

#include "core/table_mapping.hpp"

namespace sluice::mysql {

inline std::string quote_name(std::string_view name) {  // `a``b`
  std::string text = "`";
  for (const char c : name) {
    if (c == '`') text += c;
    text += c;
  }
  return text + "`";
}

inline std::string quote_table(std::string_view database, std::string_view table) {
  return quote_name(database) + "." + quote_name(table);
}
inline std::string quote_table(const TableName& name) { return quote_table(name.database, name.table); }

}  // namespace sluice::mysql
