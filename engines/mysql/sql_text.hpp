// Writing SQL text for a session of Purpose::kData (charset binary). Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/schema.hpp"
#include "core/value.hpp"
#include "engines/mysql/quoting.hpp"

namespace sluice::mysql {

void append_quoted(std::string& sql, std::string_view bytes);  // 'it\'s'; exact for any bytes
std::string quoted(std::string_view bytes);

// Appends a literal that assigns or compares exactly this value to a column of this definition: numbers as numbers,
// ENUM, SET and BIT as numbers, FLOAT and DOUBLE with all digits, bytes quoted, GEOMETRY and UUID as the server takes
// them, NULL.
void append_literal(std::string& sql, const Column& column, const ValueView& value);
// The empty value of an ENUM, which a server that was not strict stored for a label that it did not know: only a
// session that is not strict can store it (mysql::kLenientMode).
bool is_empty_enum(const Column& column, const ValueView& value);
// The expression that reads a column in canonical form (schema.hpp Physical), for a SELECT list: `c`, `c`+0 for ENUM,
// SET and BIT, a cast to DOUBLE for FLOAT …
void append_select_expression(std::string& sql, const Column& column);
// "`col` = literal" for key columns; "<=>" and a binary, byte-exact comparison for rows without a key.
void append_key_condition(std::string& sql, const Column& column, const ValueView& value);
void append_exact_condition(std::string& sql, const Column& column, const ValueView& value);

}  // namespace sluice::mysql
