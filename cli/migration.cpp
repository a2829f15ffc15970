#include "cli/migration.hpp"

#include <poll.h>

#include "cli/args.hpp"
#include "cli/requests.hpp"
#include "core/net/convert.hpp"

namespace sluice::cli {
namespace {

constexpr int kPeriodMs = 200;
constexpr std::chrono::seconds kStartPatience{30};
constexpr std::chrono::seconds kRestPatience{60};  // for the components that an earlier run left
constexpr std::chrono::seconds kLookDeadline{5};   // of one look at the project
constexpr std::chrono::seconds kSilenceNoted{5}, kSilenceMax{30};
constexpr int kSilentRestartsMax = 3;
constexpr std::chrono::seconds kAnswerPatience{20};  // for the coordinator's word that it stops
constexpr std::chrono::seconds kStopPatience{60};

BootTime now() { return system_clock().boot_time(); }

Outcome failed(const Error& error) {
  Outcome outcome{"FAILED", kExitError};
  outcome.errors.push_back(error);
  return outcome;
}

}  // namespace

Migration::Migration(const MigrateOptions& options, WorkProject work, LocalCluster& cluster,
                     std::function<int()> interrupts)
    : options_(options),
      cluster_(cluster),
      interrupts_(std::move(interrupts)),
      display_(options.progress, options.source.display(), options.target.display()),
      work_(std::move(work)) {}

Outcome Migration::run() {
  Outcome outcome;
  if (Status status = start(); !status.ok())
    outcome = interrupted() ? Outcome{"INTERRUPTED", kExitInterrupted} : failed(status.error());
  else
    outcome = follow();
  display_.end();
  if (options_.dry_run) display_.show_checks(project_);
  outcome.source = options_.source.display();
  outcome.target = options_.target.display();
  outcome.started = work_.started;
  outcome.finished = utc_now();
  return outcome;
}

// ---- start ----

Status Migration::start() {
  // Before anything runs: it marks the directory as ours, and holds the options that were given last.
  SLUICE_TRY(write_work_project(".", work_));
  SLUICE_TRY(cluster_.start());
  SLUICE_TRY(connect());
  SLUICE_TRY(retried([&] { return create_data_sources(); }));
  if (work_.id.empty()) {
    SLUICE_TRY(retried([&] { return create_project(); }));
    SLUICE_TRY(write_work_project(".", work_));
  }
  SLUICE_TRY(retried([&] { return decide(); }));
  return retried([&] { return begin(); });
}

Status Migration::connect() {
  const BootTime deadline = now() + kStartPatience;
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
    if (interrupted() || now() > deadline) return last;
    poll(nullptr, 0, 20);
  }
}

// Calls during the start meet a coordinator that may still be starting, or restarting.
Status Migration::retried(const std::function<Status()>& call) {
  const BootTime deadline = now() + kStartPatience;
  while (true) {
    Status status = call();
    const bool again = !status.ok() && (status.error().code() == ErrorCode::PEER_UNREACHABLE ||
                                        status.error().code() == ErrorCode::TIMED_OUT);
    if (!again || interrupted() || now() > deadline) return status;
    SLUICE_TRY(cluster_.tend());
    poll(nullptr, 0, 50);
  }
}

Status Migration::create_data_sources() {
  for (const auto& [name, endpoint] : {std::pair("source", &options_.source), std::pair("target", &options_.target)}) {
    auto request = data_source_request(name, *endpoint);
    request.clear_schema();     // what is moved is said by patterns alone
    request.set_replace(true);  // a resumed project may come with a new password
    SLUICE_TRY(client_->create_data_source(request));
  }
  return {};
}

// A crash between the creation and the note of its id in the work directory leaves a project of the same name.
Status Migration::create_project() {
  if (auto existing = client_->describe("migrate"); existing.ok()) {
    work_.id = existing->id();
    return {};
  }
  SLUICE_ASSIGN(work_.id, client_->create_project(project_request(options_)));
  return {};
}

Status Migration::decide() {
  return options_.decision ? client_->decide(decide_request(work_.id, *options_.decision)) : Status();
}

Status Migration::begin() {
  auto present = client_->describe(work_.id);
  if (!present.ok()) return present.error();
  if (present->status() == "INIT") {
    SLUICE_TRY(client_->start_project(work_.id));
    if (!options_.resume) return {};
  }
  const auto request = resume_request(work_.id, options_);
  Status resumed = client_->resume_project(request);
  if (resumed.ok() || resumed.error().code() != ErrorCode::WRONG_STATE) return resumed;
  // The command was killed while the project ran, and now some options are others.
  SLUICE_TRY(bring_to_rest());
  return client_->resume_project(request);
}

Status Migration::bring_to_rest() {
  const BootTime deadline = now() + kRestPatience;
  while (true) {
    auto project = client_->describe(work_.id);
    if (!project.ok()) return project.error();
    if (project->status() != "RUNNING" && !project->stopping()) return {};
    if (!project->stopping())
      if (Status status = client_->stop_project(work_.id);
          !status.ok() && status.error().code() != ErrorCode::WRONG_STATE)
        return status;
    if (interrupted() || now() > deadline)
      return Error(ErrorCode::WRONG_STATE, "the project's components do not end", work_.id);
    SLUICE_TRY(cluster_.tend());
    poll(nullptr, 0, kPeriodMs);
  }
}

// ---- following it ----

Outcome Migration::follow() {
  heard_ = now();
  while (true) {
    if (Status status = cluster_.tend(); !status.ok()) return failed(status.error());
    if (auto end = look()) return *end;
    // WRONG_STATE: it came to an end, or failed, since the look; the next one tells.
    if (Status status = obey_interrupts();
        !status.ok() && !status.error().retryable() && status.error().code() != ErrorCode::WRONG_STATE)
      return failed(status.error());
    if (now() > stop_deadline_) return ended(true);
    poll(nullptr, 0, kPeriodMs);
  }
}

// The outcome once the project has come to an end.
std::optional<Outcome> Migration::look() {
  auto project = client_->describe(work_.id, kLookDeadline);
  if (!project.ok()) {
    if (!project.error().retryable()) return failed(project.error());
    Status status = bear_silence();
    return status.ok() ? std::nullopt : std::optional(failed(status.error()));
  }
  if (silent_) display_.note("The coordinator answers again.");
  silent_ = false;
  restarts_ = 0;
  heard_ = now();
  project_ = std::move(*project);
  if (!stopping_) waits_.take(project_, heard_);
  display_.show(project_, waits_);
  if (project_.stopping()) return std::nullopt;
  const std::string& status = project_.status();
  if (status == "FINISHED" || status == "FAILED") return ended(false);
  if (stopping_ && status == "SUSPEND") return ended(true);
  return std::nullopt;
}

// A coordinator that is frozen is started again: what it knows is on the disk.
Status Migration::bear_silence() {
  const auto silence = now() - heard_;
  if (silence < kSilenceNoted) return {};
  if (!silent_) display_.note("The coordinator does not answer; waiting for it.");
  silent_ = true;
  if (silence < kSilenceMax || stopping_) return {};
  if (restarts_++ >= kSilentRestartsMax)
    return Error(ErrorCode::TIMED_OUT, "it does not answer, however often it is started again; see coordinator.log",
                 "coordinator");
  display_.note("The coordinator does not answer; starting it again.");
  cluster_.kill_child("coordinator");
  heard_ = now();
  return {};
}

// --follow: the first interrupt finishes, the second stops. --once: the first stops.
Status Migration::obey_interrupts() {
  if (interrupts_() >= 1 && options_.follow && !finishing_ && !interrupted()) {
    SLUICE_TRY(client_->finish_project(work_.id));
    finishing_ = true;
    display_.note("Finishing: draining to the source's present position. Interrupt again to stop at once.");
  }
  if (interrupted() && !stopping_) {
    // Also when the coordinator is frozen the command ends; a kill is as good as a stop for what --resume finds.
    if (stop_deadline_ == BootTime::max()) stop_deadline_ = now() + kAnswerPatience;
    SLUICE_TRY(client_->stop_project(work_.id));
    stopping_ = true;
    stop_deadline_ = now() + kStopPatience;
    display_.note("Stopping: writing checkpoints.");
  }
  return {};
}

Outcome Migration::ended(bool stopped) const {
  Outcome outcome = judge(project_, stopped);
  if (outcome.exit_status != kExitInterrupted) return outcome;
  for (const Wait& wait : waits_.lasting())  // what it was waiting for
    outcome.errors.push_back(net::from_proto(wait.error).prefixed(wait.kind));
  return outcome;
}

}  // namespace sluice::cli
