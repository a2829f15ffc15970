// LoadPlan: which columns are written, and the text of rows for LOAD DATA and for INSERT.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "engines/mysql/sql_text.hpp"
#include "sinks/database/loader.hpp"

namespace sluice::database {
namespace {

bool counted_in_labels(ColumnType type) { return type == ColumnType::kEnum || type == ColumnType::kSet; }

bool has_scale(ColumnType type) {
  return type == ColumnType::kDecimal || type == ColumnType::kTime || type == ColumnType::kDatetime ||
         type == ColumnType::kTimestamp;
}

// Empty when every value of `from` is the same value in `to`. Too short a column is found by the server's warnings.
std::string difference(const Column& from, const Column& to) {
  if (to.generated) return "is generated on the target";
  if (from.type != to.type) return "has another type on the target";
  if (from.is_unsigned != to.is_unsigned) return "is signed on one side only";
  if (has_scale(from.type) && from.scale != to.scale) return "has another number of decimals on the target";
  if (from.type == ColumnType::kBinary && from.length != to.length) return "has another length on the target";
  if (from.is_character() && from.charset != to.charset) return "has another character set on the target";
  if (counted_in_labels(from.type)) {
    if (from.labels.size() > to.labels.size()) return "has fewer labels on the target";
    for (size_t i = 0; i < from.labels.size(); ++i) {
      if (from.labels[i] != to.labels[i]) return "has other labels on the target";
    }
  }
  return {};
}

// LOAD DATA reads strings: what the server must take as a number, or in another character set than binary, goes
// through a variable.
std::string conversion(const Column& column, const std::string& variable, bool mariadb) {
  // The server forgets, while it works on the SET list, that an AUTO_INCREMENT column was given a value, and replaces 0
  // by a generated one; so this column must be in that list too.
  if (column.auto_increment) return variable;
  switch (column.type) {
    case ColumnType::kBit:
    case ColumnType::kEnum:  // a string '2' would be looked up among the labels first
    case ColumnType::kSet:
      return "CAST(" + variable + " AS UNSIGNED)";
    case ColumnType::kUuid:  // a binary string would be taken for the 16 bytes themselves
    case ColumnType::kInet4:
    case ColumnType::kInet6:
      return "CONVERT(" + variable + " USING latin1)";
    case ColumnType::kJson:
      return mariadb ? std::string() : "CONVERT(" + variable + " USING utf8mb4)";
    default:
      return {};
  }
}

void append_escaped(std::string& text, std::string_view bytes) {
  size_t start = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    char code = 0;
    switch (bytes[i]) {
      case '\\':
        code = '\\';
        break;
      case '\t':
        code = 't';
        break;
      case '\n':
        code = 'n';
        break;
      case '\0':
        code = '0';
        break;
      default:
        continue;
    }
    text.append(bytes, start, i - start);
    text += {'\\', code};
    start = i + 1;
  }
  text.append(bytes, start);
}

template <class Number>
void append_number(std::string& text, Number value) {
  std::array<char, 40> buffer;
  const auto [end, failure] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  text.append(buffer.data(), static_cast<size_t>(end - buffer.data()));
}

void append_load_value(std::string& text, const Column& column, const ValueView& value) {
  if (value.null) {
    text += "\\N";
    return;
  }
  switch (value.physical) {
    case Physical::kInt:
      return append_number(text, value.i);
    case Physical::kUInt:
      // The string '0' means the year 2000, '0000' the year zero.
      if (column.type == ColumnType::kYear && value.u == 0) return void(text += "0000");
      return append_number(text, value.u);
    // With the digits of a double: the server reads a double and rounds it to the same float.
    case Physical::kFloat:
      return append_number(text, static_cast<double>(value.f));
    case Physical::kDouble:
      return append_number(text, value.d);
    case Physical::kBytes:
      return append_escaped(text, value.bytes);
  }
}

// Warnings of a value stored into a column: the text ends with the column's name and "at row N".
bool is_of_column(const std::string& message, const TableSchema& table, const std::string& column) {
  const size_t at = message.rfind(" at row ");
  if (at == std::string::npos) return false;
  const std::string_view row = std::string_view(message).substr(at + 8);
  if (row.empty() || row.find_first_not_of("0123456789") != std::string_view::npos) return false;
  const std::string_view text = std::string_view(message).substr(0, at);
  for (const char* start :
       {"Data truncated for column '", "Data too long for column '", "Out of range value for column '"})
    if (text == start + column + "'") return true;
  return text.ends_with("' for column " + mysql::quote_table(table.database, table.name) + "." +
                        mysql::quote_name(column)) ||
         text.ends_with("' for column '" + column + "'");
}

}  // namespace

bool LoadPlan::is_about_computed_value(const mysql::Connection::Warning& warning) const {
  if (computed_.empty()) return false;
  switch (warning.code) {
    case 1292:  // also raised by expressions, without the name of a column: no value that is sent passes one that could
      if (warning.message.starts_with("Truncated incorrect ")) return true;
      [[fallthrough]];
    case 1264:
    case 1265:
    case 1366:
    case 1406:
      return std::any_of(computed_.begin(), computed_.end(),
                         [&](const std::string& column) { return is_of_column(warning.message, *target_, column); });
    default:
      return false;
  }
}

uint64_t LoadPlan::empty_enums(std::span<const ValueView> row) const {
  return static_cast<uint64_t>(std::count_if(enums_.begin(), enums_.end(), [&](size_t index) {
    return mysql::is_empty_enum(source_->columns[index], row[index]);
  }));
}

bool LoadPlan::is_about_enum(const mysql::Connection::Warning& warning) const {
  constexpr uint32_t kTruncated = 1265;
  return warning.code == kTruncated &&
         std::any_of(enum_names_.begin(), enum_names_.end(),
                     [&](const std::string& column) { return is_of_column(warning.message, *target_, column); });
}

Result<LoadPlan> LoadPlan::create(SchemaPtr source, SchemaPtr target, OnDuplicate on_duplicate,
                                  bool target_is_mariadb) {
  LoadPlan plan;
  std::string names, fields, sets;
  for (size_t i = 0; i < source->columns.size(); ++i) {
    const Column& from = source->columns[i];
    if (from.generated) continue;
    const int to = target->column_index(from.name);
    const std::string what =
        to < 0 ? "is missing on the target" : difference(from, target->columns[static_cast<size_t>(to)]);
    if (!what.empty())
      return Error(ErrorCode::VALUE_REJECTED, "column " + from.name + " " + what, source->qualified_name());
    plan.from_.push_back(i);
    plan.to_.push_back(static_cast<size_t>(to));
    if (from.type == ColumnType::kEnum) {
      plan.enums_.push_back(i);
      plan.enum_names_.push_back(target->columns[static_cast<size_t>(to)].name);
    }
    const std::string name = mysql::quote_name(target->columns[static_cast<size_t>(to)].name);
    const std::string variable = "@v" + std::to_string(i);
    const std::string converted = conversion(from, variable, target_is_mariadb);
    const std::string separator = plan.from_.size() > 1 ? ", " : "";
    names += separator + name;
    fields += separator + (converted.empty() ? name : variable);
    if (!converted.empty()) sets += (sets.empty() ? " SET " : ", ") + name + " = " + converted;
  }
  if (plan.from_.empty())
    return Error(ErrorCode::UNSUPPORTED, "the table has no column that can be written", source->qualified_name());
  const std::string table = mysql::quote_table(target->database, target->name);
  const bool replace = on_duplicate == OnDuplicate::kReplace;
  plan.load_statement_ = std::string("LOAD DATA LOCAL INFILE 'chunk' ") + (replace ? "REPLACE" : "IGNORE") +
                         " INTO TABLE " + table +
                         " CHARACTER SET binary FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' LINES "
                         "STARTING BY '' TERMINATED BY '\\n' (" +
                         fields + ")" + sets;
  for (const Column& column : target->columns)
    if (column.generated) plan.computed_.push_back(column.name);
  // A statement has up to twice this number of rows (a piece more), and a row up to four warnings per column.
  if (!plan.computed_.empty())
    plan.statement_rows_ = std::max<uint64_t>(1, kWarningsShown / (8 * plan.computed_.size()));
  plan.insert_prefix_ = std::string(replace ? "REPLACE" : "INSERT") + " INTO " + table + " (" + names + ") VALUES ";
  plan.source_ = std::move(source);
  plan.target_ = std::move(target);
  plan.on_duplicate_ = on_duplicate;
  return plan;
}

void LoadPlan::append_load_row(std::string& text, std::span<const ValueView> row) const {
  for (size_t i = 0; i < from_.size(); ++i) {
    if (i > 0) text += '\t';
    append_load_value(text, target_->columns[to_[i]], row[from_[i]]);
  }
  text += '\n';
}

void LoadPlan::append_insert_row(std::string& text, std::span<const ValueView> row) const {
  text += '(';
  for (size_t i = 0; i < from_.size(); ++i) {
    if (i > 0) text += ',';
    mysql::append_literal(text, target_->columns[to_[i]], row[from_[i]]);
  }
  text += ')';
}

}  // namespace sluice::database
