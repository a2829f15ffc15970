// ChildProcess: a child program of a test. Ends with its owner: the destructor kills it, and the kernel does when the
// thread that started it dies (start children from a thread that outlives them, in practice the test's main thread).
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::testing {

struct ProcessOptions {
  std::string program;                     // path, or a name that is looked up in PATH
  std::vector<std::string> args;           // without argv[0]
  std::map<std::string, std::string> env;  // added to the test's own environment
  std::string cwd;                         // empty: the test's own
  std::string stdout_file, stderr_file;    // appended to; empty: /dev/null. Equal names share one file
};

class ChildProcess {
 public:
  // Throws std::runtime_error when the program cannot be started.
  static ChildProcess start(const ProcessOptions& options);
  ChildProcess() = default;
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();  // SIGKILL and reaps

  pid_t pid() const { return pid_; }
  bool running();                 // reaps an ended child
  void signal(int number) const;  // nothing when it has ended
  // Waits for the end: exit status, or 128 + signal number; empty when it still runs after `patience`.
  std::optional<int> wait(std::chrono::milliseconds patience);
  void kill9();  // SIGKILL and reaps
  // SIGTERM, then SIGKILL after `patience`; the exit status as wait() gives it.
  int terminate(std::chrono::milliseconds patience = std::chrono::seconds(30));

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

// kill(2) on one process. Throws for a number that is no process's: kill(-1) would end every process of the machine,
// and -1 is what a search answers when the process has just gone.
void send_signal(pid_t pid, int number);

// Starts a program and waits; exit status, with its output in `output`. Throws after `patience`.
int run_program(const std::string& program, const std::vector<std::string>& args, std::string* output = nullptr,
                std::chrono::milliseconds patience = std::chrono::minutes(2));

// Live processes whose working directory is `folder` or lies inside it; their arguments, joined by spaces.
std::vector<pid_t> processes_in(const std::string& folder);
std::string command_line(pid_t pid);

std::string read_text_file(const std::string& path);  // empty when there is none

}  // namespace sluice::testing
