#include "cli/log_command.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <iostream>

#include "cli/args.hpp"
#include "cli/command_line.hpp"
#include "core/table_mapping.hpp"
#include "core/utc_text.hpp"
#include "store/client/log_client.hpp"
#include "store/log/cursor.hpp"

namespace sluice::cli {
namespace {

constexpr size_t kShownBytes = 1024;  // of one value

struct LogArguments {
  std::string from_where, token_file, from, to, at;
  std::vector<std::string> tables;
  uint64_t limit = 0;
  bool follow = false, no_rows = false;
};

std::string time_text(int64_t us) {
  if (us == 0) return "-";
  std::string text = utc_text(us);
  text[text.find('T')] = ' ';
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%06d", static_cast<int>(us % 1'000'000));
  return text + fraction;
}

// "2026-11-21 07:23:15" (UTC) or Unix seconds.
Result<int64_t> parse_time(const std::string& text) {
  std::tm utc{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &utc);
  if (rest && !*rest) return static_cast<int64_t>(timegm(&utc)) * 1'000'000;
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size()) return seconds * 1'000'000;
  return Error(ErrorCode::INVALID_ARGUMENT, "--at takes 'YYYY-MM-DD HH:MM:SS' (UTC) or Unix seconds", text);
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

std::string quoted_text(std::string_view text) {
  std::string out = "'";
  for (char byte : text) {
    if (byte == '\'' || byte == '\\') out += '\\';
    if (byte == '\n')
      out += "\\n";
    else if (byte == '\r')
      out += "\\r";
    else if (byte == '\t')
      out += "\\t";
    else if (static_cast<uint8_t>(byte) < 0x20)
      out += "\\x" + std::string(1, "0123456789abcdef"[byte >> 4]) + "0123456789abcdef"[byte & 15];
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

volatile std::sig_atomic_t interrupted = 0;

bool is_address(const std::string& text) {
  return text.starts_with("unix:") ||
         (text.find('/') == std::string::npos && text.find(':') != std::string::npos && text.back() != ':');
}

// Offline, without disturbing a Store that may run.
Status print_folder(const LogArguments& arguments, const Position& from, int64_t at_us, const Position& to) {
  std::string path = arguments.from_where;
  if (std::filesystem::exists(path + "/log/CURRENT")) path += "/log";
  if (!std::filesystem::exists(path + "/CURRENT"))
    return Error(ErrorCode::NOT_FOUND, "no log of a Store is there", arguments.from_where);
  store::LogOptions options;
  options.path = path;
  SLUICE_ASSIGN(auto log, store::Log::open_read_only(options));
  auto status = log->status();
  SLUICE_ASSIGN(auto start, log->start());
  std::cout << "# Store log " << path << "\n# start " << (start ? start->position.to_string() : "-") << ", retained ("
            << status.begin.to_string() << ", " << status.end.to_string() << "]\n";
  for (auto& reader : log->readers())
    std::cout << "# reader " << reader.name << " epoch " << reader.epoch << " durable " << reader.durable.to_string()
              << "\n";
  SLUICE_ASSIGN(auto cursor, at_us ? store::Cursor::at_time(*log, at_us) : store::Cursor::after(*log, from));
  RecordPrinter printer(
      std::cout,
      [&](uint64_t id) {
        auto schema = log->schema(id);
        return schema.ok() ? std::move(schema).value() : nullptr;
      },
      arguments.tables, !arguments.no_rows);
  while (!interrupted) {
    SLUICE_ASSIGN(auto block, cursor.next());
    if (!block) return {};
    SLUICE_TRY(printer.print(block->batch));
    if (arguments.limit && printer.transactions() >= arguments.limit) return {};
    if (!to.empty() && compare_in_log(cursor.position(), to) >= 0) return {};
  }
  return {};
}

Status print_store(const LogArguments& arguments, const Position& from, int64_t at_us, const Position& to) {
  store::LogClientOptions options;
  options.address = arguments.from_where;
  if (!arguments.token_file.empty()) {
    SLUICE_ASSIGN(options.token, wait_for_token(arguments.token_file, std::chrono::seconds(0)));
  }
  options.after = from;
  options.at_time_us = at_us;
  options.includes = arguments.tables;
  SLUICE_ASSIGN(auto client, store::LogClient::open(options));
  RecordPrinter printer(
      std::cout, [&](uint64_t id) { return client->schema(id); }, arguments.tables, !arguments.no_rows);
  while (!interrupted) {
    auto item = client->next(std::chrono::milliseconds(10'000));
    if (!item.ok()) return item.error();
    if (item->batch) {
      SLUICE_TRY(printer.print(*item->batch));
      std::cout.flush();
      client->grant(item->batch->size());
    }
    if (arguments.limit && printer.transactions() >= arguments.limit) return {};
    if (!to.empty() && compare_in_log(printer.position(), to) >= 0) return {};
    if (!arguments.follow && item->caught_up) return {};
  }
  return {};
}

Status print_log(const LogArguments& arguments) {
  Position from, to;
  int64_t at_us = 0;
  if (!arguments.from.empty()) {
    SLUICE_ASSIGN(from, Position::parse(arguments.from));
  }
  if (!arguments.to.empty()) {
    SLUICE_ASSIGN(to, Position::parse(arguments.to));
  }
  if (!arguments.at.empty()) {
    SLUICE_ASSIGN(at_us, parse_time(arguments.at));
  }
  for (auto& pattern : arguments.tables) {
    auto parsed = parse_table_pattern(pattern);
    if (!parsed.ok()) return parsed.error();
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  if (std::filesystem::is_directory(arguments.from_where)) {
    if (arguments.follow) return Error(ErrorCode::INVALID_ARGUMENT, "--follow needs the address of a running Store");
    return print_folder(arguments, from, at_us, to);
  }
  if (!is_address(arguments.from_where))
    return Error(ErrorCode::NOT_FOUND, "neither a folder nor HOST:PORT or unix:PATH", arguments.from_where);
  return print_store(arguments, from, at_us, to);
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
  if (!is_utf8(bytes)) return column.charset + ":" + hex_text(bytes.substr(0, kShownBytes));
  if (bytes.size() <= kShownBytes) return quoted_text(bytes);
  size_t cut = kShownBytes;
  while (cut > 0 && (static_cast<uint8_t>(bytes[cut]) & 0xc0) == 0x80) --cut;
  return quoted_text(bytes.substr(0, cut)) + "... (" + std::to_string(bytes.size()) + " bytes)";
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

int run_log(int argc, char** argv) {
  CLI::App app{"Prints what a Store's log holds: positions, transactions, rows, statements. Times are UTC.",
               "sluice log"};
  LogArguments arguments;
  app.add_option("STORE", arguments.from_where, "Folder of a Store, or HOST:PORT or unix:PATH of a running one")
      ->required()
      ->type_name("");
  app.add_option("--from", arguments.from, "Begin after this position")->type_name("FILE:OFFSET[;GTIDS]");
  app.add_option("--at", arguments.at,
                 "Begin with the first transaction committed at this time: 'YYYY-MM-DD HH:MM:SS' (UTC) or Unix seconds")
      ->type_name("TIME");
  app.add_option("--to", arguments.to, "End at this position")->type_name("FILE:OFFSET[;GTIDS]");
  app.add_option("--tables", arguments.tables, "Only tables DATABASE.TABLE, with * and ?; may be repeated")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
  app.add_option("--limit", arguments.limit, "End after so many transactions (and the rest of their block)")
      ->type_name("N");
  app.add_option("--token-file", arguments.token_file, "File with the cluster's token, for a running Store")
      ->type_name("FILE");
  app.add_flag("--follow", arguments.follow, "Go on with what comes, until interrupted (running Store only)");
  app.add_flag("--no-rows", arguments.no_rows, "Print the number of rows instead of the rows");
  if (auto end = parse_arguments(app, argc, argv)) return *end;
  auto status = print_log(arguments);
  std::cout.flush();
  return status.ok() ? kExitDone : fail(status.error());
}

}  // namespace sluice::cli
