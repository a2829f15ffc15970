#include "agents/supervisor/launcher.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "agents/components/runtime/boot.hpp"
#include "agents/supervisor/control_groups.hpp"
#include "core/log.hpp"

extern char** environ;

namespace sluice::agents {
namespace {

constexpr off_t kOutputBytesMax = 1 << 20;

Error failed(const std::string& what, int number) {
  return Error(ErrorCode::IO_ERROR, what + ": " + ::strerror(number));
}

// Settings of ours stay here: they may hold passwords, and a component takes everything from its boot message.
std::vector<char*> environment_without_settings() {
  std::vector<char*> kept;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!std::string_view(*entry).starts_with("SLUICE_")) kept.push_back(*entry);
  kept.push_back(nullptr);
  return kept;
}

class SpawnSettings {
 public:
  SpawnSettings(int boot_fd, const std::string& output_file) {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                       0600);
    ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, boot_fd, kBootFd);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, kBootFd + 1);
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

// Writes and closes. A reader that is gone is no error here: the end of the process tells more.
void write_and_close(int fd, std::string message) {
  size_t done = 0;
  while (done < message.size()) {
    const ssize_t n = ::write(fd, message.data() + done, message.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  ::close(fd);
  explicit_bzero(message.data(), message.size());
}

}  // namespace

void bound_output(const std::string& file) {
  struct stat info;
  if (::stat(file.c_str(), &info) != 0 || info.st_size <= kOutputBytesMax) return;
  std::ifstream in(file, std::ios::binary);
  in.seekg(info.st_size - kOutputBytesMax);
  std::ofstream(file + ".1", std::ios::binary | std::ios::trunc) << in.rdbuf();
  // The process goes on writing to the same file: it appends.
  [[maybe_unused]] auto cut = ::truncate(file.c_str(), 0);
}

std::string ProcessExit::to_string() const {
  switch (kind) {
    case Kind::kExited:
      return "exit status " + std::to_string(number);
    case Kind::kSignalled:
      return "signal " + std::to_string(number);
    case Kind::kUnknown:
      break;
  }
  return "unknown exit status";
}

uint64_t process_start_time(int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  // The name in parentheses may hold anything; the fields are counted from its last closing one.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  uint64_t start_time = 0;
  for (int number = 3; number <= 21 && fields >> field; ++number)
    if (number == 3 && (field == "Z" || field == "X")) return 0;
  fields >> start_time;
  return start_time;
}

SystemLauncher::SystemLauncher(std::string program, std::shared_ptr<ControlGroups> groups)
    : program_(std::move(program)), groups_(groups ? std::move(groups) : std::make_shared<ControlGroups>()) {}

SystemLauncher::~SystemLauncher() {
  if (boot_pipe_ >= 0) ::close(boot_pipe_);
}

Result<ProcessId> SystemLauncher::launch(const LaunchRequest& request) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed("cannot make a pipe", errno);
  std::string command = "component", kind = request.kind, name = "sluice";
  char* argv[] = {name.data(), command.data(), kind.data(), nullptr};
  auto environment = environment_without_settings();
  pid_t pid = 0;
  int failure;
  {
    SpawnSettings settings(ends[0], request.output_file);
    failure = ::posix_spawn(&pid, program_.c_str(), &settings.actions, &settings.attributes, argv, environment.data());
  }
  ::close(ends[0]);
  if (failure != 0) {
    ::close(ends[1]);
    return failed("cannot start a component process", failure);
  }
  if (boot_pipe_ >= 0) ::close(boot_pipe_);
  boot_pipe_ = ends[1];
  launched_ = {pid, process_start_time(pid)};
  // Before its boot message, so before it allocates anything worth counting.
  groups_->limit(request.name, pid, request.memory_limit);
  return launched_;
}

Status SystemLauncher::send_boot(const ProcessId& process, std::string message) {
  if (boot_pipe_ < 0 || !(process == launched_)) return Error(ErrorCode::INTERNAL, "no process waits for this message");
  const int fd = std::exchange(boot_pipe_, -1);
  const int capacity = ::fcntl(fd, F_SETPIPE_SZ, static_cast<int>(std::min<size_t>(message.size() + 4096, 1 << 20)));
  if (capacity >= 0 && static_cast<size_t>(capacity) > message.size())
    write_and_close(fd, std::move(message));  // fits into the pipe: does not block
  else
    std::thread(write_and_close, fd, std::move(message)).detach();  // ends when the process has read it or is gone
  return {};
}

void SystemLauncher::signal(const ProcessId& process, int number) {
  if (is_alive(process)) ::kill(static_cast<pid_t>(process.pid), number);
}

std::optional<ProcessExit> SystemLauncher::poll(const ProcessId& process) {
  int status = 0;
  const pid_t reaped = ::waitpid(static_cast<pid_t>(process.pid), &status, WNOHANG);
  if (reaped == 0) return std::nullopt;
  if (reaped < 0) {
    if (is_alive(process)) return std::nullopt;  // adopted: a child of an agent before this one
    groups_->sweep();
    return ProcessExit{};
  }
  groups_->sweep();
  if (WIFSIGNALED(status)) return ProcessExit{ProcessExit::Kind::kSignalled, WTERMSIG(status)};
  return ProcessExit{ProcessExit::Kind::kExited, WEXITSTATUS(status)};
}

}  // namespace sluice::agents
