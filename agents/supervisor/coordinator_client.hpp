// CoordinatorClient: the agent's stream to a coordinator: registration, heartbeats, lease, assignments, statuses. It
// runs on threads of its own, goes from coordinator to coordinator when one does not answer, and registers again on
// every new stream. Thread safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents {

class CoordinatorClient {
 public:
  struct Options {
    std::vector<std::string> addresses;  // "host:port" or "unix:/path"
    Secret token;
    std::chrono::milliseconds heartbeat{1000};
  };
  struct Handlers {  // called on the client's threads
    std::function<cluster::v1::Register()> registration;
    std::function<void(cluster::v1::Heartbeat&)> sample_load;
    std::function<void(BootTime sent, const cluster::v1::LeaseGrant&)> on_lease;
    std::function<void(const cluster::v1::NodeDesired&)> on_desired;
  };

  CoordinatorClient(Options options, Handlers handlers, Clock& clock);
  ~CoordinatorClient();
  CoordinatorClient(const CoordinatorClient&) = delete;

  void start();
  void stop();
  // The newest status of each component is kept until it is sent; after a reconnect the registration has them all.
  void send(const cluster::v1::ComponentStatus& status);
  // Lines for the coordinator's log. Of those that cannot be sent for long the newest are left out, and counted.
  void send(cluster::v1::LogLine line);
  // True when every status that was given to send() has been written to a stream.
  bool flush(std::chrono::milliseconds patience);
  std::string not_connected() const;  // empty while a coordinator grants leases, else why not

 private:
  struct Session;
  void run();
  void session(const std::string& address);
  void write_loop(Session& session);
  void read_loop(Session& session);
  bool write_heartbeat(Session& session);
  bool write_statuses(Session& session);
  bool write_log(Session& session);
  bool outdated(Session& session, uint64_t term);
  void note(const std::string& cause);

  const Options options_;
  const Handlers handlers_;
  Clock& clock_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> term_{0};  // the newest that a coordinator told
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, cluster::v1::ComponentStatus> pending_;
  bool writing_ = false;  // statuses were taken from pending_ and are being written
  std::string cause_ = "no coordinator was reached yet";
  std::mutex log_mutex_;  // its own: lines come from whoever logs, under whatever lock
  std::deque<cluster::v1::LogLine> log_;
  uint64_t log_dropped_ = 0;
  std::thread thread_;
};

}  // namespace sluice::agents
