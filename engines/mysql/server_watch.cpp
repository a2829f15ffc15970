#include "engines/mysql/server_watch.hpp"

#include <algorithm>

#include "core/log.hpp"

namespace sluice::mysql {

using SteadyClock = std::chrono::steady_clock;

ServerWatch::ServerWatch(Endpoint endpoint, std::function<bool()> ended, Times times)
    : endpoint_(std::move(endpoint)), ended_(std::move(ended)), times_(times), thread_([this] { run(); }) {}

ServerWatch::~ServerWatch() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void ServerWatch::add(Connection* connection) {
  std::lock_guard lock(mutex_);
  watched_.insert(connection);
}

void ServerWatch::remove(Connection* connection) {
  std::lock_guard lock(mutex_);
  watched_.erase(connection);
}

void ServerWatch::end_all() {
  std::lock_guard lock(mutex_);
  for (auto* connection : watched_) connection->abort();
}

// Any answer will do, that there are too many connections as well.
bool ServerWatch::answers() {
  if (connection_ == nullptr) {
    auto opened = Connection::open(endpoint_, {.purpose = Purpose::kCatalog,
                                               .connect_timeout = times_.between,
                                               .io_timeout = times_.between,
                                               .application = "sluice watch"});
    if (!opened.ok()) {
      const ErrorCode code = opened.error().code();
      return code != ErrorCode::CONNECT_FAILED && code != ErrorCode::CONNECTION_LOST && code != ErrorCode::TIMED_OUT;
    }
    connection_ = std::move(*opened);
  }
  if (connection_->query_value("SELECT 1").ok()) return true;
  connection_.reset();
  return false;
}

void ServerWatch::run() {
  constexpr std::chrono::milliseconds kLook{200};
  auto answered = SteadyClock::now(), asked = answered;
  std::unique_lock lock(mutex_);
  while (!closing_) {
    changed_.wait_for(lock, std::min(kLook, times_.between));
    const bool ask = !watched_.empty() && SteadyClock::now() - asked >= times_.between;
    lock.unlock();
    if (ended_()) end_all();
    if (ask) {
      if (answers()) {
        answered = SteadyClock::now();
      } else if (SteadyClock::now() - answered >= times_.silence) {
        log::warn("mysql.watch", "a server does not answer any more", {{"server", endpoint_.display()}});
        end_all();
        answered = SteadyClock::now();
      }
      asked = SteadyClock::now();
    }
    lock.lock();
    if (watched_.empty()) answered = SteadyClock::now();
  }
}

WatchedConnection::WatchedConnection(std::unique_ptr<Connection> connection, std::shared_ptr<ServerWatch> watch)
    : connection_(std::move(connection)), watch_(std::move(watch)) {
  if (watch_) watch_->add(connection_.get());
}

WatchedConnection& WatchedConnection::operator=(WatchedConnection&& other) noexcept {
  if (this == &other) return *this;
  reset();
  connection_ = std::move(other.connection_);
  watch_ = std::move(other.watch_);
  return *this;
}

void WatchedConnection::reset() {
  if (connection_ && watch_) watch_->remove(connection_.get());
  connection_.reset();
  watch_.reset();
}

}  // namespace sluice::mysql
