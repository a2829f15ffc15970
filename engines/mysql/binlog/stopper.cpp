#include "engines/mysql/binlog/stopper.hpp"

#include <mysql.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

void Stopper::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  for (int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
}

bool Stopper::stopped() const {
  std::lock_guard lock(mutex_);
  return stopped_;
}

Stopper::Watch::Watch(Stopper& stopper, Connection& connection)
    : stopper_(stopper), socket_(::dup(mysql_get_socket(connection.raw()))) {
  if (socket_ < 0) return;  // no descriptor is free: the connection's own time-outs bound it
  std::lock_guard lock(stopper_.mutex_);
  stopper_.sockets_.insert(socket_);
  if (stopper_.stopped_) ::shutdown(socket_, SHUT_RDWR);
}

Stopper::Watch::~Watch() {
  if (socket_ < 0) return;
  std::lock_guard lock(stopper_.mutex_);
  stopper_.sockets_.erase(socket_);
  ::close(socket_);
}

}  // namespace sluice::mysql
