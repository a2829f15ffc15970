#include "cli/migrate_options.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "cli/args.hpp"

namespace sluice::cli {
namespace {

constexpr char kFooter[] =
    R"(SOURCE and TARGET: mysql://user[:password]@host[:port][/database][?ssl-mode=…&ssl-ca=…&socket=…&password-file=…]
The user is percent-encoded. Passwords may also come from SLUICE_SOURCE_PASSWORD and SLUICE_TARGET_PASSWORD.

Examples
  sluice migrate mysql://app@old.example.com/shop mysql://app@new.example.com/shop
      copies the database, follows the changes meanwhile, verifies, and ends when both are equal
  sluice migrate mysql://app@old mysql://app@new --include 'shop.*' --exclude 'shop.tmp_*' --follow
      goes on following until Ctrl-C, then drains and ends
  sluice migrate … --resume
      goes on after an interruption, an error or a crash

Exit status: 0 done (and verified equal, where asked), 2 usage, 3 differences or unsettled rows, 4 stopped by an error,
130 interrupted before the end.)";

struct RawOptions {
  std::string source, target, steps = "schema,full,incr,verify", progress = "auto", memory = "512M";
  bool once = false;
};

Error usage(std::string cause) { return Error(ErrorCode::INVALID_ARGUMENT, std::move(cause)); }

void declare(CLI::App& app, MigrateOptions& o, RawOptions& raw) {
  app.add_option("SOURCE", raw.source, "the database to move")->required();
  app.add_option("TARGET", raw.target, "the database to fill")->required();
  app.add_option("--include", o.includes, "tables to move: database.table with * and ? (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--exclude", o.excludes, "tables to leave out; wins over --include (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--rename", o.renames, "FROM=TO: a.t=b.u a table, a.*=b.* a database (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--steps", raw.steps, "what to do, of: schema,full,incr,verify")->capture_default_str();
  auto* once = app.add_flag("--once", raw.once, "end when the target equals the source (default)");
  app.add_flag("--follow", o.follow, "go on following after the verification until Ctrl-C")->excludes(once);
  app.add_flag("--resume", o.resume, "continue the project in the work directory");
  app.add_flag("--dry-run", o.dry_run, "only run the named checks, change nothing");
  app.add_flag("--cleanup", o.cleanup, "remove the work directory and the meta database of an ended project");
  app.add_option("--progress", raw.progress, "auto, bar, plain, json or none")->capture_default_str();
  app.add_option("--report", o.report, "write the report to this file (JSON)");
  app.add_option("--work-dir", o.work_dir, "where the project's state is kept")->capture_default_str();
  app.add_option("--speed", o.speed, "steady, normal or fast")->capture_default_str();
  app.add_option("--memory", raw.memory, "memory of each component process")->capture_default_str();
  app.add_option("--throttle-rps", o.throttle_rps, "rows per second at most; 0: no limit")->capture_default_str();
  auto* allow = app.add_flag("--allow-not-empty", o.allow_not_empty, "target tables may exist and have rows");
  app.add_flag("--truncate-target", o.truncate_target, "drop existing target tables first")->excludes(allow);
  app.add_option("--skip-check", o.skip_checks, "leave out a check by name (repeatable)")->allow_extra_args(false);
  app.add_option("--on-conflict", o.on_conflict, "stop, overwrite or skip")->capture_default_str();
  app.add_option("--on-ddl", o.on_ddl, "apply, stop or skip")->capture_default_str();
  app.add_option("--meta-database", o.meta_database, "Sluice's own database on the target")->capture_default_str();
  app.footer(kFooter);
}

Status one_of(const std::string& option, const std::string& value, std::initializer_list<const char*> allowed) {
  std::string list;
  for (const char* word : allowed) {
    if (value == word) return {};
    list.append(list.empty() ? "" : ", ").append(word);
  }
  return usage(option + " '" + value + "' is none of " + list);
}

Status read_steps(const std::string& text, MigrateOptions& o) {
  o.schema = o.full = o.incr = o.verify = false;
  std::stringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    SLUICE_TRY(one_of("--steps", word, {"schema", "full", "incr", "verify"}));
    (word == "schema" ? o.schema : word == "full" ? o.full : word == "incr" ? o.incr : o.verify) = true;
  }
  if (!o.schema && !o.full && !o.incr && !o.verify) return usage("--steps names nothing to do");
  if (o.follow && !o.incr) return usage("--follow needs the step incr");
  return {};
}

Result<Endpoint> read_endpoint(const std::string& url, const char* side, const char* variable) {
  auto endpoint = Endpoint::parse_url(url);
  if (!endpoint.ok()) return endpoint.error().prefixed(side);
  char* password = std::getenv(variable);
  // The work directory becomes the current folder later: paths must not depend on it.
  for (std::string* path : {&endpoint->socket, &endpoint->ssl_ca, &endpoint->ssl_cert, &endpoint->ssl_key})
    if (!path->empty()) *path = std::filesystem::absolute(*path).string();
  if (password == nullptr) return endpoint;
  if (endpoint->password.empty()) endpoint->password = Secret(password);
  // Taking the variable away leaves its text where /proc/PID/environ shows it.
  std::memset(password, '*', std::strlen(password));
  return endpoint;
}

Status complete(MigrateOptions& o, const RawOptions& raw) {
  SLUICE_ASSIGN(o.source, read_endpoint(raw.source, "SOURCE", "SLUICE_SOURCE_PASSWORD"));
  SLUICE_ASSIGN(o.target, read_endpoint(raw.target, "TARGET", "SLUICE_TARGET_PASSWORD"));
  unsetenv("SLUICE_SOURCE_PASSWORD");
  unsetenv("SLUICE_TARGET_PASSWORD");
  SLUICE_TRY(read_steps(raw.steps, o));
  SLUICE_TRY(one_of("--progress", raw.progress, {"auto", "bar", "plain", "json", "none"}));
  SLUICE_TRY(one_of("--speed", o.speed, {"steady", "normal", "fast"}));
  SLUICE_TRY(one_of("--on-conflict", o.on_conflict, {"stop", "overwrite", "skip"}));
  SLUICE_TRY(one_of("--on-ddl", o.on_ddl, {"apply", "stop", "skip"}));
  o.progress = raw.progress == "bar"     ? ProgressStyle::kBar
               : raw.progress == "plain" ? ProgressStyle::kPlain
               : raw.progress == "json"  ? ProgressStyle::kJson
               : raw.progress == "none"  ? ProgressStyle::kNone
                                         : ProgressStyle::kAuto;
  SLUICE_ASSIGN(o.memory_bytes, parse_size(raw.memory));
  if (o.memory_bytes < (16 << 20)) return usage("--memory is less than 16M");
  const std::string& from = o.source.database;
  const std::string& to = o.target.database;
  if (from.empty() && !to.empty()) return usage("TARGET names a database but SOURCE does not");
  if (!from.empty() && o.includes.empty()) o.includes.push_back("`" + from + "`.*");
  if (!from.empty() && !to.empty() && from != to) o.renames.push_back("`" + from + "`.*=`" + to + "`.*");
  auto mapping = TableMapping::create(o.includes, o.excludes, o.renames, o.meta_database);
  return mapping.ok() ? Status() : Status(mapping.error());
}

}  // namespace

Result<uint64_t> parse_size(const std::string& text) {
  char* end = nullptr;
  const unsigned long long number = std::strtoull(text.c_str(), &end, 10);
  const std::string unit(end);
  const int shift = unit.empty() || unit == "B"    ? 0
                    : unit == "K" || unit == "KiB" ? 10
                    : unit == "M" || unit == "MiB" ? 20
                    : unit == "G" || unit == "GiB" ? 30
                                                   : -1;
  if (end == text.c_str() || text[0] == '-' || shift < 0 || number > (1ULL << 40))
    return usage("size '" + text + "' is not a number with K, M or G");
  return static_cast<uint64_t>(number) << shift;
}

ParsedMigrate parse_migrate(int argc, char** argv) {
  MigrateOptions options;
  RawOptions raw;
  CLI::App app("Moves a live database: schema, rows, changes; verifies the result.", "sluice migrate");
  declare(app, options, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    scrub_argv(argc, argv);
    return {std::nullopt, app.exit(error) == 0 ? 0 : 2};
  }
  scrub_argv(argc, argv);
  if (Status status = complete(options, raw); !status.ok()) {
    std::cerr << "sluice migrate: " << status.error().cause() << "\nsluice migrate --help tells more\n";
    return {std::nullopt, 2};
  }
  return {std::move(options), 0};
}

}  // namespace sluice::cli
