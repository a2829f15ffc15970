// Launcher: starting, signalling and watching component processes; replaced in tests. Used by one thread.
//
// A process is named by its pid and its start time, so that a pid that the system has given to another process is
// never signalled or waited for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/result.hpp"

namespace sluice::agents {

struct ProcessId {
  int64_t pid = 0;
  uint64_t start_time = 0;  // clock ticks since boot, from /proc/PID/stat
  bool operator==(const ProcessId&) const = default;
};

struct ProcessExit {
  enum class Kind { kExited, kSignalled, kUnknown };  // unknown: not our child (adopted)
  Kind kind = Kind::kUnknown;
  int number = 0;  // exit status or signal
  std::string to_string() const;
};

struct LaunchRequest {
  std::string kind;         // argv: sluice component KIND
  std::string name;         // component id, for the control group
  std::string output_file;  // stdout and stderr are appended here
  uint64_t memory_limit = 0;
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  // The process waits for its boot message before it does anything. When this agent dies before send_boot(), the
  // process ends by itself.
  virtual Result<ProcessId> launch(const LaunchRequest& request) = 0;
  // Hands the boot message over. Never blocks. The process that was launched last.
  virtual Status send_boot(const ProcessId& process, std::string message) = 0;
  virtual void signal(const ProcessId& process, int number) = 0;  // nothing when it is gone
  // How it ended, once it is gone. A child is reaped; asked once after the end.
  virtual std::optional<ProcessExit> poll(const ProcessId& process) = 0;
};

// What a process writes beside its log is rare and short. Where it is not, the last MiB is kept in "FILE.1" and the
// file begins anew, also while the process runs.
void bound_output(const std::string& file);

// Of a live process; 0 when there is none or it is a zombie.
uint64_t process_start_time(int64_t pid);
inline bool is_alive(const ProcessId& process) {
  return process.pid > 0 && process_start_time(process.pid) == process.start_time && process.start_time != 0;
}

class ControlGroups;

// Real processes: `program` component KIND, /proc/self/exe by default, in a session of their own, with closed file
// descriptors, an environment without our settings, and a control group where the system allows one.
class SystemLauncher final : public Launcher {
 public:
  // `groups`: null means those of this process.
  explicit SystemLauncher(std::string program = "/proc/self/exe", std::shared_ptr<ControlGroups> groups = nullptr);
  ~SystemLauncher() override;
  Result<ProcessId> launch(const LaunchRequest& request) override;
  Status send_boot(const ProcessId& process, std::string message) override;
  void signal(const ProcessId& process, int number) override;
  std::optional<ProcessExit> poll(const ProcessId& process) override;

 private:
  const std::string program_;
  std::shared_ptr<ControlGroups> groups_;
  ProcessId launched_;
  int boot_pipe_ = -1;
};

}  // namespace sluice::agents
