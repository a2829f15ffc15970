#include "store/capture/source_poller.hpp"

#include "core/log.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/positions.hpp"

namespace sluice::store {
namespace {

// The time first: every change committed before it lies before the end position.
Status sample(mysql::Connection& connection, SourceState& state) {
  SourceState::Sample taken;
  taken.answered = std::chrono::steady_clock::now();
  SLUICE_ASSIGN(taken.asked_us, mysql::server_time_us(connection));
  SLUICE_ASSIGN(taken.end, mysql::end_in_file(connection));
  state.set(std::move(taken));
  return {};
}

}  // namespace

SourcePoller::SourcePoller(const Endpoint& source, SourceState& state)
    : source_(source), state_(state), thread_([this] { run(); }) {}

SourcePoller::~SourcePoller() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

std::optional<Error> SourcePoller::error() const {
  std::lock_guard lock(mutex_);
  return error_;
}

void SourcePoller::run() {
  mysql::ConnectOptions options;
  options.purpose = mysql::Purpose::kCatalog;
  options.connect_timeout = options.io_timeout = std::chrono::milliseconds(5000);
  options.application = "sluice store";
  std::unique_ptr<mysql::Connection> connection;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    Status asked;
    if (!connection) {
      auto opened = mysql::Connection::open(source_, options);
      if (opened.ok())
        connection = std::move(opened).value();
      else
        asked = opened.error();
    }
    if (connection) asked = sample(*connection, state_);
    if (!asked.ok()) connection.reset();
    lock.lock();
    if (!asked.ok() && !error_)
      log::warn("store.capture", "the source does not tell its end", {{"error", asked.error()}});
    error_ = asked.ok() ? std::nullopt : std::optional<Error>(asked.error());
    wake_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_; });
  }
}

}  // namespace sluice::store
