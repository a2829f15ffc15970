// Texts shared by the sources of the bookkeeping; not for callers outside this folder.
#pragma once

#include <string>
#include <string_view>

#include "engines/mysql/sql_text.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::database::sql {

// `meta`.`name`
inline std::string table(const Owner& owner, std::string_view name) {
  return mysql::quote_table(owner.meta_database, name);
}
std::vector<std::string> table_names();  // of all tables that create_bookkeeping makes; each has a column `project`
// " WHERE project = … AND component = …"
inline std::string where_owner(const Owner& owner) {
  return " WHERE project = " + mysql::quoted(owner.project) + " AND component = " + mysql::quoted(owner.component);
}
// " FROM fence WHERE <the owner's row still holds the owner's epoch> LOCK IN SHARE MODE": an INSERT … SELECT with this
// tail writes its row only while the owner's epoch is the newest, and keeps a newer epoch from taking over until it
// commits or its connection is killed. Sharers do not wait for each other.
inline std::string from_own_fence(const Owner& owner) {
  return " FROM " + table(owner, "fence") + where_owner(owner) + " AND epoch = " + std::to_string(owner.epoch) +
         " LOCK IN SHARE MODE";
}
inline std::string position(const Position& p) { return mysql::quoted(p.empty() ? std::string() : p.to_string()); }
inline Result<Position> parse_position(const std::string& text) {
  if (text.empty()) return Position{};
  return Position::parse(text);
}

inline std::string text_of(const std::optional<std::string>& cell) { return cell.value_or(std::string()); }
Result<uint64_t> number_of(const std::optional<std::string>& cell);
Error stale_epoch(const Owner& owner);

// Several strings as one: "<length>:<bytes>" each.
std::string encode_list(const std::vector<std::string>& items);
Result<std::vector<std::string>> decode_list(std::string_view text);

}  // namespace sluice::database::sql
