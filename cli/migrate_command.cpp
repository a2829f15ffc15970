#include "cli/migrate_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/admin_client.hpp"
#include "cli/local_cluster.hpp"
#include "cli/migrate_display.hpp"
#include "cli/migrate_options.hpp"
#include "cli/migrate_report.hpp"
#include "core/log.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr char kProjectFile[] = "project.json";
constexpr int kPeriodMs = 200;
constexpr std::chrono::seconds kStartPatience{30};
constexpr std::chrono::seconds kAnswerPatience{20};  // for the coordinator's word that it stops
constexpr std::chrono::seconds kStopPatience{60};

std::atomic<int> interrupts{0};

void on_interrupt(int) { interrupts.fetch_add(1); }

// What the work directory remembers of its project.
struct WorkProject {
  std::string project_id, source, target, started;
};

Result<WorkProject> read_work_project() {
  std::ifstream file(kProjectFile);
  if (!file) return Error(ErrorCode::NOT_FOUND, "there is no project", kProjectFile);
  const Json json = Json::parse(file, nullptr, false);
  if (json.is_discarded() || !json.is_object())
    return Error(ErrorCode::CORRUPTED, "the file cannot be read as JSON", kProjectFile);
  return WorkProject{json.value("project", ""), json.value("source", ""), json.value("target", ""),
                     json.value("started", "")};
}

Status write_work_project(const WorkProject& project) {
  const Json json = {{"project", project.project_id},
                     {"source", project.source},
                     {"target", project.target},
                     {"started", project.started}};
  return write_report(kProjectFile, json.dump(2) + "\n");
}

admin::v1::CreateDataSourceRequest data_source(const std::string& name, const Endpoint& endpoint) {
  const auto message = net::to_proto(endpoint);
  admin::v1::CreateDataSourceRequest request;
  request.set_name(name);
  request.set_type("MYSQL");
  request.set_ip(endpoint.host);
  request.set_port(endpoint.port);
  request.set_username(endpoint.user);
  request.set_password(endpoint.password.reveal());
  request.set_socket(endpoint.socket);
  request.set_ssl_mode(message.ssl_mode());
  request.set_ssl_ca(endpoint.ssl_ca);
  request.set_ssl_cert(endpoint.ssl_cert);
  request.set_ssl_key(endpoint.ssl_key);
  request.set_replace(true);  // a resumed project may come with a new password
  return request;
}

admin::v1::CreateProjectRequest project_request(const MigrateOptions& o) {
  admin::v1::CreateProjectRequest request;
  request.set_name("migrate");
  request.set_type("MIGRATION");
  request.set_source_endpoint_id("source");
  request.set_sink_endpoint_id("target");
  request.set_enable_struct_transfer(o.schema && !o.dry_run);
  request.set_enable_full_transfer(o.full && !o.dry_run);
  request.set_enable_incr_transfer(o.incr && !o.dry_run);
  request.set_enable_full_verify(o.verify && !o.dry_run);
  if (request.enable_full_transfer()) {
    auto* full = request.mutable_full_transfer_config();
    full->set_allow_dest_table_not_empty(o.allow_not_empty);
    if (o.throttle_rps > 0) full->set_throttle_rps(static_cast<int32_t>(o.throttle_rps));
  }
  if (request.enable_incr_transfer() && o.throttle_rps > 0)
    request.mutable_incr_transfer_config()->set_throttle_rps(static_cast<int32_t>(o.throttle_rps));
  request.set_run_mode(o.follow ? "FOLLOW" : "ONCE");
  request.set_on_conflict(o.on_conflict);
  request.set_on_ddl(o.on_ddl);
  for (const auto& pattern : o.includes) request.add_include(pattern);
  for (const auto& pattern : o.excludes) request.add_exclude(pattern);
  for (const auto& rename : o.renames) request.add_rename(rename);
  for (const auto& check : o.skip_checks) request.add_skip_check(check);
  request.set_meta_database(o.meta_database);
  request.set_memory_bytes(static_cast<int64_t>(o.memory_bytes));
  std::string speed = o.speed;
  for (char& c : speed) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  request.set_speed(speed);
  request.set_truncate_target(o.truncate_target);
  return request;
}

class Migration {
 public:
  Migration(const MigrateOptions& options, LocalCluster& cluster)
      : options_(options),
        cluster_(cluster),
        display_(options.progress, options.source.display(), options.target.display()) {}

  Outcome run() {
    Outcome outcome;
    if (Status status = start(); !status.ok())
      outcome = interrupted() ? Outcome{"INTERRUPTED", 130} : failed(status.error());
    else
      outcome = follow();
    display_.end();
    outcome.source = options_.source.display();
    outcome.target = options_.target.display();
    outcome.started = work_.started;
    outcome.finished = iso_time_now();
    return outcome;
  }

  const admin::v1::Project& project() const { return project_; }

 private:
  // With --follow the first interrupt asks for the end of the work, the second for an end at once.
  bool interrupted() const { return interrupts.load() >= (options_.follow ? 2 : 1); }
  static Outcome failed(const Error& error) {
    Outcome outcome{"FAILED", 4};
    outcome.errors.push_back(error);
    return outcome;
  }

  Status start() {
    SLUICE_TRY(cluster_.start());
    SLUICE_TRY(connect());
    SLUICE_TRY(retried([&] { return create_data_sources(); }));
    if (options_.resume) {
      SLUICE_ASSIGN(work_, read_work_project());
    } else {
      work_ = {"", options_.source.display(), options_.target.display(), iso_time_now()};
      SLUICE_TRY(write_work_project(work_));
    }
    if (work_.project_id.empty()) {
      SLUICE_TRY(retried([&] { return create_project(); }));
      SLUICE_TRY(write_work_project(work_));
    }
    return retried([&] { return begin(); });
  }

  Status connect() {
    const BootTime deadline = system_clock().boot_time() + kStartPatience;
    while (true) {
      SLUICE_TRY(cluster_.tend());
      Error last(ErrorCode::TIMED_OUT, "the coordinator does not answer; see coordinator.log", "coordinator");
      if (auto token = cluster_.token(); token.ok()) {
        auto client = AdminClient::open(cluster_.coordinator_address(), *token);
        if (client.ok()) {
          client_ = std::move(*client);
          return {};
        }
        last = client.error();
      }
      if (interrupted() || system_clock().boot_time() > deadline) return last;
      poll(nullptr, 0, 20);
    }
  }

  // Calls during the start meet a coordinator that may still be starting, or restarting.
  Status retried(const std::function<Status()>& call) {
    const BootTime deadline = system_clock().boot_time() + kStartPatience;
    while (true) {
      Status status = call();
      const bool again = !status.ok() && (status.error().code() == ErrorCode::PEER_UNREACHABLE ||
                                          status.error().code() == ErrorCode::TIMED_OUT);
      if (!again || interrupted() || system_clock().boot_time() > deadline) return status;
      SLUICE_TRY(cluster_.tend());
      poll(nullptr, 0, 50);
    }
  }

  Status create_data_sources() {
    SLUICE_TRY(client_->create_data_source(data_source("source", options_.source)));
    SLUICE_TRY(client_->create_data_source(data_source("target", options_.target)));
    return {};
  }

  // A crash between the creation and the note of its id in the work directory leaves a project of the same name.
  Status create_project() {
    if (auto existing = client_->describe("migrate"); existing.ok()) {
      work_.project_id = existing->id();
      return {};
    }
    auto created = client_->create_project(project_request(options_));
    if (!created.ok()) return created.error();
    work_.project_id = *created;
    return {};
  }

  Status begin() {
    auto present = client_->describe(work_.project_id);
    if (!present.ok()) return present.error();
    if (present->status() == "INIT") return client_->start_project(work_.project_id);
    admin::v1::ResumeProjectRequest request;
    request.set_id(work_.project_id);
    request.set_again(true);  // also when the project had just come to its end as the command was killed
    request.set_run_mode(options_.follow ? "FOLLOW" : "ONCE");
    return client_->resume_project(request);
  }

  Outcome follow() {
    BootTime stop_deadline = BootTime::max();
    while (true) {
      if (Status status = cluster_.tend(); !status.ok()) return failed(status.error());
      if (auto project = client_->describe(work_.project_id); project.ok()) {
        project_ = std::move(*project);
        display_.show(project_);
        const std::string& status = project_.status();
        if (status == "FINISHED" || (status == "FAILED" && !project_.stopping()))
          return judge(project_, false, options_.verify);
        if (stopping_ && status == "SUSPEND" && !project_.stopping()) return judge(project_, true, options_.verify);
      } else if (!project.error().retryable()) {
        return failed(project.error());
      }
      if (Status status = obey_interrupts(stop_deadline); !status.ok() && !status.error().retryable())
        return failed(status.error());
      if (system_clock().boot_time() > stop_deadline) return judge(project_, true, options_.verify);
      poll(nullptr, 0, kPeriodMs);
    }
  }

  // --follow: the first interrupt finishes, the second stops. --once: the first stops.
  Status obey_interrupts(BootTime& stop_deadline) {
    const int wanted = interrupts.load();
    if (wanted >= 1 && options_.follow && !finishing_ && !interrupted()) {
      SLUICE_TRY(client_->finish_project(work_.project_id));
      finishing_ = true;
      display_.note("Finishing: draining to the source's present position. Interrupt again to stop at once.");
    }
    if (interrupted() && !stopping_) {
      // Also when the coordinator is frozen the command ends; a kill is as good as a stop for what --resume finds.
      if (stop_deadline == BootTime::max()) stop_deadline = system_clock().boot_time() + kAnswerPatience;
      SLUICE_TRY(client_->stop_project(work_.project_id));
      stopping_ = true;
      stop_deadline = system_clock().boot_time() + kStopPatience;
      display_.note("Stopping: writing checkpoints.");
    }
    return {};
  }

  const MigrateOptions& options_;
  LocalCluster& cluster_;
  MigrateDisplay display_;
  std::unique_ptr<AdminClient> client_;
  WorkProject work_;
  admin::v1::Project project_;
  bool finishing_ = false, stopping_ = false;
};

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int usage_error(const std::string& text) {
  std::cerr << "sluice migrate: " << text << "\n";
  return 2;
}

// The project must fit what was asked; done before anything is changed. 0 when it does.
int check_work_dir(const MigrateOptions& o) {
  const bool exists = fs::exists(fs::path(o.work_dir) / kProjectFile);
  if (!o.resume && exists)
    return usage_error("the work directory " + o.work_dir +
                       " holds a project: --resume continues it, --cleanup removes it");
  if (!o.resume) return 0;
  if (!exists) return usage_error("the work directory " + o.work_dir + " holds no project to resume");
  std::ifstream file(fs::path(o.work_dir) / kProjectFile);
  const Json json = Json::parse(file, nullptr, false);
  if (json.is_discarded()) return 0;  // a typed error follows
  if (json.value("source", "") != o.source.display() || json.value("target", "") != o.target.display())
    return usage_error("the work directory's project is from " + json.value("source", "?") + " to " +
                       json.value("target", "?") + ": SOURCE and TARGET must be the same");
  return 0;
}

int cleanup(const MigrateOptions& o) {
  const auto fail = [](const Error& error) {
    std::cerr << "sluice migrate --cleanup: " << error.to_string() << "\n  " << error.action() << "\n";
    return 4;
  };
  const std::string work_dir = fs::absolute(o.work_dir);
  if (fs::exists(work_dir)) {
    if (!fs::exists(fs::path(work_dir) / "lock")) return usage_error(o.work_dir + " is no work directory");
    auto cluster = LocalCluster::open(work_dir);  // refuses a running one, ends survivors
    if (!cluster.ok()) return fail(cluster.error());
    if (auto ended = cluster->end_components(); !ended.ok()) return fail(ended.error());
  }
  auto connection = mysql::Connection::open(o.target, {.purpose = mysql::Purpose::kCatalog});
  if (!connection.ok()) return fail(connection.error());
  auto dropped = (*connection)->exec("DROP DATABASE IF EXISTS " + mysql::quote_name(o.meta_database));
  if (!dropped.ok()) return fail(dropped.error());
  std::error_code error;
  if (chdir("/") == 0) fs::remove_all(work_dir, error);
  if (error) return fail(Error(ErrorCode::IO_ERROR, error.message(), work_dir));
  std::cout << "removed the work directory and the database " << o.meta_database << " on the target\n";
  return 0;
}

void print_checks(const admin::v1::Project& project) {
  for (const auto& check : project.checks()) {
    std::cout << check.level() << "  " << check.name();
    if (!check.cause().empty()) std::cout << ": " << check.cause();
    if (!check.cure().empty()) std::cout << "\n        cure: " << check.cure();
    std::cout << "\n";
  }
}

int run_in_work_dir(const MigrateOptions& options, const std::string& work_dir, const std::string& report_path) {
  auto cluster = LocalCluster::open(work_dir);
  if (!cluster.ok()) {
    std::cerr << "sluice migrate: " << cluster.error().to_string() << "\n  " << cluster.error().action() << "\n";
    Outcome outcome{"FAILED", 4};
    outcome.source = options.source.display();
    outcome.target = options.target.display();
    outcome.started = outcome.finished = iso_time_now();
    outcome.errors.push_back(cluster.error());
    if (!report_path.empty())
      if (Status status = write_report(report_path, report_json({}, outcome)); !status.ok())
        std::cerr << "sluice migrate: " << status.error().to_string() << "\n";
    return 4;
  }
  Migration migration(options, *cluster);
  Outcome outcome = migration.run();
  if (options.dry_run) {
    print_checks(migration.project());
    if (outcome.exit_status == 3) outcome.exit_status = 0;
  }
  if (options.dry_run && outcome.exit_status == 0)
    std::cout << "no check failed; nothing was changed\n";
  else
    std::cerr << report_text(migration.project(), outcome);
  if (!report_path.empty())
    if (Status status = write_report(report_path, report_json(migration.project(), outcome)); !status.ok()) {
      std::cerr << "sluice migrate: " << status.error().to_string() << "\n";
      if (outcome.exit_status == 0) outcome.exit_status = 4;
    }
  cluster->stop();
  return outcome.exit_status;
}

}  // namespace

int run_migrate(int argc, char** argv) {
  ParsedMigrate parsed = parse_migrate(argc, argv);
  if (!parsed.options) return parsed.exit_status;
  MigrateOptions& options = *parsed.options;
  if (options.cleanup) return cleanup(options);
  const std::string report_path = options.report.empty() ? "" : fs::absolute(options.report).string();
  catch_interrupts();
  if (options.dry_run) {
    options.verify = false;
    char folder[] = "/tmp/sluice-dry-run-XXXXXX";
    if (mkdtemp(folder) == nullptr) return usage_error("cannot make a folder under /tmp");
    const int status = run_in_work_dir(options, folder, report_path);
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    return status;
  }
  if (const int status = check_work_dir(options); status != 0) return status;
  return run_in_work_dir(options, fs::absolute(options.work_dir), report_path);
}

}  // namespace sluice::cli
