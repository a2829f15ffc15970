#include "agents/components/checker/difference_report.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/record.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::checker {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kDifferences = "differences.jsonl";
constexpr const char* kCorrection = "correction.sql";
constexpr const char* kDeletes = "correction.deletes";
constexpr const char* kInserts = "correction.inserts";

constexpr std::string_view kHeader =
    "-- Makes the target equal to the source as it was compared. Read it before you run it, with no other writer.\n"
    "SET NAMES binary;\n"
    "SET SESSION time_zone='+00:00', SESSION foreign_key_checks=0,\n"
    "  SESSION sql_mode='STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES';\n"
    "/*M!100201 SET SESSION check_constraint_checks=0 */;\n"  // rows may be older than the source's constraints
    "START TRANSACTION;\n";

const char* name_of(DifferenceKind kind) {
  switch (kind) {
    case DifferenceKind::kMissing:
      return "MISSING";
    case DifferenceKind::kExtra:
      return "EXTRA";
    case DifferenceKind::kDifferent:
      return "DIFFERENT";
  }
  return "";
}

Json line_of(const TablePair& pair, const char* kind) {
  return {{"source", pair.source_name.to_string()}, {"target", pair.target_name.to_string()}, {"kind", kind}};
}

// Keys may hold bytes of any character set: what is not UTF-8 is replaced. The correction SQL has them exactly.
std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// A row's values with their own bytes, since those of a result live only until the next row.
struct OwnedRow {
  std::vector<std::string> bytes;
  std::vector<ValueView> values;
  void copy(std::span<const ValueView> row) {
    bytes.resize(row.size());
    values.assign(row.begin(), row.end());
    for (size_t i = 0; i < row.size(); ++i) {
      bytes[i] = row[i].bytes;
      values[i].bytes = bytes[i];
    }
  }
};

// A literal of the source's value for the target's column: characters are converted by the server where the character
// sets differ.
void append_value(std::string& sql, const TablePair& pair, size_t at, const ValueView& value) {
  const Column& source = pair.source.columns[at];
  const bool converted = pair.source_converted.count(source.name) > 0 && !value.null;
  if (converted && source.is_character()) {
    sql += "_" + source.charset;
    mysql::append_quoted(sql, value.bytes);
  } else if (converted && source.type == ColumnType::kEnum && value.u > 0 && value.u <= source.labels.size()) {
    sql += "_utf8mb4" + mysql::quoted(source.labels[value.u - 1]);
  } else if (converted && source.type == ColumnType::kSet) {
    std::string labels;
    for (size_t bit = 0; bit < source.labels.size() && bit < 64; ++bit) {
      if (value.u >> bit & 1) labels += (labels.empty() ? "" : ",") + source.labels[bit];
    }
    sql += "_utf8mb4" + mysql::quoted(labels);
  } else {
    mysql::append_literal(sql, source, value);
  }
}

std::string insert_sql(const TablePair& pair, std::span<const ValueView> row) {
  std::string columns, values;
  for (size_t i = 0; i < row.size(); ++i) {
    if (pair.target.columns[i].generated) continue;
    columns += (columns.empty() ? "" : ",") + mysql::quote_name(pair.target.columns[i].name);
    if (!values.empty()) values += ',';
    append_value(values, pair, i, row[i]);
  }
  return "INSERT INTO " + mysql::quote_table(pair.target_name) + " (" + columns + ") VALUES (" + values + ");\n";
}

std::string delete_by_key(const TablePair& pair, const RowKey& key) {
  return "DELETE FROM " + mysql::quote_table(pair.target_name) + " WHERE " + mysql::key_condition(pair.target, key) +
         ";\n";
}

std::string delete_by_value(const TablePair& pair, std::span<const ValueView> row, int64_t count) {
  std::string sql = "DELETE FROM " + mysql::quote_table(pair.target_name) + " WHERE ";
  for (size_t i = 0; i < row.size(); ++i) {
    if (i > 0) sql += " AND ";
    mysql::append_exact_condition(sql, pair.target.columns[i], row[i]);
  }
  return sql + " LIMIT " + std::to_string(count) + ";\n";
}

Status write(std::ofstream& out, const std::string& path, std::string_view text) {
  if (!out.is_open()) out.open(path, std::ios::binary | std::ios::trunc);
  out << text;
  return out ? Status() : Status(Error(ErrorCode::IO_ERROR, "cannot write", path));
}

Result<bool> read_row(mysql::Connection& connection, const TableSchema& schema, const RowKey& key, OwnedRow& row) {
  bool found = false;
  // Under a collation that folds case the server may find a row whose key has other bytes; that one is a difference of
  // its own.
  SLUICE_TRY(mysql::scan_where(connection, schema, mysql::key_condition(schema, key),
                               [&](std::span<const ValueView> values) -> Status {
                                 row.copy(values);
                                 found = true;
                                 return {};
                               }));
  return found;
}

}  // namespace

Result<DifferenceReport> DifferenceReport::create(const std::string& folder) {
  DifferenceReport report;
  report.folder_ = folder;
  std::error_code error;
  fs::create_directories(folder, error);
  for (const char* name : {kDifferences, kCorrection, kDeletes, kInserts}) fs::remove(fs::path(folder) / name, error);
  if (error) return Error(ErrorCode::IO_ERROR, error.message(), folder);
  return report;
}

std::string DifferenceReport::path_of(const char* name) const { return (fs::path(folder_) / name).string(); }

Status DifferenceReport::write_line(const std::string& json) {
  return write(lines_, path_of(kDifferences), json + "\n");
}
Status DifferenceReport::write_delete(const std::string& sql) { return write(deletes_, path_of(kDeletes), sql); }
Status DifferenceReport::write_insert(const std::string& sql) { return write(inserts_, path_of(kInserts), sql); }

DifferenceReport::Mark DifferenceReport::mark() {
  const auto at = [](std::ofstream& file) { return file.is_open() ? static_cast<std::streamoff>(file.tellp()) : 0; };
  return {at(lines_), at(deletes_), at(inserts_)};
}

Status DifferenceReport::rewind(const Mark& mark) {
  const auto cut = [this](std::ofstream& file, const char* name, std::streamoff size) -> Status {
    if (!file.is_open()) return {};
    file.close();
    std::error_code error;
    fs::resize_file(path_of(name), static_cast<uintmax_t>(size), error);
    if (!error) file.open(path_of(name), std::ios::binary | std::ios::in | std::ios::out | std::ios::ate);
    return error || !file ? Status(Error(ErrorCode::IO_ERROR, "cannot cut", path_of(name))) : Status();
  };
  table_.clear();
  SLUICE_TRY(cut(lines_, kDifferences, mark.lines));
  SLUICE_TRY(cut(deletes_, kDeletes, mark.deletes));
  return cut(inserts_, kInserts, mark.inserts);
}

bool DifferenceReport::room_for(const TablePair& pair) {
  const std::string name = pair.source_name.to_string();
  if (table_ != name) {
    table_ = name;
    written_ = 0;
  }
  return ++written_ <= kRowsPerTable;
}

Status DifferenceReport::add_missing_object(const TablePair& pair, const std::string& what) {
  Json line = line_of(pair, "MISSING_OBJECT");
  line["object"] = what;
  return write_line(text_of(line));
}

Status DifferenceReport::add_row(Sides& sides, const TablePair& pair, const KeyDifference& difference) {
  OwnedRow source, target;
  if (difference.kind != DifferenceKind::kMissing) SLUICE_TRY(write_delete(delete_by_key(pair, difference.key)));
  bool has_source = false, has_target = false;
  if (difference.kind != DifferenceKind::kExtra) {
    SLUICE_ASSIGN(has_source, read_row(*sides.source, pair.source, difference.key, source));
  }
  if (difference.kind == DifferenceKind::kDifferent) {
    SLUICE_ASSIGN(has_target, read_row(*sides.target, pair.target, difference.key, target));
  }
  if (has_source) SLUICE_TRY(write_insert(insert_sql(pair, source.values)));
  Json line = line_of(pair, name_of(difference.kind));
  line["key"] = difference.key;
  if (has_source && has_target) {
    Json columns = Json::array();
    for (size_t i = 0; i < source.values.size(); ++i) {
      if (!(source.values[i] == target.values[i])) columns.push_back(pair.source.columns[i].name);
    }
    line["columns"] = columns;
  }
  return write_line(text_of(line));
}

Status DifferenceReport::add_rows(Sides& sides, const TablePair& pair, const ChunkComparison& comparison) {
  for (const auto& difference : comparison.differences) {
    if (!room_for(pair)) return {};
    SLUICE_TRY(add_row(sides, pair, difference));
  }
  return {};
}

Status DifferenceReport::add_surpluses(Sides& sides, const TablePair& pair, const MultisetComparison& comparison) {
  constexpr size_t kDigestsAtOnce = 1000;
  const auto& all = comparison.surpluses;
  for (size_t start = 0; start < all.size(); start += kDigestsAtOnce) {
    std::map<uint64_t, int64_t> missing, extra;
    std::vector<uint64_t> missing_digests, extra_digests;
    for (size_t i = start; i < std::min(all.size(), start + kDigestsAtOnce); ++i) {
      (all[i].surplus > 0 ? missing : extra)[all[i].digest] = std::abs(all[i].surplus);
      (all[i].surplus > 0 ? missing_digests : extra_digests).push_back(all[i].digest);
    }
    // Equal rows pass several times; the first one writes for all of them.
    SLUICE_TRY(mysql::scan_digests(
        *sides.source, pair.source, sides.method, missing_digests,
        [&](uint64_t digest, std::span<const ValueView> row) -> Status {
          const int64_t count = std::exchange(missing[digest], 0);
          if (count == 0 || !room_for(pair)) return {};
          for (int64_t i = 0; i < count; ++i) SLUICE_TRY(write_insert(insert_sql(pair, row)));
          Json line = line_of(pair, "MISSING");
          line["rows"] = count;
          return write_line(text_of(line));
        },
        pair.source_converted));
    SLUICE_TRY(mysql::scan_digests(
        *sides.target, pair.target, sides.method, extra_digests,
        [&](uint64_t digest, std::span<const ValueView> row) -> Status {
          const int64_t count = std::exchange(extra[digest], 0);
          if (count == 0 || !room_for(pair)) return {};
          SLUICE_TRY(write_delete(delete_by_value(pair, row, count)));
          Json line = line_of(pair, "EXTRA");
          line["rows"] = count;
          return write_line(text_of(line));
        },
        pair.target_converted));
  }
  return {};
}

Status DifferenceReport::finish() {
  const bool any = lines_.is_open() && lines_.tellp() > 0;
  lines_.close();
  if (any) difference_file_ = path_of(kDifferences);
  if (!deletes_.is_open() && !inserts_.is_open()) return {};
  deletes_.close();
  inserts_.close();
  if (!any) return {};
  correction_file_ = path_of(kCorrection);
  std::ofstream out(correction_file_, std::ios::binary | std::ios::trunc);
  out << kHeader;
  for (const char* name : {kDeletes, kInserts}) {
    const fs::path part = fs::path(folder_) / name;
    std::ifstream in(part, std::ios::binary);
    if (in && in.peek() != std::ifstream::traits_type::eof()) out << in.rdbuf();
    std::error_code ignored;
    fs::remove(part, ignored);
  }
  out << "COMMIT;\n";
  out.close();
  return out ? Status() : Status(Error(ErrorCode::IO_ERROR, "cannot write", correction_file_));
}

}  // namespace sluice::agents::checker
