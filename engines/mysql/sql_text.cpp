#include "engines/mysql/sql_text.hpp"

#include <charconv>
#include <cmath>

namespace sluice::mysql {
namespace {

template <class N>
void append_number(std::string& sql, N value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  sql.append(buffer, end);
}

// Shortest form that reads back to the same bits, with an exponent so that the server takes it for a DOUBLE and not
// for a DECIMAL. A FLOAT is written as the DOUBLE of the same value. The server drops the sign of -0e0 but keeps '-0'.
void append_double(std::string& sql, double value) {
  if (value == 0 && std::signbit(value)) {
    sql += "'-0'";
    return;
  }
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  sql.append(buffer, end);
}

// A literal of charset binary is refused by, or means something else to, columns of these types: they take text.
bool needs_text_literal(ColumnType type) {
  return type == ColumnType::kUuid || type == ColumnType::kInet4 || type == ColumnType::kInet6 ||
         type == ColumnType::kJson;
}

bool read_as_unsigned(ColumnType type) {
  return type == ColumnType::kBit || type == ColumnType::kEnum || type == ColumnType::kSet;
}

}  // namespace

void append_quoted(std::string& sql, std::string_view bytes) {
  sql.reserve(sql.size() + bytes.size() + 2);
  sql += '\'';
  size_t start = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    char escaped = 0;
    switch (bytes[i]) {
      case '\0':
        escaped = '0';
        break;
      case '\'':
        escaped = '\'';
        break;
      case '\\':
        escaped = '\\';
        break;
      case '\n':
        escaped = 'n';
        break;  // keeps statements on one line in the server's logs
      case '\r':
        escaped = 'r';
        break;
      case '\x1a':
        escaped = 'Z';
        break;
      default:
        continue;
    }
    sql.append(bytes, start, i - start);
    sql += '\\';
    sql += escaped;
    start = i + 1;
  }
  sql.append(bytes, start, bytes.size() - start);
  sql += '\'';
}

std::string quoted(std::string_view bytes) {
  std::string sql;
  append_quoted(sql, bytes);
  return sql;
}

void append_literal(std::string& sql, const Column& column, const ValueView& value) {
  if (value.null) {
    sql += "NULL";
    return;
  }
  switch (value.physical) {
    case Physical::kInt:
      append_number(sql, value.i);
      return;
    case Physical::kUInt:
      append_number(sql, value.u);
      return;
    case Physical::kFloat:
      append_double(sql, value.f);
      return;
    case Physical::kDouble:
      append_double(sql, value.d);
      return;
    case Physical::kBytes:
      break;
  }
  if (column.type == ColumnType::kDecimal) {
    sql += value.bytes;
    return;
  }
  if (needs_text_literal(column.type)) sql += column.type == ColumnType::kJson ? "_utf8mb4" : "_latin1";
  append_quoted(sql, value.bytes);
}

bool is_empty_enum(const Column& column, const ValueView& value) {
  return column.type == ColumnType::kEnum && !value.null && value.physical == Physical::kUInt && value.u == 0;
}

void append_select_expression(std::string& sql, const Column& column) {
  if (read_as_unsigned(column.type)) {
    sql += "CAST(" + quote_name(column.name) + " AS UNSIGNED)";
  } else if (column.type == ColumnType::kFloat || column.type == ColumnType::kDouble) {
    sql += quote_name(column.name) + "*1e0";  // all digits, whatever number of decimals the column shows
  } else {
    sql += quote_name(column.name);
  }
}

void append_key_condition(std::string& sql, const Column& column, const ValueView& value) {
  sql += quote_name(column.name);
  sql += value.null ? " IS " : "=";
  append_literal(sql, column, value);
}

void append_exact_condition(std::string& sql, const Column& column, const ValueView& value) {
  if (value.null) {
    sql += quote_name(column.name) + " IS NULL";
    return;
  }
  const bool as_bytes = column.is_character() || column.type == ColumnType::kGeometry;
  if (as_bytes) {
    sql += "CAST(" + quote_name(column.name) + " AS BINARY)<=>";
  } else {
    sql += quote_name(column.name) + "<=>";
  }
  append_literal(sql, column, value);
  if (column.type == ColumnType::kJson) sql += " COLLATE utf8mb4_bin";
}

}  // namespace sluice::mysql
