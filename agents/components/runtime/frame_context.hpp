// FrameContext: the ComponentContext of a real component process. Owned by run_component; used by the component's
// threads (the interface), the link's threads (accept_*, next_status) and the watchdog (stop_locally). Thread safe;
// callbacks run without its lock held.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "agents/components/runtime/component.hpp"

namespace sluice::agents {

class FrameContext final : public ComponentContext {
 public:
  explicit FrameContext(cluster::v1::ComponentBoot boot);

  const cluster::v1::ComponentBoot& boot() const override { return boot_; }
  const cluster::v1::ComponentSpec& spec() const override { return boot_.spec(); }
  const std::shared_ptr<Lease>& lease() const override { return lease_; }
  cluster::v1::ComponentDesired desired() const override;
  cluster::v1::ComponentDesired wait_desired(uint64_t seen, std::chrono::milliseconds patience) override;
  void on_desired(std::function<void(const cluster::v1::ComponentDesired&)> callback) override;
  void update(const std::function<void(cluster::v1::ComponentStatus&)>& change) override;

  // From the agent: older revisions are ignored.
  void accept_desired(const cluster::v1::ComponentDesired& desired);
  // SIGTERM: as if a stop was desired. What the agent sends later keeps the stop.
  void stop_locally();
  bool stop_desired() const { return desired().stop(); }

  // The next status to send, or none within `patience`. Rate limited, except for a new state. `everything`: all tables,
  // not only those that changed, and at once.
  std::optional<cluster::v1::ComponentStatus> next_status(bool everything, std::chrono::milliseconds patience);
  bool nothing_to_send() const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  void publish(std::unique_lock<std::mutex>& lock);
  bool due(SteadyTime now) const;
  cluster::v1::ComponentStatus compose(bool everything);

  const cluster::v1::ComponentBoot boot_;
  const std::shared_ptr<Lease> lease_;
  mutable std::mutex mutex_;
  std::condition_variable desired_changed_, status_changed_;
  cluster::v1::ComponentDesired desired_;  // as the component sees it
  uint64_t agent_revision_ = 0;            // as the agent sent it
  bool stopped_locally_ = false;
  mutable uint64_t revision_read_ = 0;  // the newest that the component has looked at
  std::vector<std::function<void(const cluster::v1::ComponentDesired&)>> callbacks_;

  cluster::v1::ComponentStatus status_;
  std::map<std::string, std::string> tables_sent_;  // source name -> serialised progress
  bool dirty_ = true, urgent_ = true;
  SteadyTime sent_at_{};
};

}  // namespace sluice::agents
