#include "cli/migrate_options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "agents/components/precheck/precheck.hpp"
#include "cli/args.hpp"
#include "cli/command_line.hpp"

namespace sluice::cli {
namespace {

constexpr uint64_t kLeastMemory = 16ULL << 20, kMostMemory = 1ULL << 42;

constexpr char kFooter[] =
    R"(SOURCE and TARGET: mysql://user[:password]@host[:port][/database][?OPTION=VALUE&…], with the options
  ssl-mode         disabled, preferred (default), required, verify-ca, verify-identity
  ssl-ca, ssl-cert, ssl-key    PEM files: who is trusted; certificate and key to log in with
  socket           a unix socket instead of host and port
  password-file    its first line is the password
User, password and database are percent-encoded. Passwords may also come from SLUICE_SOURCE_PASSWORD and
SLUICE_TARGET_PASSWORD.

Examples
  sluice migrate mysql://app@old.example.com/shop mysql://app@new.example.com/shop
      copies the database, follows the changes meanwhile, verifies, and ends when both are equal
  sluice migrate mysql://app@old mysql://app@new --include 'shop.*' --exclude 'shop.tmp_*' --follow
      goes on following until Ctrl-C, then drains and ends; a second Ctrl-C ends at once
  sluice migrate … --resume
      goes on after an interruption, an error or a crash, with the options of the start. What is moved and by which
      steps cannot change; --speed, --memory, --throttle-rps, --skip-check, --allow-not-empty, --truncate-target,
      --on-conflict and --on-ddl can be given anew
  sluice migrate … --resume --decide 0-1-42#0=skip
      goes on after DDL or a conflict stopped it there; the end of the run that stopped prints this command

Exit status: 0 done (and verified equal, where asked), 2 usage, 3 differences or unsettled rows, 4 stopped by an error,
130 interrupted before the end.

)";

std::string footer() {
  std::string text = std::string(kFooter) + "Checks that --skip-check knows:\n ";
  size_t used = 1;
  for (const std::string_view name : agents::precheck_names()) {
    if (used + 1 + name.size() > 110) text += "\n ", used = 1;
    text.append(" ").append(name);
    used += 1 + name.size();
  }
  return text;
}

struct RawOptions {
  std::string source, target, steps = "schema,full,incr,verify", progress = "auto", memory = "512M", decide, statement;
  bool once = false;
};

Error usage(std::string cause) { return Error(ErrorCode::INVALID_ARGUMENT, std::move(cause)); }

void declare_scope(CLI::App& app, MigrateOptions& o, RawOptions& raw) {
  app.add_option("SOURCE", raw.source, "The database to move")->required()->type_name("URL");
  app.add_option("TARGET", raw.target, "The database to fill")->required()->type_name("URL");
  app.add_option("--include", o.includes, "Tables to move: database.table with * and ?; may be repeated")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
  app.add_option("--exclude", o.excludes, "Tables to leave out; wins over --include; may be repeated")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
  app.add_option("--rename", o.renames, "a.t=b.u a table, a.*=b.* a database; may be repeated")
      ->allow_extra_args(false)
      ->type_name("FROM=TO");
  app.add_option("--steps", raw.steps, "What to do, of: schema, full, incr, verify")
      ->capture_default_str()
      ->type_name("LIST");
}

void declare_course(CLI::App& app, MigrateOptions& o, RawOptions& raw) {
  auto* once = app.add_flag("--once", raw.once, "End when the target equals the source (default)");
  app.add_flag("--follow", o.follow, "Go on following after the verification until Ctrl-C")->excludes(once);
  auto* resume = app.add_flag("--resume", o.resume, "Continue the project in the work directory");
  auto* dry = app.add_flag("--dry-run", o.dry_run, "Only run the named checks, change nothing")->excludes(resume);
  app.add_flag("--cleanup", o.cleanup,
               "Remove what the project of this work directory left: its rows in the meta database on TARGET, that "
               "database too when nothing else is in it, and the work directory. What was moved stays")
      ->excludes(resume)
      ->excludes(dry);
  auto* decide =
      app.add_option("--decide", raw.decide,
                     "With --resume: what is done about what stopped the project at POSITION, as the error names it. "
                     "A DDL statement: retry, skip, done, replace; a conflict: overwrite, skip")
          ->needs(resume)
          ->type_name("POSITION=WORD");
  app.add_option("--statement", raw.statement, "replace: what is run on the target instead")
      ->needs(decide)
      ->type_name("SQL");
  app.add_option("--progress", raw.progress, "Display: auto, bar, plain, json or none")
      ->capture_default_str()
      ->type_name("STYLE");
  app.add_option("--report", o.report, "Write the report to this file (JSON)")->type_name("FILE");
  app.add_option("--work-dir", o.work_dir, "Where the project's state is kept")
      ->capture_default_str()
      ->type_name("DIR");
}

void declare_manner(CLI::App& app, MigrateOptions& o, RawOptions& raw) {
  app.add_option("--speed", o.speed, "How hard to work: steady, normal or fast")
      ->capture_default_str()
      ->type_name("SPEED");
  app.add_option("--memory", raw.memory, "Memory of each component process, with K, M or G: 16M to 4096G")
      ->capture_default_str()
      ->type_name("SIZE");
  app.add_option("--throttle-rps", o.throttle_rps, "Rows per second at most; 0: no limit")
      ->capture_default_str()
      ->type_name("N");
  auto* allow = app.add_flag("--allow-not-empty", o.allow_not_empty, "Target tables may exist and have rows");
  app.add_flag("--truncate-target", o.truncate_target, "Drop existing target tables first")->excludes(allow);
  app.add_option("--skip-check", o.skip_checks, "Leave out one of the checks below; may be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME");
  app.add_option("--on-conflict", o.on_conflict, "At a row that is not as the log expects it: stop, overwrite or skip")
      ->capture_default_str()
      ->type_name("POLICY");
  app.add_option("--on-ddl", o.on_ddl, "At DDL in the log: apply, stop or skip")
      ->capture_default_str()
      ->type_name("POLICY");
  app.add_option("--meta-database", o.meta_database, "Sluice's own database on the target")
      ->capture_default_str()
      ->type_name("NAME");
}

Status one_of(const std::string& option, const std::string& value, std::initializer_list<const char*> allowed) {
  std::string list;
  for (const char* word : allowed) {
    if (value == word) return {};
    list.append(list.empty() ? "" : ", ").append(word);
  }
  return usage(option + " '" + value + "' is none of " + list);
}

Status check_follow(const MigrateOptions& o) {
  return o.follow && !o.incr ? Status(usage("--follow needs the step incr")) : Status();
}

Status check_skips(const std::vector<std::string>& names) {
  const auto known = agents::precheck_names();
  for (const std::string& name : names)
    if (std::find(known.begin(), known.end(), name) == known.end())
      return usage("--skip-check '" + name + "' is no check that can be left out; --help lists them");
  return {};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
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
  if (!o.resume) SLUICE_TRY(check_follow(o));
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
  if (o.memory_bytes < kLeastMemory) return usage("--memory is less than 16M");
  if (o.memory_bytes > kMostMemory) return usage("--memory is more than 4096G");
  if (o.throttle_rps > INT32_MAX) return usage("--throttle-rps is more than " + std::to_string(INT32_MAX));
  SLUICE_TRY(check_skips(o.skip_checks));
  if (!raw.decide.empty()) {
    SLUICE_ASSIGN(o.decision, parse_decision(raw.decide, raw.statement));
  }
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

std::string ProjectOptions::steps() const {
  std::string text;
  const auto add = [&text](bool wanted, const char* step) {
    if (wanted) text.append(text.empty() ? "" : ",").append(step);
  };
  add(schema, "schema");
  add(full, "full");
  add(incr, "incr");
  add(verify, "verify");
  return text;
}

Status read_steps(const std::string& text, ProjectOptions& o) {
  o.schema = o.full = o.incr = o.verify = false;
  std::stringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    SLUICE_TRY(one_of("--steps", word, {"schema", "full", "incr", "verify"}));
    (word == "schema" ? o.schema : word == "full" ? o.full : word == "incr" ? o.incr : o.verify) = true;
  }
  if (!o.schema && !o.full && !o.incr && !o.verify) return usage("--steps names nothing to do");
  return {};
}

Status adopt_project(const ProjectOptions& kept, MigrateOptions& o) {
  const auto given = [&o](const char* option) { return o.given.contains(option); };
  const auto fixed = [&](const char* option, const std::string& now, const std::string& before) -> Status {
    if (!given(option) || now == before) return {};
    return usage(std::string("--") + option + " cannot change: the project has " +
                 (before.empty() ? "none" : "'" + before + "'"));
  };
  SLUICE_TRY(fixed("include", joined(o.includes), joined(kept.includes)));
  SLUICE_TRY(fixed("exclude", joined(o.excludes), joined(kept.excludes)));
  SLUICE_TRY(fixed("rename", joined(o.renames), joined(kept.renames)));
  SLUICE_TRY(fixed("steps", o.steps(), kept.steps()));
  SLUICE_TRY(fixed("meta-database", o.meta_database, kept.meta_database));
  ProjectOptions next = kept;
  if (given("speed")) next.speed = o.speed;
  if (given("memory")) next.memory_bytes = o.memory_bytes;
  if (given("throttle-rps")) next.throttle_rps = o.throttle_rps;
  if (given("skip-check")) next.skip_checks = o.skip_checks;
  if (given("on-conflict")) next.on_conflict = o.on_conflict;
  if (given("on-ddl")) next.on_ddl = o.on_ddl;
  if (given("allow-not-empty") || given("truncate-target")) {
    next.allow_not_empty = o.allow_not_empty;
    next.truncate_target = o.truncate_target;
  }
  static_cast<ProjectOptions&>(o) = std::move(next);
  return check_follow(o);
}

ParsedMigrate parse_migrate(int argc, char** argv) {
  MigrateOptions options;
  RawOptions raw;
  CLI::App app("Moves a live database: schema, rows, changes; verifies the result.", "sluice migrate");
  declare_scope(app, options, raw);
  declare_course(app, options, raw);
  declare_manner(app, options, raw);
  app.footer(footer());
  if (auto end = parse_arguments(app, argc, argv)) return {std::nullopt, *end};
  for (const CLI::Option* option : app.get_options())
    if (option->count() > 0) options.given.insert(option->get_single_name());
  if (Status status = complete(options, raw); !status.ok())
    return {std::nullopt, fail("sluice migrate", status.error())};
  return {std::move(options), kExitDone};
}

}  // namespace sluice::cli
