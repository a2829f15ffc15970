#include "engines/mysql/scan.hpp"

#include <charconv>

#include "engines/mysql/row_decoder.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::mysql {
namespace {

// ---- conditions ----

// ENUM ranges by number do not use an index; a list of the numbers does.
std::string enum_list(const std::string& name, uint64_t first, uint64_t last) {
  if (first > last) return "0";
  std::string list = name + " IN (";
  for (uint64_t i = first; i <= last; ++i) list += (i == first ? "" : ",") + std::to_string(i);
  return list + ")";
}

enum class Compare { kGreater, kGreaterEqual, kLess, kLessEqual };

std::string compare(const Column& column, std::string_view qualifier, Compare op, const std::string& literal) {
  const std::string name = std::string(qualifier) + quote_name(column.name);
  constexpr size_t kEnumListMax = 256;
  uint64_t number = 0;
  const bool listed = column.type == ColumnType::kEnum && !column.labels.empty() &&
                      column.labels.size() <= kEnumListMax &&
                      std::from_chars(literal.data(), literal.data() + literal.size(), number).ec == std::errc();
  const uint64_t last = column.labels.size();
  switch (op) {
    case Compare::kGreater:
      return listed ? enum_list(name, number + 1, last) : name + ">" + literal;
    case Compare::kGreaterEqual:
      return listed ? enum_list(name, number, last) : name + ">=" + literal;
    case Compare::kLess:
      return listed ? (number == 0 ? "0" : enum_list(name, 0, number - 1)) : name + "<" + literal;
    case Compare::kLessEqual:
      return listed ? enum_list(name, 0, number) : name + "<=" + literal;
  }
  return {};
}

// (a,b) > (x,y) as a>=x AND (a>x OR (a=x AND b>y)): the servers use an index for this form, not for a row constructor.
std::string bound(const std::vector<const Column*>& columns, std::string_view qualifier,
                  const std::vector<std::string>& literals, bool after, size_t at = 0) {
  const Column& column = *columns[at];
  if (at + 1 == columns.size()) {
    return compare(column, qualifier, after ? Compare::kGreater : Compare::kLessEqual, literals[at]);
  }
  std::string sql = compare(column, qualifier, after ? Compare::kGreaterEqual : Compare::kLessEqual, literals[at]);
  sql += " AND (" + compare(column, qualifier, after ? Compare::kGreater : Compare::kLess, literals[at]);
  sql += " OR (" + std::string(qualifier) + quote_name(column.name) + "=" + literals[at] + " AND ";
  sql += bound(columns, qualifier, literals, after, at + 1) + "))";
  return sql;
}

std::vector<const Column*> columns_of(const TableSchema& schema, const Key* key) {
  std::vector<const Column*> columns;
  if (key == nullptr) return columns;
  for (const KeyPart& part : key->parts) columns.push_back(&schema.columns[part.column]);
  return columns;
}

std::vector<const Column*> range_columns(const TableSchema& schema) { return columns_of(schema, schema.range_key()); }
std::vector<const Column*> key_columns(const TableSchema& schema) { return columns_of(schema, schema.row_key()); }

std::string names_of(const std::vector<const Column*>& columns) {
  std::string list;
  for (const Column* column : columns) list += (list.empty() ? "" : ",") + quote_name(column->name);
  return list;
}

// " FROM `d`.`t` FORCE INDEX (…)": the range key's order is what keeps each chunk one range of the index.
std::string from_table(const TableSchema& schema) {
  std::string sql = " FROM " + quote_table(schema.database, schema.name);
  const Key* key = schema.range_key();
  if (key != nullptr && !key->name.empty()) sql += " FORCE INDEX (" + quote_name(key->name) + ")";
  return sql;
}

// ---- text form ----

void append_hex(std::string& out, std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[c & 15];
  }
}

void append_list(std::string& out, const std::vector<std::string>& literals) {
  out += ';';
  for (size_t i = 0; i < literals.size(); ++i) {
    if (i > 0) out += ',';
    append_hex(out, literals[i]);
  }
}

bool read_hex(std::string_view text, std::string& bytes) {
  if (text.empty() || text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (error != std::errc() || end != text.data() + i + 2) return false;
    bytes += static_cast<char>(value);
  }
  return true;
}

bool read_list(std::string_view text, std::vector<std::string>& literals) {
  while (!text.empty()) {
    const size_t comma = text.find(',');
    if (!read_hex(text.substr(0, comma), literals.emplace_back())) return false;
    if (comma == text.npos) return true;
    text.remove_prefix(comma + 1);
    if (text.empty()) return false;
  }
  return true;
}

}  // namespace

std::string Chunk::condition(const TableSchema& schema, std::string_view qualifier) const {
  const auto columns = range_columns(schema);
  std::string sql;
  if (!after.empty() && after.size() == columns.size()) sql = "(" + bound(columns, qualifier, after, true) + ")";
  if (!upto.empty() && upto.size() == columns.size()) {
    sql += (sql.empty() ? "(" : " AND (") + bound(columns, qualifier, upto, false) + ")";
  }
  return sql.empty() ? "1" : sql;
}

std::string Chunk::encode() const {
  std::string text = std::to_string(number);
  append_list(text, after);
  append_list(text, upto);
  return text;
}

Result<Chunk> Chunk::decode(std::string_view text) {
  const Error damaged(ErrorCode::CORRUPTED, "not a chunk: " + std::string(text.substr(0, 80)));
  Chunk chunk;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), chunk.number);
  if (error != std::errc()) return damaged;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (text.empty() || text[0] != ';') return damaged;
  const size_t second = text.find(';', 1);
  if (second == text.npos) return damaged;
  if (!read_list(text.substr(1, second - 1), chunk.after) || !read_list(text.substr(second + 1), chunk.upto)) {
    return damaged;
  }
  return chunk;
}

Result<std::optional<Chunk>> next_chunk(Connection& connection, const TableSchema& schema,
                                        const std::vector<std::string>& after, uint64_t number, uint64_t rows) {
  // The last chunk has an open end, so it also covers rows that come behind the last key; nothing follows it.
  if (after.empty() && number > 0) return std::optional<Chunk>();
  Chunk chunk;
  chunk.number = number;
  chunk.after = after;
  const auto columns = range_columns(schema);
  if (columns.empty()) return std::optional<Chunk>(chunk);
  std::string sql = "SELECT ";
  for (size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) sql += ',';
    append_select_expression(sql, *columns[i]);
  }
  sql += from_table(schema) + " WHERE " + chunk.condition(schema) + " ORDER BY " + names_of(columns) +
         " LIMIT 1 OFFSET " + std::to_string(rows == 0 ? 0 : rows - 1);
  const auto status = connection.stream(sql, [&](const std::vector<Cell>& cells) -> Status {
    if (cells.size() != columns.size()) return Error(ErrorCode::SCHEMA_MISMATCH, "the key has other columns");
    for (size_t i = 0; i < columns.size(); ++i) {
      ValueView value;
      SLUICE_TRY(decode_cell(*columns[i], cells[i], value));
      append_literal(chunk.upto.emplace_back(), *columns[i], value);
    }
    return {};
  });
  if (!status.ok()) return status.error().with_object(schema.qualified_name());
  return std::optional<Chunk>(std::move(chunk));
}

namespace {

Status stream_rows(Connection& connection, const TableSchema& schema, const std::string& sql,
                   const std::function<Status(std::span<const ValueView>)>& visit) {
  std::vector<ValueView> values(schema.columns.size());
  const auto status = connection.stream(sql, [&](const std::vector<Cell>& cells) -> Status {
    if (cells.size() != values.size()) return Error(ErrorCode::SCHEMA_MISMATCH, "the table has other columns");
    for (size_t i = 0; i < values.size(); ++i) SLUICE_TRY(decode_cell(schema.columns[i], cells[i], values[i]));
    return visit(values);
  });
  return status.ok() ? Status() : Status(status.error().with_object(schema.qualified_name()));
}

}  // namespace

Status scan_chunk(Connection& connection, const TableSchema& schema, const Chunk& chunk,
                  const std::function<Status(std::span<const ValueView>)>& visit) {
  const auto columns = range_columns(schema);
  std::string sql = "SELECT " + select_list(schema) + from_table(schema) + " WHERE " + chunk.condition(schema);
  if (!columns.empty()) sql += " ORDER BY " + names_of(columns);
  return stream_rows(connection, schema, sql, visit);
}

std::string key_condition(const TableSchema& schema, const std::vector<std::string>& literals) {
  const auto columns = key_columns(schema);
  std::string sql = "(";
  for (size_t i = 0; i < columns.size() && i < literals.size(); ++i) {
    if (i > 0) sql += " AND ";
    sql += quote_name(columns[i]->name) + "=" + literals[i];
  }
  return sql + ")";
}

Status scan_where(Connection& connection, const TableSchema& schema, std::string_view condition,
                  const std::function<Status(std::span<const ValueView>)>& visit) {
  const std::string sql = "SELECT " + select_list(schema) + " FROM " + quote_table(schema.database, schema.name) +
                          " WHERE " + std::string(condition);
  return stream_rows(connection, schema, sql, visit);
}

}  // namespace sluice::mysql
