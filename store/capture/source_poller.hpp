// SourcePoller: asks the source once a second for its end position and time, on a connection and a thread of its own,
// so that lag is known without writing to the source. While the source does not answer the last sample stays, and grows
// old.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "core/endpoint.hpp"
#include "store/serve/source_state.hpp"

namespace sluice::store {

class SourcePoller {
 public:
  SourcePoller(const Endpoint& source, SourceState& state);
  ~SourcePoller();
  // Why the source was not asked; nothing when it answered last. Any thread.
  std::optional<Error> error() const;

 private:
  void run();
  const Endpoint source_;
  SourceState& state_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::optional<Error> error_;
  std::thread thread_;
};

}  // namespace sluice::store
