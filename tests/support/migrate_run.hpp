// MigrateRun: the real `sluice migrate` as a child process of a test, with its own work directory, and the processes
// that belong to it. Owned and used by one thread. The executable is $SLUICE_BIN (ctest sets it).
#pragma once

#include <csignal>
#include <string>
#include <vector>

#include "tests/support/mariadb.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

namespace sluice::testing {

class MigrateRun {
 public:
  MigrateRun(MariaDbServer& source, MariaDbServer& target);
  ~MigrateRun();  // ends every process of the work directory

  // Starts it with `--progress json` and a report; `args` follow SOURCE and TARGET. Not while one runs.
  void start(const std::vector<std::string>& args);
  std::optional<int> wait(std::chrono::milliseconds patience) { return process_.wait(patience); }
  bool running() { return process_.running(); }
  void interrupt() { process_.signal(SIGINT); }
  void signal(int number) { process_.signal(number); }
  void kill9() { process_.kill9(); }

  // Other addresses than the servers' own (a proxy).
  void set_source_port(uint16_t port) { source_port_ = port; }
  void set_target_port(uint16_t port) { target_port_ = port; }
  void set_source_host(const std::string& host) { source_host_ = host; }
  void set_source_user(const std::string& user) { source_user_ = user; }
  void set_password(const std::string& side, const std::string& password);  // "SOURCE" or "TARGET"

  // Programs that start the command: its own path and arguments follow `words`.
  void set_wrapper(const std::vector<std::string>& words) { wrapper_ = words; }

  // The live process whose command line holds `words` ("coordinator", "agent", "component incr_sync"); -1: none.
  pid_t find(const std::string& words) const;
  std::vector<pid_t> processes() const;  // all of this work directory, the command itself not included

  std::string report() const;                              // JSON text of the last ended run
  std::string report_value(const std::string& key) const;  // of the top level, as text
  std::string output() const;                              // standard output and error of all runs
  std::string logs() const;            // tails of all logs in the work directory, for failure messages
  std::string component_logs() const;  // every component.log, whole
  std::string work_dir() const { return folder_.file("work"); }

 private:
  MariaDbServer& source_;
  MariaDbServer& target_;
  uint16_t source_port_, target_port_;
  std::string source_host_ = "127.0.0.1";
  std::string source_user_ = MariaDbServer::kUser, source_password_, target_password_;
  std::vector<std::string> wrapper_;
  TempDir folder_{"sluice-migrate"};
  ChildProcess process_;
};

}  // namespace sluice::testing
