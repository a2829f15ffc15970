#include "engines/mysql/row_decoder.hpp"

#include <charconv>

#include "engines/mysql/sql_text.hpp"

namespace sluice::mysql {
namespace {

template <class N>
bool parse(std::string_view text, N& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // Underflow to a subnormal is exact enough for from_chars to report it as out of range on some libraries; the servers
  // never print a DOUBLE outside the range.
  return error == std::errc() && end == text.data() + text.size();
}

// ZEROFILL columns are shown with zeros in front: "0001.50" is 1.50.
std::string_view without_fill(std::string_view decimal) {
  while (decimal.size() > 1 && decimal[0] == '0' && decimal[1] != '.') decimal.remove_prefix(1);
  return decimal;
}

}  // namespace

Status decode_cell(const Column& column, const Cell& cell, ValueView& value) {
  const Physical physical = column.physical();
  if (!cell) {
    value = ValueView::of_null(physical);
    return {};
  }
  bool ok = true;
  double number = 0;
  switch (physical) {
    case Physical::kInt:
      value = ValueView::of_int(0), ok = parse(*cell, value.i);
      break;
    case Physical::kUInt:
      value = ValueView::of_uint(0), ok = parse(*cell, value.u);
      break;
    case Physical::kFloat:
      ok = parse(*cell, number);
      value = ValueView::of_float(static_cast<float>(number));
      break;
    case Physical::kDouble:
      ok = parse(*cell, number), value = ValueView::of_double(number);
      break;
    case Physical::kBytes:
      value = ValueView::of_bytes(column.type == ColumnType::kDecimal ? without_fill(*cell) : *cell);
      break;
  }
  if (ok) return {};
  return Error(ErrorCode::SCHEMA_MISMATCH, "the server sent a value that does not fit the column's type", column.name);
}

std::string select_list(const TableSchema& schema) {
  std::string list;
  for (const Column& column : schema.columns) {
    if (!list.empty()) list += ',';
    append_select_expression(list, column);
  }
  return list;
}

}  // namespace sluice::mysql
