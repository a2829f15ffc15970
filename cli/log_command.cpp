#include "cli/log_command.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <iostream>

#include "cli/args.hpp"
#include "cli/client_connection.hpp"
#include "cli/command_line.hpp"
#include "cli/record_printer.hpp"
#include "core/table_mapping.hpp"
#include "store/client/log_client.hpp"
#include "store/log/cursor.hpp"

namespace sluice::cli {
namespace {

constexpr char kFooter[] =
    "A Store's folder is components/….store in its agent's data directory (agent/components/….store in the work\n"
    "directory of `sluice migrate`); the address of a running Store is the one of its component in\n"
    "`sluice project components PROJECT -o json`. The token may also come from SLUICE_TOKEN_FILE, or from the key\n"
    "token-file in ~/.config/sluice/config.yaml.\n\n"
    "Examples\n"
    "  sluice log sluice-work/agent/components/*.store --tables 'shop.*' --limit 10\n"
    "  sluice log 127.0.0.1:40123 --token-file /var/lib/sluice/c/admin.token --at '2026-11-21 07:23:15' --follow\n\n"
    "Exit status: 0 success, 2 usage, 4 error.\n\n";

struct LogArguments {
  std::string from_where, from, to, at;
  ClientConnection connection;  // where a running Store's token is found
  std::vector<std::string> tables;
  uint64_t limit = 0;
  bool follow = false, no_rows = false;
};

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
  SLUICE_ASSIGN(const Config settings, arguments.connection.settings());
  if (const std::string file = settings.text("token-file"); !file.empty()) {
    SLUICE_ASSIGN(options.token, wait_for_token(file, std::chrono::seconds(0)));
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
    return Error(ErrorCode::INVALID_ARGUMENT, "neither a folder nor HOST:PORT or unix:PATH", arguments.from_where);
  return print_store(arguments, from, at_us, to);
}

}  // namespace

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
  app.add_option("--token-file", arguments.connection.token_file, "File with the cluster's token, for a running Store")
      ->type_name("FILE");
  app.add_flag("--follow", arguments.follow, "Go on with what comes, until interrupted (running Store only)");
  app.add_flag("--no-rows", arguments.no_rows, "Print the number of rows instead of the rows");
  app.footer(kFooter);
  if (auto end = parse_arguments(app, argc, argv)) return *end;
  auto status = print_log(arguments);
  std::cout.flush();
  return status.ok() ? kExitDone : fail(command_name(app), status.error());
}

}  // namespace sluice::cli
