// The frame of every component process: boot message, link to the agent, lease, status. A component implements run();
// everything else is here.
//
// Threads: run() is called on the main thread. The link runs on its own threads; desired() and the callbacks it feeds
// may be used from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/lease.hpp"
#include "core/net/convert.hpp"
#include "core/result.hpp"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents {

class ComponentContext {
 public:
  virtual ~ComponentContext() = default;
  virtual const cluster::v1::ComponentBoot& boot() const = 0;
  virtual const cluster::v1::ComponentSpec& spec() const = 0;
  virtual const std::shared_ptr<Lease>& lease() const = 0;  // the process exits by itself when it runs out

  // The newest desired state. wait_desired blocks until its revision exceeds `seen`, or `patience` is over.
  virtual cluster::v1::ComponentDesired desired() const = 0;
  virtual cluster::v1::ComponentDesired wait_desired(uint64_t seen, std::chrono::milliseconds patience) = 0;
  // Called (on the link's thread) for every new desired state; must not block.
  virtual void on_desired(std::function<void(const cluster::v1::ComponentDesired&)> callback) = 0;

  // Changes the status and sends it soon (at most some 10 times a second; state changes at once). The frame fills in
  // component, epoch, time and resident memory.
  virtual void update(const std::function<void(cluster::v1::ComponentStatus&)>& change) = 0;
};

// The project's limit in rows per second; 0: none.
inline uint64_t throttle_of(const cluster::v1::ComponentDesired& desired, const cluster::v1::ComponentSpec& spec) {
  return desired.throttle_rows_per_second() != 0 ? desired.throttle_rows_per_second() : spec.throttle_rows_per_second();
}

using ComponentMain = std::function<Status(ComponentContext&)>;

// Entry of `sluice component KIND`: reads ComponentBoot from fd 3, links to the agent, runs `main`, reports its end:
// success is FINISHED (STOPPED when a stop was desired), a retryable error ends the process with exit status 75: the
// Supervisor reports it, and the coordinator places the component again, with the next epoch and within its budget. Any
// other error is FAILED. A process whose lease is over ends with 76, whatever it does. Returns the exit status.
int run_component(const ComponentMain& main);

}  // namespace sluice::agents
