// Whether a target table can take every row of a source table.
#include <algorithm>

#include "agents/components/struct_transfer/session.hpp"
#include "engines/mysql/dialect/fold.hpp"

namespace sluice::agents::struct_transfer {
namespace {

std::string shape(const Column& c) { return c.sql_type.empty() ? "another type" : c.sql_type; }

std::string column_misfit(const Column& from, const Column& to, bool exact) {
  // MariaDB keeps JSON as text.
  if (from.type == ColumnType::kJson && to.type == ColumnType::kText && mysql::modern_name(to.charset) == "utf8mb4")
    return from.nullable && !to.nullable ? "is NOT NULL" : "";
  if (from.type != to.type || from.is_unsigned != to.is_unsigned)
    return "is " + shape(to) + " instead of " + shape(from);
  if (from.generated != to.generated) return to.generated ? "is generated" : "is not generated";
  if (mysql::modern_name(from.charset) != mysql::modern_name(to.charset))
    return "has character set " + to.charset + " instead of " + from.charset;
  if (exact && mysql::modern_name(from.collation) != mysql::modern_name(to.collation))
    return "has collation " + to.collation + " instead of " + from.collation;
  if (from.nullable && !to.nullable) return "is NOT NULL";
  if (from.labels != to.labels) return "has other labels";
  // Fractional digits and decimals are part of a value's text, so they must be the same.
  if (from.scale != to.scale || (exact ? from.length != to.length : from.length > to.length))
    return "is " + shape(to) + " instead of " + shape(from);
  if (exact && (from.nullable != to.nullable || from.auto_increment != to.auto_increment))
    return "is defined otherwise";
  return {};
}

std::vector<std::string> key_columns(const TableSchema& schema) {
  std::vector<std::string> names;
  if (const Key* key = schema.row_key())
    for (const KeyPart& part : key->parts)
      if (part.column < schema.columns.size()) names.push_back(schema.columns[part.column].name);
  return names;
}

}  // namespace

std::string misfit(const TableSchema& source, const TableSchema& target, bool exact) {
  for (const Column& from : source.columns) {
    auto to = std::find_if(target.columns.begin(), target.columns.end(),
                           [&](const Column& c) { return mysql::same_name(c.name, from.name); });
    if (to == target.columns.end()) return "column " + from.name + " is missing";
    if (std::string text = column_misfit(from, *to, exact); !text.empty()) return "column " + from.name + " " + text;
  }
  if (exact && source.columns.size() != target.columns.size()) return "it has more columns";
  auto from = key_columns(source), to = key_columns(target);
  if (!std::equal(from.begin(), from.end(), to.begin(), to.end(), mysql::same_name)) return "its key is another one";
  return {};
}

}  // namespace sluice::agents::struct_transfer
