// An agent that a test plays: it follows the protocol of cluster.proto towards a real coordinator, starts no process,
// and reports what real components would.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.hpp"
#include "core/net/channel.hpp"
#include "sluice/cluster/v1/cluster.grpc.pb.h"

namespace sluice::coordinator {

using cluster::v1::ComponentStatus;

// An agent without processes: `behave` says what a component reports for its present assignment.
class FakeAgent {
 public:
  using Behave = std::function<void(const cluster::v1::Assignment&, ComponentStatus&)>;

  FakeAgent(std::string address, Secret token, std::string node, Behave behave)
      : channel_(net::make_channel(address)),
        token_(std::move(token)),
        node_(std::move(node)),
        behave_(std::move(behave)) {
    thread_ = std::thread([this] { run(); });
  }
  ~FakeAgent() { stop(); }

  void stop() {
    over_ = true;
    {
      std::lock_guard lock(mutex_);
      if (context_) context_->TryCancel();
    }
    if (thread_.joinable()) thread_.join();
  }
  // Silent and deaf, like a machine that was cut off.
  void cut() { stop(); }

  std::map<std::string, uint64_t> running() {
    std::lock_guard lock(mutex_);
    std::map<std::string, uint64_t> result;
    for (auto& [id, assignment] : assigned_) result[id] = assignment.spec().epoch();
    return result;
  }
  bool ever_ran(const std::string& id) {
    std::lock_guard lock(mutex_);
    return seen_.contains(id);
  }
  // Of every component that ever ran here, until the coordinator had it removed.
  std::set<std::string> folders() {
    std::lock_guard lock(mutex_);
    return folders_;
  }
  void say(cluster::v1::LogLine line) {
    std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  void keep_folders(const std::set<std::string>& ids) {
    std::lock_guard lock(mutex_);
    folders_.insert(ids.begin(), ids.end());
  }
  cluster::v1::ComponentSpec spec(const std::string& id) {
    std::lock_guard lock(mutex_);
    return seen_[id].spec();
  }
  void crash(const std::string& id) {
    std::lock_guard lock(mutex_);
    crashed_[id] = assigned_[id].spec().epoch();
  }
  int64_t lease_ttl() const { return lease_ttl_; }

 private:
  void run() {
    while (!over_) {
      session();
      if (!over_) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  void session() {
    auto context = std::make_shared<grpc::ClientContext>();
    net::authorize(*context, token_);
    {
      std::lock_guard lock(mutex_);
      context_ = context;
    }
    auto stub = cluster::v1::ClusterService::NewStub(channel_);
    auto stream = stub->Session(context.get());
    cluster::v1::AgentMessage message;
    auto* about = message.mutable_register_();
    about->set_node_id(node_);
    about->set_cpus(2);
    about->set_address("127.0.0.1");
    for (auto& status : statuses()) *about->add_components() = status;
    if (!stream->Write(message)) return;
    std::thread reader([&] {
      cluster::v1::CoordinatorMessage got;
      while (stream->Read(&got)) take(got);
    });
    for (uint64_t beat = 1; !over_; ++beat) {
      cluster::v1::AgentMessage heartbeat;
      heartbeat.mutable_heartbeat()->set_sequence(beat);
      for (const auto& id : folders()) heartbeat.mutable_heartbeat()->add_folders(id);
      bool alive = stream->Write(heartbeat);
      for (auto& line : take_lines()) {
        cluster::v1::AgentMessage report;
        *report.mutable_log() = std::move(line);
        alive = alive && stream->Write(report);
      }
      for (auto& status : statuses()) {
        cluster::v1::AgentMessage report;
        *report.mutable_status() = status;
        alive = alive && stream->Write(report);
      }
      if (!alive) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    context->TryCancel();
    reader.join();
    stream->Finish();
  }

  void take(const cluster::v1::CoordinatorMessage& message) {
    std::lock_guard lock(mutex_);
    if (message.has_lease()) lease_ttl_ = message.lease().ttl_ms();
    if (!message.has_desired()) return;
    assigned_.clear();
    for (const auto& assignment : message.desired().assignments()) {
      assigned_[assignment.spec().component_id()] = assignment;
      seen_[assignment.spec().component_id()] = assignment;
      folders_.insert(assignment.spec().component_id());
    }
    for (const auto& id : message.desired().removals()) folders_.erase(id);
  }

  std::vector<cluster::v1::LogLine> take_lines() {
    std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }

  std::vector<ComponentStatus> statuses() {
    std::lock_guard lock(mutex_);
    std::vector<ComponentStatus> result;
    for (auto& [id, assignment] : assigned_) {
      auto& status = result.emplace_back();
      status.set_component_id(id);
      status.set_epoch(assignment.spec().epoch());
      status.set_sampled_at_us(system_clock().unix_time_us());
      status.set_desired_revision(assignment.desired().revision());
      status.set_state(cluster::v1::RUNNING);
      if (auto crashed = crashed_.find(id); crashed != crashed_.end() && crashed->second == assignment.spec().epoch()) {
        status.set_state(cluster::v1::FAILED);
        status.mutable_error()->set_code("PROCESS_CRASHED");
        status.mutable_error()->set_cause("killed by the test");
      } else if (assignment.desired().stop()) {
        status.set_state(cluster::v1::STOPPED);
      } else {
        behave_(assignment, status);
      }
    }
    return result;
  }

  std::shared_ptr<grpc::Channel> channel_;
  Secret token_;
  std::string node_;
  Behave behave_;
  std::atomic<bool> over_{false};
  std::atomic<int64_t> lease_ttl_{0};
  std::mutex mutex_;
  std::shared_ptr<grpc::ClientContext> context_;
  std::map<std::string, cluster::v1::Assignment> assigned_, seen_;
  std::map<std::string, uint64_t> crashed_;
  std::set<std::string> folders_;
  std::vector<cluster::v1::LogLine> lines_;
  std::thread thread_;
};

inline store::v1::Position at(uint64_t offset) {
  store::v1::Position position;
  position.set_file("binlog.000001");
  position.set_offset(offset);
  return position;
}

// Every component does its work at once.
inline void behave_well(const cluster::v1::Assignment& assignment, ComponentStatus& status) {
  const auto& spec = assignment.spec();
  const auto& desired = assignment.desired();
  switch (spec.kind()) {
    case cluster::v1::STORE:
      status.mutable_store()->set_address("127.0.0.1:1");
      *status.mutable_store()->mutable_start() = at(100);
      break;
    case cluster::v1::FULL_IMPORT: {
      status.set_state(cluster::v1::FINISHED);
      *status.mutable_full_import()->mutable_window_end() = at(500);
      auto& table = *status.add_tables();
      table.set_source("shop.orders");
      table.set_target("shop.orders");
      table.set_rows(10);
      table.set_finished(true);
      break;
    }
    case cluster::v1::INCR_SYNC: {
      auto& incr = *status.mutable_incr_sync();
      incr.set_window_closed(desired.window_end().offset() >= 500);
      *incr.mutable_start() = at(100);
      *incr.mutable_applied() = at(desired.drain() ? 900 : 500);
      incr.set_transactions(7);
      if (desired.drain() || !spec.with_incremental()) status.set_state(cluster::v1::FINISHED);
      break;
    }
    case cluster::v1::CHECKER: {
      status.set_state(cluster::v1::FINISHED);
      auto& table = *status.add_tables();
      table.set_source("shop.orders");
      table.set_verify("EQUAL");
      break;
    }
    default:
      status.set_state(cluster::v1::FINISHED);
  }
}

}  // namespace sluice::coordinator
