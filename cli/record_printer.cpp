#include "cli/record_printer.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ostream>

#include "core/table_mapping.hpp"
#include "core/utc_text.hpp"

namespace sluice::cli {
namespace {

constexpr size_t kShownBytes = 1024;  // of one value

std::string time_text(int64_t us) {
  if (us == 0) return "-";
  std::string text = utc_text(us);
  text[text.find('T')] = ' ';
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%06d", static_cast<int>(us % 1'000'000));
  return text + fraction;
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    auto byte = static_cast<uint8_t>(text[at]);
    size_t more = byte < 0x80             ? 0
                  : (byte & 0xe0) == 0xc0 ? 1
                  : (byte & 0xf0) == 0xe0 ? 2
                  : (byte & 0xf8) == 0xf0 ? 3
                                          : 9;
    if (more > 3 || at + more >= text.size() + (more == 0)) return false;
    for (size_t next = 1; next <= more; ++next)
      if ((static_cast<uint8_t>(text[at + next]) & 0xc0) != 0x80) return false;
    at += more + 1;
  }
  return true;
}

// `ascii_only`: other bytes are escaped too.
std::string quoted_text(std::string_view text, bool ascii_only = false) {
  std::string out = "'";
  for (char byte : text) {
    if (byte == '\'' || byte == '\\') out += '\\';
    if (byte == '\n')
      out += "\\n";
    else if (byte == '\r')
      out += "\\r";
    else if (byte == '\t')
      out += "\\t";
    else if (const auto code = static_cast<uint8_t>(byte); code < 0x20 || (ascii_only && code >= 0x7f))
      out += "\\x" + std::string(1, "0123456789abcdef"[code >> 4]) + "0123456789abcdef"[code & 15];
    else
      out += byte;
  }
  return out + "'";
}

std::string hex_text(std::string_view bytes) {
  std::string out = "0x";
  for (char byte : bytes) {
    out += "0123456789abcdef"[static_cast<uint8_t>(byte) >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

template <class Number>
std::string number_text(Number value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string labels_text(const Column& column, uint64_t value) {
  if (column.type == ColumnType::kEnum)
    return value && value <= column.labels.size() ? quoted_text(column.labels[value - 1]) : number_text(value);
  std::string out;
  for (size_t bit = 0; bit < column.labels.size(); ++bit)
    if (value >> bit & 1) out += (out.empty() ? "" : ",") + column.labels[bit];
  return quoted_text(out);
}

}  // namespace

std::string printed_value(const Column& column, const ValueView& value) {
  if (value.null) return "NULL";
  switch (value.physical) {
    case Physical::kInt:
      return number_text(value.i);
    case Physical::kUInt:
      if (column.type == ColumnType::kEnum || column.type == ColumnType::kSet) return labels_text(column, value.u);
      return number_text(value.u);
    case Physical::kFloat:
      return number_text(value.f);
    case Physical::kDouble:
      return number_text(value.d);
    case Physical::kBytes:
      break;
  }
  std::string more;
  std::string_view bytes = value.bytes;
  switch (column.type) {
    case ColumnType::kDecimal:
      return std::string(bytes);
    case ColumnType::kBinary:
    case ColumnType::kVarbinary:
    case ColumnType::kBlob:
    case ColumnType::kGeometry:
    case ColumnType::kVector:
      if (bytes.size() > kShownBytes) more = "... (" + std::to_string(bytes.size()) + " bytes)";
      return hex_text(bytes.substr(0, kShownBytes)) + more;
    default:
      break;
  }
  if (bytes.size() > kShownBytes) more = "... (" + std::to_string(bytes.size()) + " bytes)";
  // Another character set: its letters that are ASCII as such, the rest as bytes.
  if (!is_utf8(bytes)) return column.charset + quoted_text(bytes.substr(0, kShownBytes), true) + more;
  size_t cut = std::min(kShownBytes, bytes.size());
  while (cut > 0 && cut < bytes.size() && (static_cast<uint8_t>(bytes[cut]) & 0xc0) == 0x80) --cut;
  return quoted_text(bytes.substr(0, cut)) + more;
}

bool RecordPrinter::wanted(const TableSchema& schema) const {
  if (tables_.empty()) return true;
  for (auto& text : tables_) {
    auto pattern = parse_table_pattern(text);
    if (pattern.ok() && matches_pattern(pattern->database, schema.database) &&
        matches_pattern(pattern->table, schema.name))
      return true;
  }
  return false;
}

Status RecordPrinter::print_rows(const Rows& rows) {
  auto schema = schemas_(rows.schema_id);
  if (!schema) return Error(ErrorCode::CORRUPTED, "rows of a table whose definition is missing");
  if (!wanted(*schema)) return {};
  const char* op = rows.op == RowOp::kInsert ? "INSERT" : rows.op == RowOp::kUpdate ? "UPDATE" : "DELETE";
  if (!with_rows_) {
    out_ << "  " << op << " " << schema->qualified_name() << " " << rows.row_count << " rows\n";
    return {};
  }
  std::vector<ValueView> values(schema->columns.size());
  auto image = [&](const char* label, RowView row) -> Status {
    SLUICE_TRY(row.decode(*schema, values));
    out_ << label;
    for (size_t index = 0; index < values.size(); ++index)
      out_ << (index ? ", " : "") << schema->columns[index].name << "="
           << printed_value(schema->columns[index], values[index]);
    return {};
  };
  return rows.for_each([&](RowView before, RowView after) -> Status {
    out_ << "  " << op << " " << schema->qualified_name()
         << ((rows.flags & kRowsNoForeignKeyChecks) ? " (no foreign key checks)" : "");
    if (rows.op != RowOp::kInsert) SLUICE_TRY(image(": ", before));
    if (rows.op != RowOp::kDelete) SLUICE_TRY(image(rows.op == RowOp::kUpdate ? " -> " : ": ", after));
    out_ << "\n";
    return {};
  });
}

Status RecordPrinter::print(const Batch& batch) {
  return batch.for_each([&](const RecordView& record) -> Status {
    if (auto* begin = std::get_if<Begin>(&record)) {
      out_ << "BEGIN " << begin->gtid << " at " << time_text(begin->commit_time_us) << " server " << begin->server_id
           << "\n";
    } else if (auto* ddl = std::get_if<Ddl>(&record)) {
      out_ << "  DDL [" << ddl->database << "] sql_mode=" << ddl->sql_mode << " time_zone=" << ddl->time_zone << ": "
           << ddl->sql << "\n";
    } else if (auto* commit = std::get_if<Commit>(&record)) {
      ++transactions_;
      position_ = commit->position();
      out_ << "COMMIT " << position_.to_string() << " rows " << commit->row_count << "\n";
    } else if (auto* heartbeat = std::get_if<Heartbeat>(&record)) {
      position_ = heartbeat->position();
      out_ << "HEARTBEAT " << position_.to_string() << " source at " << time_text(heartbeat->source_time_us) << "\n";
    } else {
      return print_rows(std::get<Rows>(record));
    }
    return {};
  });
}

}  // namespace sluice::cli
