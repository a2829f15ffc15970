// ServerWatch: lets a statement be silent for as long as its server is alive. A digest of a whole table, or a DELETE
// that cascades to millions of rows, sends nothing until it is finished, and no time-out on its socket could tell it
// from a server that is frozen. So another session asks the server now and then; when it gets no answer for a minute,
// or the component has to end, the watched connections are ended, and the statements on them fail with CONNECTION_LOST.
//
// One per server and process, with a thread of its own; watch() and the connections' owners: any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

class ServerWatch {
 public:
  struct Times {
    std::chrono::milliseconds between{10'000};  // questions
    std::chrono::milliseconds silence{60'000};  // without an answer
  };
  // `ended` tells, at any time, that no statement is wanted any more.
  ServerWatch(Endpoint endpoint, std::function<bool()> ended, Times times);
  ~ServerWatch();
  ServerWatch(const ServerWatch&) = delete;

  void end_all();  // ends the watched connections
  void add(Connection* connection);
  void remove(Connection* connection);  // before it is destroyed

 private:
  void run();
  bool answers();
  const Endpoint endpoint_;
  const std::function<bool()> ended_;
  const Times times_;
  std::unique_ptr<Connection> connection_;  // the thread's
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Connection*> watched_;
  bool closing_ = false;
  std::thread thread_;
};

// For connections that are watched: longer than any statement, and yet an end.
inline constexpr std::chrono::hours kWatchedIoTimeout{24};

// A connection that is watched while it lives.
class WatchedConnection {
 public:
  WatchedConnection() = default;
  WatchedConnection(std::unique_ptr<Connection> connection, std::shared_ptr<ServerWatch> watch);
  ~WatchedConnection() { reset(); }
  WatchedConnection(WatchedConnection&& other) noexcept = default;
  WatchedConnection& operator=(WatchedConnection&& other) noexcept;

  explicit operator bool() const { return connection_ != nullptr; }
  Connection* get() const { return connection_.get(); }
  Connection* operator->() const { return connection_.get(); }
  Connection& operator*() const { return *connection_; }

 private:
  void reset();
  std::unique_ptr<Connection> connection_;
  std::shared_ptr<ServerWatch> watch_;
};

}  // namespace sluice::mysql
