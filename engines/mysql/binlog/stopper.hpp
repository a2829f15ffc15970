// Stopper: ends work that waits for a database, from another thread. Thread safe; once stopped it stays so.
#pragma once

#include <mutex>
#include <set>

namespace sluice::mysql {

class Connection;

class Stopper {
 public:
  void stop();
  bool stopped() const;

  // While it lives, stop() cuts this connection, or has cut it already. The connection may be closed meanwhile.
  class Watch {
   public:
    Watch(Stopper& stopper, Connection& connection);
    ~Watch();
    Watch(const Watch&) = delete;

   private:
    Stopper& stopper_;
    int socket_;  // a descriptor of its own: the library may close the connection's while another thread stops it
  };

 private:
  mutable std::mutex mutex_;
  bool stopped_ = false;
  std::set<int> sockets_;
};

}  // namespace sluice::mysql
