// AgentOutbox: what waits to be sent to one agent. The CM puts messages in, the stream's writer takes them out. Thread
// safe. Bounded by merging: of several assignments that wait only the newest is kept, of several leases the newest.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::coordinator {

class AgentOutbox {
 public:
  using Message = std::shared_ptr<const cluster::v1::CoordinatorMessage>;
  explicit AgentOutbox(uint64_t session) : session_(session) {}
  uint64_t session() const { return session_; }

  void push(Message message) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    std::erase_if(queue_, [&](const Message& waiting) { return waiting->body_case() == message->body_case(); });
    queue_.push_back(std::move(message));
    changed_.notify_all();
  }
  // What waits is still sent.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  // Null when it is closed and nothing waits.
  Message pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) return nullptr;
    auto message = std::move(queue_.front());
    queue_.pop_front();
    return message;
  }

 private:
  const uint64_t session_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> queue_;
  bool closed_ = false;
};

// What the streams tell the CM. Implemented by the coordinator's actors; never blocks; thread safe.
class AgentEvents {
 public:
  virtual ~AgentEvents() = default;
  virtual void opened(std::shared_ptr<AgentOutbox> outbox) = 0;
  virtual void received(uint64_t session, std::shared_ptr<const cluster::v1::AgentMessage> message) = 0;
  virtual void closed(uint64_t session) = 0;
};

}  // namespace sluice::coordinator
