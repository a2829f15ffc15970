// FakeComponent: a ComponentContext in memory, so that a test can call run_<component> in its own process. Set the
// specification through spec_mutable() before the component starts; change the desired state with desire() and look at
// the status with status(), from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "agents/components/runtime/component.hpp"

namespace sluice::testing {

class FakeComponent final : public agents::ComponentContext {
 public:
  explicit FakeComponent(cluster::v1::ComponentSpec spec = {}, std::shared_ptr<Lease> lease = Lease::unlimited())
      : lease_(std::move(lease)) {
    *boot_.mutable_spec() = std::move(spec);
  }

  cluster::v1::ComponentBoot& boot_mutable() { return boot_; }
  cluster::v1::ComponentSpec& spec_mutable() { return *boot_.mutable_spec(); }

  const cluster::v1::ComponentBoot& boot() const override { return boot_; }
  const cluster::v1::ComponentSpec& spec() const override { return boot_.spec(); }
  const std::shared_ptr<Lease>& lease() const override { return lease_; }

  cluster::v1::ComponentDesired desired() const override {
    std::lock_guard lock(mutex_);
    return desired_;
  }
  cluster::v1::ComponentDesired wait_desired(uint64_t seen, std::chrono::milliseconds patience) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return desired_.revision() > seen; });
    return desired_;
  }
  void on_desired(std::function<void(const cluster::v1::ComponentDesired&)> callback) override {
    std::lock_guard lock(mutex_);
    callbacks_.push_back(std::move(callback));
  }
  void update(const std::function<void(cluster::v1::ComponentStatus&)>& change) override {
    std::lock_guard lock(mutex_);
    change(status_);
    ++updates_;
    changed_.notify_all();
  }

  // Changes the desired state, raises its revision and calls the component's callbacks.
  void desire(const std::function<void(cluster::v1::ComponentDesired&)>& change) {
    cluster::v1::ComponentDesired now;
    std::vector<std::function<void(const cluster::v1::ComponentDesired&)>> callbacks;
    {
      std::lock_guard lock(mutex_);
      change(desired_);
      desired_.set_revision(desired_.revision() + 1);
      now = desired_;
      callbacks = callbacks_;
      changed_.notify_all();
    }
    for (const auto& callback : callbacks) callback(now);
  }

  cluster::v1::ComponentStatus status() const {
    std::lock_guard lock(mutex_);
    return status_;
  }
  // Waits until the status satisfies `wanted`; false when `patience` is over first.
  bool wait_status(const std::function<bool(const cluster::v1::ComponentStatus&)>& wanted,
                   std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return wanted(status_); });
  }
  uint64_t updates() const {
    std::lock_guard lock(mutex_);
    return updates_;
  }

 private:
  std::shared_ptr<Lease> lease_;
  cluster::v1::ComponentBoot boot_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  cluster::v1::ComponentDesired desired_;
  cluster::v1::ComponentStatus status_;
  std::vector<std::function<void(const cluster::v1::ComponentDesired&)>> callbacks_;
  uint64_t updates_ = 0;
};

}  // namespace sluice::testing

namespace sluice::test {
using testing::FakeComponent;
}  // namespace sluice::test
