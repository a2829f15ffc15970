#include "cli/migrate_command.hpp"

#include <signal.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <iostream>

#include "cli/args.hpp"
#include "cli/migrate_cleanup.hpp"
#include "cli/migration.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

std::atomic<int> interrupts{0};

void on_interrupt(int) { interrupts.fetch_add(1); }

// A terminal that is closed asks for an end as Ctrl-C does, unless that was switched off (nohup).
void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction before {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

// The project that the work directory is about: the one that it holds (and the options become that one's), or a new
// one.
Result<WorkProject> work_project(MigrateOptions& o) {
  const std::string& directory = o.work_dir;
  if (!o.resume) {
    SLUICE_TRY(check_unused(directory));
    return WorkProject{"", o.source.display(), o.target.display(), utc_now(), o};
  }
  auto project = read_work_project(directory);
  if (!project.ok() && project.error().code() == ErrorCode::NOT_FOUND)
    return Error(ErrorCode::INVALID_ARGUMENT, "the work directory " + directory + " holds no project to resume");
  if (!project.ok()) return project;
  SLUICE_TRY(check_same_servers(*project, o));
  SLUICE_TRY(adopt_project(project->options, o));
  project->options = o;
  return project;
}

// Prints the report and writes it; the exit status.
int conclude(const admin::v1::Project& project, const Outcome& outcome, const std::string& report_path) {
  std::cerr << report_text(project, outcome);
  if (report_path.empty()) return outcome.exit_status;
  Status written = write_report(report_path, report_json(project, outcome));
  if (written.ok()) return outcome.exit_status;
  std::cerr << "sluice migrate: " << written.error().to_string() << "\n";
  return outcome.exit_status == kExitDone ? kExitError : outcome.exit_status;
}

int stopped_early(const MigrateOptions& o, const Error& error, const std::string& report_path) {
  if (error.code() == ErrorCode::INVALID_ARGUMENT) return fail("sluice migrate", error);
  Outcome outcome{"FAILED", kExitError};
  outcome.source = o.source.display();
  outcome.target = o.target.display();
  outcome.started = outcome.finished = utc_now();
  outcome.errors.push_back(error);
  return conclude({}, outcome, report_path);
}

int run_in(const std::string& directory, const MigrateOptions& o, WorkProject work, const std::string& report_path) {
  auto cluster = LocalCluster::open(directory);
  if (!cluster.ok()) return stopped_early(o, cluster.error(), report_path);
  int status = kExitError;
  {  // closes its connection at the end: the coordinator would wait for it
    Migration migration(o, std::move(work), *cluster, [] { return interrupts.load(); });
    const Outcome outcome = migration.run();
    status = conclude(migration.project(), outcome, report_path);
  }
  cluster->stop();
  return status;
}

int dry_run(const MigrateOptions& o, const std::string& report_path) {
  std::error_code error;
  std::string folder = (fs::temp_directory_path(error) / "sluice-dry-run-XXXXXX").string();
  if (error || mkdtemp(folder.data()) == nullptr)
    return stopped_early(o, Error(ErrorCode::IO_ERROR, "cannot make a folder for temporary files", folder),
                         report_path);
  const int status = run_in(folder, o, {"", o.source.display(), o.target.display(), utc_now(), o}, report_path);
  fs::remove_all(folder, error);
  return status;
}

}  // namespace

int run_migrate(int argc, char** argv) {
  ParsedMigrate parsed = parse_migrate(argc, argv);
  if (!parsed.options) return parsed.exit_status;
  MigrateOptions& options = *parsed.options;
  if (options.cleanup) return clean_up(options);
  const std::string report_path = options.report.empty() ? "" : fs::absolute(options.report).string();
  catch_interrupts();
  if (options.dry_run) return dry_run(options, report_path);
  auto work = work_project(options);
  if (!work.ok()) return stopped_early(options, work.error(), report_path);
  return run_in(fs::absolute(options.work_dir).string(), options, std::move(*work), report_path);
}

}  // namespace sluice::cli
