#include "engines/mysql/digest.hpp"

#include <mysql.h>

#include <algorithm>
#include <charconv>

#include "engines/mysql/row_decoder.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::mysql {
namespace {

constexpr size_t kLongValue = 65'536;  // bytes; longer values enter as their own hash

bool may_be_long(const Column& column) {
  switch (column.type) {
    case ColumnType::kText:
    case ColumnType::kBlob:
    case ColumnType::kJson:
    case ColumnType::kGeometry:
    case ColumnType::kVector:
      return true;
    case ColumnType::kVarchar:
      return column.length > 16'000;
    default:
      return false;
  }
}

// Types whose text never holds a semicolon, so that it can end with one.
bool is_plain(const Column& column) {
  return column.physical() != Physical::kBytes || column.type == ColumnType::kDecimal ||
         (column.type >= ColumnType::kYear && column.type <= ColumnType::kTimestamp) ||
         (column.type >= ColumnType::kUuid && column.type <= ColumnType::kInet6);
}

std::string hash_of(DigestMethod method, const std::string& text) {
  return method == DigestMethod::kSha1Sum ? "SHA1(" + text + ")" : "SHA2(" + text + ",256)";
}

std::string plain_text(const Column& column) {
  const std::string name = quote_name(column.name);
  // +0 takes away the zeros that a ZEROFILL column shows in front.
  if (column.sql_type.find("zerofill") != column.sql_type.npos) return name + "+0";
  if (column.type >= ColumnType::kUuid) return "CAST(" + name + " AS CHAR)";
  std::string expression;
  append_select_expression(expression, column);
  return expression;
}

// One column: "N;" for NULL, "text;" for a plain type, else "length:bytes". With the list of columns given, different
// rows have different texts.
void append_column(std::string& sql, const Column& column, DigestMethod method, bool converted) {
  std::string text;
  const bool labels = converted && (column.type == ColumnType::kEnum || column.type == ColumnType::kSet);
  if (is_plain(column) && !labels) {
    text = plain_text(column) + ",';'";
  } else {
    const std::string name = quote_name(column.name);
    const std::string value = converted ? "CONVERT(" + name + " USING utf8mb4)" : name;
    const bool cast =
        converted || column.is_character() || column.type == ColumnType::kGeometry || column.type == ColumnType::kJson;
    const std::string bytes = cast ? "CAST(" + value + " AS BINARY)" : value;
    text = "LENGTH(" + value + "),':',";
    text += may_be_long(column) ? "IF(LENGTH(" + value + ")>" + std::to_string(kLongValue) + "," +
                                      hash_of(method, value) + "," + bytes + ")"
                                : bytes;
  }
  sql += column.nullable ? "IFNULL(CONCAT(" + text + "),'N;')" : text;
}

std::string from_chunk(const TableSchema& schema, const Chunk& chunk) {
  std::string sql = " FROM " + quote_table(schema.database, schema.name);
  const Key* key = schema.range_key();
  if (key != nullptr && !key->name.empty()) sql += " FORCE INDEX (" + quote_name(key->name) + ")";
  return sql + " WHERE " + chunk.condition(schema);
}

Status no_warnings(Connection& connection, const TableSchema& schema) {
  if (mysql_warning_count(connection.raw()) == 0) return {};
  SLUICE_ASSIGN(const auto warnings, connection.warnings());
  const std::string first = warnings.empty() ? "a warning" : warnings[0].message;
  return Error(ErrorCode::STATEMENT_FAILED, "the digest is not reliable: " + first, schema.qualified_name());
}

}  // namespace

DigestMethod choose_method(const ServerVersion& source, const ServerVersion& target) {
  const auto has_sha1 = [](const ServerVersion& v) { return v.mariadb || v.number < 90'000; };
  return has_sha1(source) && has_sha1(target) ? DigestMethod::kSha1Sum : DigestMethod::kSha2Sum;
}

std::string row_digest_expression(const TableSchema& schema, DigestMethod method, const ConvertedColumns& converted) {
  std::string row;
  for (const Column& column : schema.columns) {
    if (!row.empty()) row += ',';
    append_column(row, column, method, converted.count(column.name) > 0);
  }
  return "CAST(CONV(LEFT(" + hash_of(method, "CONCAT(" + row + ")") + ",16),16,10) AS UNSIGNED)";
}

Result<ChunkDigest> digest_chunk(Connection& connection, const TableSchema& schema, const Chunk& chunk,
                                 DigestMethod method, const ConvertedColumns& converted) {
  // A digest that could not be computed counts 10^30, which no sum of 64-bit numbers reaches: this is count(digest) =
  // count(*) without computing every digest twice.
  constexpr std::string_view kFailed = "1000000000000000000000000000000";
  const std::string sql = "SELECT COUNT(*), IFNULL(SUM(IFNULL(" + row_digest_expression(schema, method, converted) +
                          "," + std::string(kFailed) + ")),0)" + from_chunk(schema, chunk);
  auto table = connection.query(sql);
  if (!table.ok()) return table.error().with_object(schema.qualified_name());
  SLUICE_TRY(no_warnings(connection, schema));
  if (table->rows.size() != 1 || !table->rows[0][0] || !table->rows[0][1]) {
    return Error(ErrorCode::STATEMENT_FAILED, "the digest has no value", schema.qualified_name());
  }
  ChunkDigest result;
  result.rows = std::strtoull(table->rows[0][0]->c_str(), nullptr, 10);
  result.digest = std::move(*table->rows[0][1]);
  if (result.digest.size() >= kFailed.size()) {
    return Error(ErrorCode::PACKET_TOO_LARGE, "the digest of a row could not be computed", schema.qualified_name());
  }
  return result;
}

namespace {

using VisitDigest = std::function<Status(const std::vector<std::string>& key, std::string_view digest)>;

std::vector<const Column*> key_columns(const TableSchema& schema) {
  std::vector<const Column*> columns;
  if (const Key* key = schema.row_key()) {
    for (const KeyPart& part : key->parts) columns.push_back(&schema.columns[part.column]);
  }
  return columns;
}

// Runs "SELECT key columns, digest FROM …" and turns the key into literals.
Status stream_digests(Connection& connection, const TableSchema& schema, const std::string& digest,
                      const std::string& from, const VisitDigest& visit) {
  const auto columns = key_columns(schema);
  std::string sql = "SELECT ";
  for (const Column* column : columns) {
    append_select_expression(sql, *column);
    sql += ',';
  }
  sql += digest + from;
  std::vector<std::string> literals(columns.size());
  const auto status = connection.stream(sql, [&](const std::vector<Cell>& cells) -> Status {
    if (cells.size() != columns.size() + 1 || !cells.back()) {
      return Error(ErrorCode::PACKET_TOO_LARGE, "the digest of a row could not be computed");
    }
    for (size_t i = 0; i < columns.size(); ++i) {
      ValueView value;
      SLUICE_TRY(decode_cell(*columns[i], cells[i], value));
      literals[i].clear();
      append_literal(literals[i], *columns[i], value);
    }
    return visit(literals, *cells.back());
  });
  if (!status.ok()) return status.error().with_object(schema.qualified_name());
  return no_warnings(connection, schema);
}

Result<uint64_t> digest_of(const Cell& cell) {
  uint64_t digest = 0;
  if (cell) {
    const auto [end, error] = std::from_chars(cell->data(), cell->data() + cell->size(), digest);
    if (error == std::errc() && end == cell->data() + cell->size()) return digest;
  }
  return Error(ErrorCode::PACKET_TOO_LARGE, "the digest of a row could not be computed");
}

}  // namespace

Status digest_rows(Connection& connection, const TableSchema& schema, const Chunk& chunk, DigestMethod method,
                   const VisitDigest& visit, const ConvertedColumns& converted) {
  std::string order;
  for (const Column* column : key_columns(schema)) {
    order += (order.empty() ? " ORDER BY " : ",") + quote_name(column->name);
  }
  return stream_digests(connection, schema, row_digest_expression(schema, method, converted),
                        from_chunk(schema, chunk) + order, visit);
}

Status digest_keys(Connection& connection, const TableSchema& schema, std::span<const std::vector<std::string>> keys,
                   DigestMethod method, const VisitDigest& visit, const ConvertedColumns& converted) {
  constexpr size_t kKeysAtOnce = 100;
  const std::string digest = row_digest_expression(schema, method, converted);
  for (size_t start = 0; start < keys.size(); start += kKeysAtOnce) {
    std::string from = " FROM " + quote_table(schema.database, schema.name) + " WHERE ";
    for (size_t i = start; i < std::min(keys.size(), start + kKeysAtOnce); ++i) {
      if (i > start) from += " OR ";
      from += key_condition(schema, keys[i]);
    }
    SLUICE_TRY(stream_digests(connection, schema, digest, from, visit));
  }
  return {};
}

Status digest_part(Connection& connection, const TableSchema& schema, DigestMethod method, uint64_t part,
                   uint64_t parts, const std::function<Status(uint64_t digest)>& visit,
                   const ConvertedColumns& converted) {
  std::string sql = "SELECT " + row_digest_expression(schema, method, converted) + " AS sluice_digest FROM " +
                    quote_table(schema.database, schema.name);
  // A digest that failed must come through as well.
  if (parts > 1) {
    sql += " HAVING sluice_digest IS NULL OR sluice_digest%" + std::to_string(parts) + "=" + std::to_string(part);
  }
  const auto status = connection.stream(sql, [&](const std::vector<Cell>& cells) -> Status {
    SLUICE_ASSIGN(const auto digest, digest_of(cells[0]));
    return visit(digest);
  });
  if (!status.ok()) return status.error().with_object(schema.qualified_name());
  return no_warnings(connection, schema);
}

Status scan_digests(Connection& connection, const TableSchema& schema, DigestMethod method,
                    std::span<const uint64_t> digests,
                    const std::function<Status(uint64_t digest, std::span<const ValueView>)>& visit,
                    const ConvertedColumns& converted) {
  if (digests.empty()) return {};
  std::string sql = "SELECT " + select_list(schema) + "," + row_digest_expression(schema, method, converted) +
                    " AS sluice_digest FROM " + quote_table(schema.database, schema.name) +
                    " HAVING sluice_digest IN (";
  for (size_t i = 0; i < digests.size(); ++i) sql += (i > 0 ? "," : "") + std::to_string(digests[i]);
  sql += ")";
  std::vector<ValueView> values(schema.columns.size());
  const auto status = connection.stream(sql, [&](const std::vector<Cell>& cells) -> Status {
    if (cells.size() != values.size() + 1) return Error(ErrorCode::SCHEMA_MISMATCH, "the table has other columns");
    for (size_t i = 0; i < values.size(); ++i) SLUICE_TRY(decode_cell(schema.columns[i], cells[i], values[i]));
    SLUICE_ASSIGN(const auto digest, digest_of(cells.back()));
    return visit(digest, values);
  });
  return status.ok() ? Status() : Status(status.error().with_object(schema.qualified_name()));
}

}  // namespace sluice::mysql
