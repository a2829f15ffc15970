// LogServer: serves a Store's log over gRPC (proto store/v1) to any number of readers.
//
// Each reader has a session with a thread of its own, which sleeps until there is a block, credit or an end; a
// committed transaction is sent as soon as the log has it. A name has one session at a time: a newer connection of the
// same or a newer epoch ends the older one. A reader without a name only looks: nothing is kept for it. Thread safe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/secret.hpp"
#include "store/log/log.hpp"
#include "store/serve/source_state.hpp"

namespace sluice::store {

struct LogServerOptions {
  std::string address;  // "host:0" picks a port
  Secret token;
  // Asked, from a session's thread, about a reader's position that is no border of transactions in the log: after a
  // crash of the machine a reader may hold more than the Store does, and the source has to confirm it. Not set: such
  // readers are believed.
  std::function<Status(const Position&)> confirm;
};

class LogServer {
 public:
  // `log` and `source` must outlive the server.
  static Result<std::unique_ptr<LogServer>> start(const LogServerOptions& options, Log& log, const SourceState& source);
  virtual ~LogServer() = default;  // as stop()
  virtual int port() const = 0;
  virtual void stop() = 0;  // ends all sessions (readers get PEER_UNREACHABLE) and waits for them
};

}  // namespace sluice::store
