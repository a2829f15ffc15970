#include "core/table_mapping.hpp"

#include <array>

namespace sluice {
namespace {

constexpr std::array<std::string_view, 4> kSystemDatabases = {"mysql", "sys", "performance_schema",
                                                              "information_schema"};

bool is_system(std::string_view database, const std::string& meta_database) {
  if (database == meta_database) return true;
  for (std::string_view system : kSystemDatabases)
    if (database == system) return true;
  return false;
}

bool has_wildcard(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

// Reads one part of `a`.`b` and moves `text` behind it.
Result<std::string> take_part(std::string_view& text, std::string_view whole) {
  std::string part;
  if (!text.starts_with('`')) {
    const size_t dot = text.find('.');
    part = text.substr(0, dot);
    text.remove_prefix(dot == std::string_view::npos ? text.size() : dot);
    return part;
  }
  text.remove_prefix(1);
  while (true) {
    const size_t quote = text.find('`');
    if (quote == std::string_view::npos)
      return Error(ErrorCode::INVALID_ARGUMENT, "'" + std::string(whole) + "' has an open backquote");
    part.append(text.substr(0, quote));
    text.remove_prefix(quote + 1);
    if (!text.starts_with('`')) return part;
    part += '`';
    text.remove_prefix(1);
  }
}

bool matches_any(const std::vector<TableName>& patterns, std::string_view database, std::string_view table) {
  for (const TableName& pattern : patterns)
    if (matches_pattern(pattern.database, database) && matches_pattern(pattern.table, table)) return true;
  return false;
}

Result<std::vector<TableName>> parse_all(const std::vector<std::string>& texts) {
  std::vector<TableName> names;
  for (const std::string& text : texts) {
    SLUICE_ASSIGN(TableName name, parse_table_pattern(text));
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++, mark = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1, t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Result<TableName> parse_table_pattern(std::string_view text) {
  std::string_view rest = text;
  SLUICE_ASSIGN(std::string database, take_part(rest, text));
  if (!rest.starts_with('.') || database.empty())
    return Error(ErrorCode::INVALID_ARGUMENT, "'" + std::string(text) + "' is not database.table");
  rest.remove_prefix(1);
  std::string table;
  if (rest.starts_with('`')) {
    SLUICE_ASSIGN(table, take_part(rest, text));
    if (!rest.empty()) return Error(ErrorCode::INVALID_ARGUMENT, "'" + std::string(text) + "' is not database.table");
  } else {
    table = rest;
  }
  if (table.empty()) return Error(ErrorCode::INVALID_ARGUMENT, "'" + std::string(text) + "' is not database.table");
  return TableName{std::move(database), std::move(table)};
}

Result<TableMapping> TableMapping::create(std::vector<std::string> includes, std::vector<std::string> excludes,
                                          std::vector<std::string> renames, std::string meta_database) {
  TableMapping mapping;
  SLUICE_ASSIGN(mapping.include_names_, parse_all(includes));
  SLUICE_ASSIGN(mapping.exclude_names_, parse_all(excludes));
  for (const std::string& rename : renames) {
    const size_t equals = rename.find('=');
    if (equals == std::string::npos)
      return Error(ErrorCode::INVALID_ARGUMENT, "rename '" + rename + "' is not FROM=TO");
    SLUICE_ASSIGN(TableName from, parse_table_pattern(std::string_view(rename).substr(0, equals)));
    SLUICE_ASSIGN(TableName to, parse_table_pattern(std::string_view(rename).substr(equals + 1)));
    if (has_wildcard(from.database) || has_wildcard(to.database) || (from.table == "*") != (to.table == "*") ||
        (from.table != "*" && (has_wildcard(from.table) || has_wildcard(to.table))))
      return Error(ErrorCode::INVALID_ARGUMENT, "rename '" + rename + "' must be a.t=b.u or a.*=b.*");
    mapping.rules_.push_back({std::move(from), std::move(to)});
  }
  mapping.includes_ = std::move(includes);
  mapping.excludes_ = std::move(excludes);
  mapping.renames_ = std::move(renames);
  mapping.meta_database_ = std::move(meta_database);
  return mapping;
}

bool TableMapping::includes(std::string_view database, std::string_view table) const {
  if (is_system(database, meta_database_)) return false;
  if (!include_names_.empty() && !matches_any(include_names_, database, table)) return false;
  return !matches_any(exclude_names_, database, table);
}

bool TableMapping::includes_database(std::string_view database) const {
  if (is_system(database, meta_database_)) return false;
  for (const TableName& exclude : exclude_names_)
    if (exclude.table == "*" && matches_pattern(exclude.database, database)) return false;
  if (include_names_.empty()) return true;
  for (const TableName& include : include_names_)
    if (matches_pattern(include.database, database)) return true;
  return false;
}

TableName TableMapping::target_of(std::string_view database, std::string_view table) const {
  for (const Rename& rule : rules_)
    if (rule.from.table != "*" && rule.from.database == database && rule.from.table == table) return rule.to;
  return {target_database_of(database), std::string(table)};
}

std::string TableMapping::target_database_of(std::string_view database) const {
  for (const Rename& rule : rules_)
    if (rule.from.table == "*" && rule.from.database == database) return rule.to.database;
  return std::string(database);
}

}  // namespace sluice
