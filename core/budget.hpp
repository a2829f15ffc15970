// ByteBudget: a limit in bytes shared by the queues of a component. Thread safe.
//
// A request larger than the whole budget is granted when nothing else is held, so that one oversized row can pass
// alone. Grants are RAII: destroying a Grant gives its bytes back and wakes waiters in the order in which they came.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

namespace sluice {

class ByteBudget {
 public:
  class Grant {
   public:
    Grant() = default;
    Grant(Grant&& other) noexcept;
    Grant& operator=(Grant&& other) noexcept;
    ~Grant();
    uint64_t bytes() const { return bytes_; }
    void release();

   private:
    friend class ByteBudget;
    Grant(ByteBudget* owner, uint64_t bytes) : owner_(owner), bytes_(bytes) {}
    ByteBudget* owner_ = nullptr;
    uint64_t bytes_ = 0;
  };

  explicit ByteBudget(uint64_t limit_bytes) : limit_(limit_bytes) {}
  ByteBudget(const ByteBudget&) = delete;

  std::optional<Grant> try_acquire(uint64_t bytes);                                  // never waits
  std::optional<Grant> acquire(uint64_t bytes, std::chrono::milliseconds patience);  // empty on time-out or close()
  void close();  // wakes all waiters; every later acquire fails

  uint64_t limit_bytes() const { return limit_; }
  uint64_t used_bytes() const;

 private:
  bool fits(uint64_t bytes) const;
  void give_back(uint64_t bytes);

  const uint64_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<uint64_t> waiting_;  // tickets, first come first served
  uint64_t next_ticket_ = 0;
  uint64_t used_ = 0;
  bool closed_ = false;
};

}  // namespace sluice
