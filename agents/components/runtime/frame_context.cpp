#include "agents/components/runtime/frame_context.hpp"

#include <unistd.h>

#include <fstream>

#include "core/metrics.hpp"

namespace sluice::agents {
namespace {

using cluster::v1::ComponentDesired;
using cluster::v1::ComponentStatus;

constexpr std::chrono::milliseconds kLeastInterval{100};  // between two statuses
constexpr std::chrono::milliseconds kSignOfLife{1000};    // a status goes out at least this often

constexpr size_t kMetricsMax = 256;

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Components may append a table again instead of changing its entry: the last entry of a table counts.
void keep_last_entries(ComponentStatus& status) {
  std::map<std::string, int> last;
  for (int i = 0; i < status.tables_size(); ++i) last[status.tables(i).source()] = i;
  if (last.size() == static_cast<size_t>(status.tables_size())) return;
  ComponentStatus kept;
  for (int i = 0; i < status.tables_size(); ++i)
    if (last[status.tables(i).source()] == i) *kept.add_tables() = std::move(*status.mutable_tables(i));
  status.mutable_tables()->Swap(kept.mutable_tables());
}

}  // namespace

FrameContext::FrameContext(cluster::v1::ComponentBoot boot)
    : boot_(std::move(boot)),
      lease_(std::make_shared<Lease>(system_clock())),
      desired_(boot_.desired()),
      agent_revision_(desired_.revision()) {
  lease_->extend(BootTime(boot_.lease_deadline_boot_ns()));
  status_.set_component_id(spec().component_id());
  status_.set_epoch(spec().epoch());
  status_.set_state(cluster::v1::STARTING);
  status_.set_sampled_at_us(system_clock().unix_time_us());
}

ComponentDesired FrameContext::desired() const {
  std::lock_guard lock(mutex_);
  revision_read_ = desired_.revision();
  return desired_;
}

ComponentDesired FrameContext::wait_desired(uint64_t seen, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  desired_changed_.wait_for(lock, patience, [&] { return desired_.revision() > seen; });
  revision_read_ = desired_.revision();
  return desired_;
}

void FrameContext::on_desired(std::function<void(const ComponentDesired&)> callback) {
  std::lock_guard lock(mutex_);
  callbacks_.push_back(std::move(callback));
}

void FrameContext::update(const std::function<void(ComponentStatus&)>& change) {
  std::lock_guard lock(mutex_);
  const auto state_before = status_.state();
  change(status_);
  status_.set_sampled_at_us(system_clock().unix_time_us());
  dirty_ = true;
  if (status_.state() != state_before) urgent_ = true;
  status_changed_.notify_all();
}

void FrameContext::accept_desired(const ComponentDesired& desired) {
  std::unique_lock lock(mutex_);
  if (desired.revision() <= agent_revision_) return;
  agent_revision_ = desired.revision();
  desired_ = desired;
  // A local stop shifted the revisions that the component sees by one: they keep growing.
  if (stopped_locally_) {
    desired_.set_revision(agent_revision_ + 1);
    desired_.set_stop(true);
  }
  publish(lock);
}

void FrameContext::stop_locally() {
  std::unique_lock lock(mutex_);
  if (stopped_locally_) return;
  stopped_locally_ = true;
  desired_.set_revision(desired_.revision() + 1);
  desired_.set_stop(true);
  publish(lock);
}

void FrameContext::publish(std::unique_lock<std::mutex>& lock) {
  const ComponentDesired now = desired_;
  const auto callbacks = callbacks_;
  desired_changed_.notify_all();
  lock.unlock();
  for (const auto& callback : callbacks) callback(now);
}

bool FrameContext::due(SteadyTime now) const {
  return urgent_ || (dirty_ && now - sent_at_ >= kLeastInterval) || now - sent_at_ >= kSignOfLife;
}

bool FrameContext::nothing_to_send() const {
  std::lock_guard lock(mutex_);
  return !dirty_ && !urgent_;
}

std::optional<ComponentStatus> FrameContext::next_status(bool everything, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!everything && !due(std::chrono::steady_clock::now())) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now >= deadline) return std::nullopt;
    const SteadyTime next_due = sent_at_ + (dirty_ ? kLeastInterval : kSignOfLife);
    status_changed_.wait_until(lock, std::min(deadline, next_due));
  }
  dirty_ = urgent_ = false;
  sent_at_ = std::chrono::steady_clock::now();
  return compose(everything);
}

ComponentStatus FrameContext::compose(bool everything) {
  keep_last_entries(status_);
  if (everything) tables_sent_.clear();
  ComponentStatus message = status_;
  message.clear_tables();
  for (const auto& table : status_.tables()) {
    std::string bytes = table.SerializeAsString();
    std::string& sent = tables_sent_[table.source()];
    if (sent == bytes && !everything) continue;
    sent = std::move(bytes);
    *message.add_tables() = table;
  }
  message.set_component_id(spec().component_id());
  message.set_epoch(spec().epoch());
  message.set_resident_bytes(resident_bytes());
  for (auto& sample : metrics::samples(kMetricsMax)) {
    auto& metric = *message.add_metrics();
    metric.set_name(std::move(sample.name));
    metric.mutable_labels()->insert(sample.labels.begin(), sample.labels.end());
    metric.set_value(sample.value);
    metric.set_counter(sample.counter);
  }
  if (message.desired_revision() == 0) message.set_desired_revision(revision_read_);
  return message;
}

}  // namespace sluice::agents
