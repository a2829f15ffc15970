// LocalCluster: coordinator and agent as child processes of one command, on unix sockets in a work directory.
//
// Life cycle: open() locks the work directory and ends survivors of an earlier run (named there by pid and start time);
// start() spawns both; tend() restarts the one that died, and is called a few times a second by the owner's thread;
// stop() ends both gracefully. A process that keeps dying (5 times in a minute) is an error, not a loop. When the
// command itself dies, however, the kernel asks both to end (SIGTERM): they write their checkpoints and do.
#pragma once

#include <sys/types.h>

#include <deque>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"

namespace sluice::cli {

class LocalCluster {
 public:
  // Makes the folder when it is missing. WORK_DIR_IN_USE when another process holds it. Changes the process's current
  // folder to it: unix socket paths are limited to 107 bytes, so all of them are relative.
  static Result<LocalCluster> open(const std::string& work_dir);
  LocalCluster(LocalCluster&&) noexcept;
  LocalCluster& operator=(LocalCluster&&) = delete;
  ~LocalCluster();  // ends the children

  Status start();
  Status tend();
  void stop();
  void kill_child(const std::string& name);  // that hangs; tend() starts it again
  // Ends component processes that outlived their agent, at once instead of with their lease. For who removes what they
  // write to.
  Status end_components() const;

  std::string coordinator_address() const { return "unix:coordinator.sock"; }
  // The coordinator's token; retryable until it has made it.
  Result<Secret> token() const;

 private:
  struct Child {
    std::string name;
    std::vector<std::string> arguments;
    pid_t pid = 0;
    std::deque<BootTime> deaths;
  };
  LocalCluster() = default;
  Status spawn(Child& child);
  Status end_survivors();
  Status write_processes() const;

  int lock_ = -1;
  std::vector<Child> children_;
};

}  // namespace sluice::cli
