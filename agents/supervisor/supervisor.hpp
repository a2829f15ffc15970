// Supervisor: the process table of a node. It starts, limits, watches and ends component processes as the coordinator
// desires and as the lease allows. Plain logic, no threads: every method is called by its owner (supervisor_actor),
// with time, processes and wires behind interfaces. Nothing here blocks.
//
// The one rule behind it: an epoch is started at most once. A process that ends is never started again by the
// Supervisor; its end is reported, and the coordinator assigns the component again with the next epoch.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agents/supervisor/launcher.hpp"
#include "agents/supervisor/process_record.hpp"
#include "core/clock.hpp"
#include "core/secret.hpp"

namespace sluice::agents {

struct SupervisorOptions {
  std::string data_dir;     // components live in DATA/components/<component id>/
  std::string socket;       // where components find this agent: "unix:/path"
  std::string listen_host;  // for Stores
  Secret token;
  std::chrono::milliseconds start_patience{30'000};  // from launch to the first hello
  std::chrono::milliseconds stop_patience{20'000};   // from SIGTERM to SIGKILL when the agent ends
};

// What the Supervisor tells the others. Called from its methods; must not block or call back.
struct SupervisorPorts {
  std::function<void(const cluster::v1::ComponentStatus&)> report;  // to the coordinator
  std::function<void(const std::string& component, uint64_t epoch, const cluster::v1::ComponentCommand&)> command;
  // What a component measures; null: it is gone from this node.
  std::function<void(const cluster::v1::ComponentSpec&, const cluster::v1::ComponentStatus*)> measured;
  std::function<Status(const std::string& folder)> discard;  // removes it, without making the caller wait
};

class Supervisor {
 public:
  Supervisor(SupervisorOptions options, Clock& clock, Launcher& launcher, SupervisorPorts ports);

  // Finds the processes of this agent's earlier life. They are adopted when the coordinator names their epoch, killed
  // when it does not, and end by their own deadline when no coordinator answers.
  void recover();

  void set_desired(const cluster::v1::NodeDesired& desired);
  // `sent`: when the heartbeat that this grant answers was sent. The lease ends at sent + ttl for the components; what
  // still runs at sent + ttl - margin is killed here.
  void set_lease(BootTime sent, const cluster::v1::LeaseGrant& grant);
  // STALE_EPOCH when this process is not the one that is to run.
  Status hello(const cluster::v1::ComponentHello& hello);
  void take_status(cluster::v1::ComponentStatus status);
  void tick();  // several times a second

  void begin_stop();  // SIGTERM to all components; nothing is started any more
  bool stopped() const;
  std::vector<cluster::v1::ComponentStatus> snapshot() const;  // of all components, whole
  size_t running() const;

 private:
  enum class Phase { kWaiting, kRunning, kEnding, kEnded };
  struct Entry {
    cluster::v1::ComponentSpec spec;
    cluster::v1::ComponentDesired desired;
    uint64_t epoch = 0;
    Phase phase = Phase::kWaiting;
    ProcessId process;
    bool confirmed = false;  // the coordinator named this epoch in this agent's life
    bool forget = false;     // no longer desired: vanishes with the process
    bool linked = false;
    bool final_seen = false;
    std::optional<Error> killed;                  // why this agent ended it
    std::optional<cluster::v1::Assignment> next;  // a newer epoch, once this process is gone
    cluster::v1::ComponentStatus status;          // the newest, whole
    BootTime heard_at{};
  };

  std::string directory(const std::string& id) const { return options_.data_dir + "/components/" + id; }
  bool lease_allows_start() const;
  void assign(const cluster::v1::Assignment& assignment);
  void assign_new(const cluster::v1::Assignment& assignment);
  void confirm(Entry& entry, const cluster::v1::Assignment& assignment);
  void drop_unnamed(const cluster::v1::NodeDesired& desired);
  void try_start(Entry& entry);
  Status start(Entry& entry);
  void kill(Entry& entry, const Error& why);
  void watch(Entry& entry, BootTime now);
  void ended(const std::string& id, Entry& entry, const ProcessExit& exit);
  void report_crash(Entry& entry, const ProcessExit& exit);
  Error cause_of(const Entry& entry, const ProcessExit& exit) const;
  void report(const cluster::v1::ComponentStatus& status) const { ports_.report(status); }
  void forget(std::map<std::string, Entry>::iterator entry);
  void push_lease(const Entry& entry) const;
  void push_desired(const Entry& entry) const;
  void enforce_lease(BootTime now);
  void remove_folders();

  const SupervisorOptions options_;
  Clock& clock_;
  Launcher& launcher_;
  const SupervisorPorts ports_;
  std::map<std::string, Entry> entries_;
  std::set<std::string> removals_;  // component ids whose folders are to go
  uint64_t term_ = 0;
  BootTime lease_end_{}, kill_at_{};  // zero: no lease yet
  std::chrono::milliseconds ttl_{10'000};
  bool stopping_ = false;
  BootTime stop_deadline_{};
};

// `status` with everything of `newer`, and the tables of both.
void merge_status(cluster::v1::ComponentStatus& status, const cluster::v1::ComponentStatus& newer);
bool is_final(cluster::v1::ComponentState state);

}  // namespace sluice::agents
