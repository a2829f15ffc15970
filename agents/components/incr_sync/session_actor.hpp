// Runs a session with its actors until it ends.
#pragma once

#include <functional>

#include "agents/components/incr_sync/session.hpp"

namespace sluice::agents::incr_sync {

// Passes desired states to the session that runs, from any thread; nothing happens when none runs.
class SessionMailbox {
 public:
  SessionMailbox();
  ~SessionMailbox();
  void tell(const cluster::v1::ComponentDesired& desired);

 private:
  friend Result<SessionEnd> run_session(Job& job, SessionMailbox& mailbox);
  struct Content;
  std::unique_ptr<Content> content_;
};

// Opens a session, connects it to the Store, and returns when it has ended. Blocking.
Result<SessionEnd> run_session(Job& job, SessionMailbox& mailbox);

}  // namespace sluice::agents::incr_sync
