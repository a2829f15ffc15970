#include "agents/supervisor/supervisor.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <unordered_map>

#include "agents/component_kind.hpp"
#include "agents/components/runtime/boot.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/convert.hpp"

namespace sluice::agents {
namespace {

using cluster::v1::Assignment;
using cluster::v1::ComponentStatus;

// A process shall stay within its budget, which is accounted in bytes of data, and 64 MiB for the program, its
// libraries and stacks. The limit is where it is ended, so it must not end one that keeps to that: it leaves room for a
// row of the greatest size (64 MiB) that is received and sent on at the same time, which no queue holds, and an eighth
// of the budget for what the allocator cannot give back. File pages are counted too, but the kernel takes those first.
constexpr uint64_t kMiB = 1 << 20, kProgram = 64 * kMiB, kGreatestRowTwice = 128 * kMiB;
uint64_t memory_limit(const cluster::v1::ComponentSpec& spec) {
  const uint64_t budget = spec.memory_bytes();
  return budget == 0 ? 0 : budget + budget / 8 + kProgram + kGreatestRowTwice;
}

ComponentStatus failed_status(const std::string& id, uint64_t epoch, const Error& error) {
  ComponentStatus status;
  status.set_component_id(id);
  status.set_epoch(epoch);
  status.set_state(cluster::v1::FAILED);
  *status.mutable_error() = net::to_proto(error);
  status.set_sampled_at_us(system_clock().unix_time_us());
  return status;
}

Error stopped_with_agent() { return Error(ErrorCode::CANCELLED, "the agent of this node was stopped"); }

ComponentStatus starting_status(const std::string& id, uint64_t epoch) {
  ComponentStatus status;
  status.set_component_id(id);
  status.set_epoch(epoch);
  status.set_state(cluster::v1::STARTING);
  status.set_sampled_at_us(system_clock().unix_time_us());
  return status;
}

}  // namespace

bool is_final(cluster::v1::ComponentState state) {
  return state == cluster::v1::FINISHED || state == cluster::v1::FAILED || state == cluster::v1::STOPPED;
}

void merge_status(ComponentStatus& status, const ComponentStatus& newer) {
  ComponentStatus tables;
  tables.mutable_tables()->Swap(status.mutable_tables());
  status = newer;
  if (tables.tables_size() == 0) return;
  std::unordered_map<std::string, int> known;
  for (int i = 0; i < tables.tables_size(); ++i) known[tables.tables(i).source()] = i;
  for (const auto& table : newer.tables()) {
    if (auto found = known.find(table.source()); found != known.end())
      *tables.mutable_tables(found->second) = table;
    else
      *tables.add_tables() = table;
  }
  status.mutable_tables()->Swap(tables.mutable_tables());
}

Supervisor::Supervisor(SupervisorOptions options, Clock& clock, Launcher& launcher, SupervisorPorts ports)
    : options_(std::move(options)), clock_(clock), launcher_(launcher), ports_(std::move(ports)) {}

void Supervisor::recover() {
  for (const ProcessRecord& record : read_all_records(options_.data_dir + "/components")) {
    const bool alive = is_alive(record.process);
    auto last = read_final(directory(record.component_id), record.epoch);
    if (!alive && !last) continue;  // reported as crashed when the coordinator names it
    Entry& entry = entries_[record.component_id];
    entry.spec.set_component_id(record.component_id);
    entry.spec.set_kind(record.kind);
    entry.epoch = record.epoch;
    entry.phase = alive ? Phase::kRunning : Phase::kEnded;
    entry.process = record.process;
    entry.heard_at = clock_.boot_time();
    entry.final_seen = last.has_value();
    entry.status = last ? std::move(*last) : starting_status(record.component_id, record.epoch);
    if (alive)
      log::info("agent.supervisor", "found a process of an earlier agent",
                {{"component", record.component_id}, {"epoch", record.epoch}, {"pid", record.process.pid}});
  }
}

void Supervisor::set_desired(const cluster::v1::NodeDesired& desired) {
  if (desired.term() < term_ || stopping_) return;
  term_ = desired.term();
  drop_unnamed(desired);
  for (const Assignment& assignment : desired.assignments()) assign(assignment);
  removals_ = {desired.removals().begin(), desired.removals().end()};
}

void Supervisor::drop_unnamed(const cluster::v1::NodeDesired& desired) {
  std::set<std::string> named;
  for (const Assignment& assignment : desired.assignments()) named.insert(assignment.spec().component_id());
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (named.contains(entry->first)) {
      ++entry;
      continue;
    }
    Entry& gone = entry->second;
    gone.next.reset();
    gone.forget = true;
    // What has told its end works no more and is about to exit; it is given the time to.
    if (gone.phase == Phase::kRunning && !gone.final_seen)
      kill(gone, Error(ErrorCode::STALE_EPOCH, "not assigned to this node"));
    if (gone.phase == Phase::kRunning || gone.phase == Phase::kEnding)
      ++entry;
    else
      forget(entry++);
  }
}

void Supervisor::forget(std::map<std::string, Entry>::iterator entry) {
  ports_.measured(entry->second.spec, nullptr);
  entries_.erase(entry);
}

void Supervisor::assign(const Assignment& assignment) {
  const std::string& id = assignment.spec().component_id();
  const uint64_t epoch = assignment.spec().epoch();
  auto found = entries_.find(id);
  if (found == entries_.end()) return assign_new(assignment);
  Entry& entry = found->second;
  if (entry.epoch == epoch) return confirm(entry, assignment);
  if (entry.epoch > epoch || (entry.next && entry.next->spec().epoch() > epoch)) return;  // stale
  entry.forget = false;
  if (entry.phase == Phase::kRunning || entry.phase == Phase::kEnding) {
    entry.next = assignment;
    kill(entry, Error(ErrorCode::STALE_EPOCH, "replaced by epoch " + std::to_string(epoch)));
    return;
  }
  entries_.erase(found);
  assign_new(assignment);
}

void Supervisor::assign_new(const Assignment& assignment) {
  const std::string id = assignment.spec().component_id();
  const uint64_t epoch = assignment.spec().epoch();
  if (!is_valid_component_id(id) || kind_name(assignment.spec().kind()).empty() || epoch == 0) {
    report(failed_status(id, epoch, Error(ErrorCode::INVALID_ARGUMENT, "this assignment is not valid", id)));
    return;
  }
  const auto record = read_record(directory(id));
  if (record && record->epoch > epoch) {
    // Told, so that a coordinator whose epochs are older (restored from a backup) comes to one that may be started.
    return report(failed_status(
        id, epoch,
        Error(ErrorCode::STALE_EPOCH, "this node has seen epoch " + std::to_string(record->epoch) + " of it", id)));
  }
  Entry& entry = entries_[id];
  entry.spec = assignment.spec();
  entry.desired = assignment.desired();
  entry.epoch = epoch;
  entry.confirmed = true;
  if (record && record->epoch == epoch) {
    // Started in an earlier life of this agent, and not running any more.
    entry.phase = Phase::kEnded;
    if (auto last = read_final(directory(id), epoch)) {
      entry.status = std::move(*last);
      return report(entry.status);
    }
    // Most likely its lease ran out: no agent renewed it.
    entry.killed = Error(ErrorCode::LEASE_EXPIRED, "it ended while no agent watched it", id);
    return report_crash(entry, {});
  }
  entry.status = starting_status(id, epoch);
  try_start(entry);
}

void Supervisor::confirm(Entry& entry, const Assignment& assignment) {
  entry.next.reset();
  entry.forget = false;
  const bool newer = assignment.desired().revision() > entry.desired.revision();
  if (newer || !entry.confirmed) entry.desired = assignment.desired();
  entry.spec = assignment.spec();
  if (!entry.confirmed) {
    entry.confirmed = true;
    log::info("agent.supervisor", "adopted", {{"component", entry.spec.component_id()}, {"epoch", entry.epoch}});
    push_lease(entry);
    push_desired(entry);
    if (entry.final_seen) report(entry.status);
  } else if (newer) {
    push_desired(entry);
  }
}

void Supervisor::set_lease(BootTime sent, const cluster::v1::LeaseGrant& grant) {
  if (grant.term() < term_) return;
  term_ = grant.term();
  const BootTime end = sent + std::chrono::milliseconds(grant.ttl_ms());
  if (end <= lease_end_) return;
  ttl_ = std::chrono::milliseconds(grant.ttl_ms());
  lease_end_ = end;
  kill_at_ = end - std::chrono::milliseconds(grant.margin_ms());
  // A grant that comes when its time is nearly over must not save what tick() is about to kill.
  if (clock_.boot_time() >= kill_at_) return;
  for (auto& [id, entry] : entries_) {
    push_lease(entry);
    if (entry.phase == Phase::kWaiting) try_start(entry);
  }
}

bool Supervisor::lease_allows_start() const { return clock_.boot_time() < kill_at_ && !stopping_; }

void Supervisor::push_lease(const Entry& entry) const {
  if (entry.phase != Phase::kRunning || !entry.linked || !entry.confirmed || lease_end_.count() == 0) return;
  cluster::v1::ComponentCommand command;
  command.mutable_lease()->set_deadline_boot_ns(lease_end_.count());
  ports_.command(entry.spec.component_id(), entry.epoch, command);
}

void Supervisor::push_desired(const Entry& entry) const {
  if (entry.phase != Phase::kRunning || !entry.linked || !entry.confirmed) return;
  cluster::v1::ComponentCommand command;
  *command.mutable_desired() = entry.desired;
  ports_.command(entry.spec.component_id(), entry.epoch, command);
}

Status Supervisor::hello(const cluster::v1::ComponentHello& hello) {
  auto found = entries_.find(hello.component_id());
  if (found == entries_.end() || found->second.epoch != hello.epoch() || found->second.phase != Phase::kRunning ||
      found->second.process.pid != hello.pid())
    return Error(ErrorCode::STALE_EPOCH, "this process is not assigned to this node", hello.component_id());
  Entry& entry = found->second;
  entry.linked = true;
  entry.heard_at = clock_.boot_time();
  push_lease(entry);
  push_desired(entry);
  return {};
}

void Supervisor::take_status(ComponentStatus status) {
  auto found = entries_.find(status.component_id());
  if (found == entries_.end() || found->second.epoch != status.epoch()) return;
  Entry& entry = found->second;
  if (entry.phase == Phase::kEnded || entry.final_seen) return;
  entry.heard_at = clock_.boot_time();
  ports_.measured(entry.spec, &status);
  status.clear_metrics();  // they stay on this node
  // STOPPED means "as desired": what ends because this agent ends is to be placed again.
  if (stopping_ && status.state() == cluster::v1::STOPPED && !entry.desired.stop()) {
    status.set_state(cluster::v1::FAILED);
    *status.mutable_error() = net::to_proto(stopped_with_agent());
  }
  merge_status(entry.status, status);
  if (is_final(status.state())) {
    // Written down before it is told: after a restart of this agent the end must still be known.
    entry.final_seen = true;
    if (auto written = write_final(directory(status.component_id()), entry.status); !written.ok())
      log::error("agent.supervisor", "cannot write down an end", {{"cause", written.error()}});
  }
  report(status);
}

void Supervisor::tick() {
  const BootTime now = clock_.boot_time();
  enforce_lease(now);
  std::vector<std::string> ids;
  for (const auto& [id, entry] : entries_) ids.push_back(id);
  for (const std::string& id : ids) {
    Entry& entry = entries_[id];
    if (entry.phase == Phase::kWaiting) try_start(entry);
    if (entry.phase != Phase::kRunning && entry.phase != Phase::kEnding) continue;
    if (auto exit = launcher_.poll(entry.process))
      ended(id, entry, *exit);
    else
      watch(entry, now);
  }
  remove_folders();
  static auto live = metrics::gauge("sluice_agent_components_running", "Live component processes of this node");
  static auto lease = metrics::gauge("sluice_agent_lease_seconds", "Time left of this node's lease");
  live.set(static_cast<double>(running()));
  lease.set(std::max(0.0, std::chrono::duration<double>(lease_end_ - now).count()));
}

// Of projects that are over. A process that still ends keeps its folder until it is gone.
void Supervisor::remove_folders() {
  std::erase_if(removals_, [&](const std::string& id) {
    if (entries_.contains(id)) return false;
    std::error_code failure;
    if (!is_valid_component_id(id) || !std::filesystem::exists(directory(id), failure)) return true;
    const Status gone = ports_.discard(directory(id));
    log::info(
        "agent.supervisor", "removed a folder",
        {{"component", id}, {"cause", gone.ok() ? std::string("its project is over") : gone.error().to_string()}});
    return true;
  });
}

// Before the lease is over for the components, they are gone: what is frozen cannot end itself, but can be killed.
void Supervisor::enforce_lease(BootTime now) {
  if (kill_at_.count() == 0 || now < kill_at_) return;
  for (auto& [id, entry] : entries_)
    if (entry.phase == Phase::kRunning)
      kill(entry, Error(ErrorCode::LEASE_EXPIRED, "the node's lease could not be renewed", id));
}

void Supervisor::watch(Entry& entry, BootTime now) {
  bound_output(directory(entry.spec.component_id()) + "/output.log");
  if (entry.phase == Phase::kEnding) {
    launcher_.signal(entry.process, SIGKILL);
    return;
  }
  if (stopping_ && now >= stop_deadline_) return kill(entry, stopped_with_agent());
  const auto silence = now - entry.heard_at;
  const auto patience =
      entry.linked ? std::chrono::nanoseconds(ttl_) : std::chrono::nanoseconds(options_.start_patience);
  if (silence > patience) kill(entry, Error(ErrorCode::PROCESS_CRASHED, "no sign of life", entry.spec.component_id()));
}

void Supervisor::try_start(Entry& entry) {
  if (!lease_allows_start()) return;
  const Status started = start(entry);
  if (started.ok()) return;
  log::error("agent.supervisor", "cannot start a component",
             {{"component", entry.spec.component_id()}, {"cause", started.error()}});
  entry.killed = Error(ErrorCode::PROCESS_CRASHED, started.error().to_string(), entry.spec.component_id());
  entry.phase = Phase::kEnded;
  report_crash(entry, {});
}

Status Supervisor::start(Entry& entry) {
  const std::string& id = entry.spec.component_id();
  const std::string folder = directory(id);
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) return Error(ErrorCode::IO_ERROR, failure.message(), folder);
  ::chmod(folder.c_str(), 0700);

  const std::string kind(kind_name(entry.spec.kind()));
  SLUICE_ASSIGN(
      entry.process,
      launcher_.launch(
          {.kind = kind, .name = id, .output_file = folder + "/output.log", .memory_limit = memory_limit(entry.spec)}));
  entry.phase = Phase::kRunning;
  entry.heard_at = clock_.boot_time();
  // Recorded before it may work. If the record cannot be written the process must not live.
  Status recorded = write_record(folder, {id, entry.spec.kind(), entry.epoch, entry.process});
  if (!recorded.ok()) {
    kill(entry, Error(ErrorCode::PROCESS_CRASHED, recorded.error().to_string(), id));
    return {};
  }
  cluster::v1::ComponentBoot boot;
  *boot.mutable_spec() = entry.spec;
  *boot.mutable_desired() = entry.desired;
  boot.set_agent_socket(options_.socket);
  boot.set_data_dir(folder);
  boot.set_log_file(folder + "/component.log");
  boot.set_lease_deadline_boot_ns(lease_end_.count());
  boot.set_listen_host(options_.listen_host);
  boot.set_token(options_.token.reveal());
  log::info("agent.supervisor", "started", {{"component", id}, {"epoch", entry.epoch}, {"pid", entry.process.pid}});
  if (auto sent = launcher_.send_boot(entry.process, boot.SerializeAsString()); !sent.ok())
    kill(entry, Error(ErrorCode::PROCESS_CRASHED, sent.error().to_string(), id));
  return {};
}

void Supervisor::kill(Entry& entry, const Error& why) {
  if (entry.phase != Phase::kRunning) return;
  log::info("agent.supervisor", "killing",
            {{"component", entry.spec.component_id()}, {"epoch", entry.epoch}, {"cause", why}});
  entry.phase = Phase::kEnding;
  entry.killed = why;
  launcher_.signal(entry.process, SIGKILL);
}

void Supervisor::ended(const std::string& id, Entry& entry, const ProcessExit& exit) {
  log::info("agent.supervisor", "ended", {{"component", id}, {"epoch", entry.epoch}, {"exit", exit.to_string()}});
  metrics::counter("sluice_agent_component_exits_total", "Ended component processes",
                   {{"kind", std::string(kind_name(entry.spec.kind()))}})
      .add();
  entry.phase = Phase::kEnded;
  if (!entry.final_seen) report_crash(entry, exit);
  if (entry.forget) return forget(entries_.find(id));
  if (!entry.next) return;
  const Assignment next = std::move(*entry.next);
  entries_.erase(id);
  if (!stopping_) assign_new(next);
}

// Only what the component itself did counts against its restart budget, which the coordinator keeps.
Error Supervisor::cause_of(const Entry& entry, const ProcessExit& exit) const {
  const std::string& id = entry.spec.component_id();
  if (entry.killed) return *entry.killed;
  if (exit.kind == ProcessExit::Kind::kExited && exit.number == kExitLeaseOver)
    return Error(ErrorCode::LEASE_EXPIRED, "the process ended because its lease was over", id);
  if (stopping_) return stopped_with_agent();
  return Error(ErrorCode::PROCESS_CRASHED, "the process ended with " + exit.to_string(), id);
}

void Supervisor::report_crash(Entry& entry, const ProcessExit& exit) {
  const bool own_error = exit.kind == ProcessExit::Kind::kExited && exit.number == kExitRetry &&
                         entry.status.state() == cluster::v1::RETRYING && entry.status.has_error();
  entry.status.set_component_id(entry.spec.component_id());
  entry.status.set_epoch(entry.epoch);
  entry.status.set_state(cluster::v1::FAILED);
  if (!own_error) *entry.status.mutable_error() = net::to_proto(cause_of(entry, exit));
  entry.status.set_sampled_at_us(clock_.unix_time_us());
  entry.final_seen = true;
  if (auto written = write_final(directory(entry.spec.component_id()), entry.status); !written.ok())
    log::error("agent.supervisor", "cannot write down an end", {{"cause", written.error()}});
  report(entry.status);
}

void Supervisor::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  stop_deadline_ = clock_.boot_time() + options_.stop_patience;
  for (auto& [id, entry] : entries_) {
    entry.next.reset();
    if (entry.phase == Phase::kRunning) launcher_.signal(entry.process, SIGTERM);
  }
}

bool Supervisor::stopped() const { return stopping_ && running() == 0; }

size_t Supervisor::running() const {
  size_t count = 0;
  for (const auto& [id, entry] : entries_) count += entry.phase == Phase::kRunning || entry.phase == Phase::kEnding;
  return count;
}

std::vector<ComponentStatus> Supervisor::snapshot() const {
  std::vector<ComponentStatus> statuses;
  for (const auto& [id, entry] : entries_) statuses.push_back(entry.status);
  return statuses;
}

}  // namespace sluice::agents
