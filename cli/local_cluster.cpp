#include "cli/local_cluster.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "agents/supervisor/process_record.hpp"
#include "core/file.hpp"
#include "core/log.hpp"

namespace sluice::cli {
namespace {

constexpr char kProcesses[] = "processes";
constexpr size_t kDeathsMax = 5;
constexpr std::chrono::seconds kDeathWindow{60};
constexpr std::chrono::seconds kStopPatience{20}, kKillPatience{10};

Error io_error(const std::string& what, const std::string& path) {
  const ErrorCode code = errno == ENOSPC ? ErrorCode::DISK_FULL : ErrorCode::IO_ERROR;
  return Error(code, what + ": " + std::strerror(errno), path);
}

bool wait_gone(const agents::ProcessId& process, std::chrono::milliseconds patience) {
  const BootTime deadline = system_clock().boot_time() + patience;
  while (agents::is_alive(process)) {
    if (system_clock().boot_time() >= deadline) return false;
    poll(nullptr, 0, 20);
  }
  return true;
}

Status end_process(const std::string& name, const agents::ProcessId& process) {
  if (!agents::is_alive(process)) return {};
  log::warn("migrate", "ending a process that an earlier run left", {{"name", name}, {"pid", process.pid}});
  kill(static_cast<pid_t>(process.pid), SIGKILL);
  if (wait_gone(process, kKillPatience)) return {};
  return Error(ErrorCode::WORK_DIR_IN_USE, name + " of an earlier run does not end", std::to_string(process.pid));
}

[[noreturn]] void exec_child(const std::vector<std::string>& arguments, const std::string& log_path) {
  setsid();  // the terminal's signals are for the command, not for its children
  const int input = ::open("/dev/null", O_RDONLY);
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  dup2(input, 0);
  dup2(log, 1);
  dup2(log, 2);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv("/proc/self/exe", argv.data());
  _exit(127);
}

}  // namespace

Result<LocalCluster> LocalCluster::open(const std::string& work_dir) {
  if (mkdir(work_dir.c_str(), 0700) != 0 && errno != EEXIST)
    return io_error("cannot make the work directory", work_dir);
  if (chdir(work_dir.c_str()) != 0) return io_error("cannot enter the work directory", work_dir);
  LocalCluster cluster;
  cluster.lock_ = ::open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (cluster.lock_ < 0) return io_error("cannot write in the work directory", work_dir);
  if (flock(cluster.lock_, LOCK_EX | LOCK_NB) != 0)
    return Error(ErrorCode::WORK_DIR_IN_USE, "another sluice process holds its lock", work_dir);
  SLUICE_TRY(cluster.end_survivors());
  cluster.children_ = {
      {"coordinator",
       {"sluice", "coordinator", "--data-dir", "coordinator", "--grpc", "unix:coordinator.sock", "--http", "none"}},
      {"agent",
       {"sluice", "agent", "--data-dir", "agent", "--coordinator", "unix:coordinator.sock", "--node-id", "local",
        "--store-listen", "unix", "--token-file", "coordinator/admin.token"}},
  };
  return cluster;
}

LocalCluster::LocalCluster(LocalCluster&& other) noexcept
    : lock_(std::exchange(other.lock_, -1)), children_(std::move(other.children_)) {
  other.children_.clear();
}

LocalCluster::~LocalCluster() {
  stop();
  if (lock_ >= 0) close(lock_);
}

Status LocalCluster::end_survivors() {
  std::ifstream file(kProcesses);
  agents::ProcessId process;
  for (std::string name; file >> name >> process.pid >> process.start_time;) SLUICE_TRY(end_process(name, process));
  return {};
}

Status LocalCluster::end_components() const {
  for (const auto& record : agents::read_all_records("agent/components"))
    SLUICE_TRY(end_process(record.component_id, record.process));
  return {};
}

Status LocalCluster::write_processes() const {
  std::ostringstream text;
  for (const Child& child : children_)
    if (child.pid > 0) text << child.name << ' ' << child.pid << ' ' << agents::process_start_time(child.pid) << '\n';
  return write_whole(kProcesses, text.str(), 0600);
}

// The child begins when its pid is written down: whoever resumes after a kill of this process finds all that run.
Status LocalCluster::spawn(Child& child) {
  int gate[2];
  if (pipe2(gate, O_CLOEXEC) != 0) return io_error("cannot start a process", child.name);
  const pid_t pid = fork();
  if (pid == 0) {
    // However this command ends, its children are asked to end too. The gate tells when it has ended before this line.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    close(gate[1]);
    char go = 0;
    if (read(gate[0], &go, 1) != 1) _exit(127);
    exec_child(child.arguments, child.name + ".log");
  }
  close(gate[0]);
  Status written = pid < 0 ? Status(io_error("cannot start a process", child.name)) : Status();
  if (pid > 0) {
    child.pid = pid;
    written = write_processes();
  }
  if (written.ok() && write(gate[1], "g", 1) != 1) written = io_error("cannot start a process", child.name);
  close(gate[1]);  // without the word the child ends
  return written;
}

Status LocalCluster::start() {
  for (Child& child : children_) SLUICE_TRY(spawn(child));
  return {};
}

Status LocalCluster::tend() {
  for (Child& child : children_) {
    int status = 0;
    if (child.pid <= 0 || waitpid(child.pid, &status, WNOHANG) != child.pid) continue;
    const std::string how = WIFSIGNALED(status) ? "by signal " + std::to_string(WTERMSIG(status))
                                                : "with status " + std::to_string(WEXITSTATUS(status));
    log::warn("migrate", "a process ended and is started again", {{"name", child.name}, {"how", how}});
    child.pid = 0;
    const BootTime now = system_clock().boot_time();
    child.deaths.push_back(now);
    while (now - child.deaths.front() > kDeathWindow) child.deaths.pop_front();
    if (child.deaths.size() > kDeathsMax)
      return Error(ErrorCode::RESTART_BUDGET_EXHAUSTED, "it ended " + how + "; see " + child.name + ".log", child.name);
    SLUICE_TRY(spawn(child));
  }
  return {};
}

void LocalCluster::kill_child(const std::string& name) {
  for (const Child& child : children_)
    if (child.name == name && child.pid > 0) ::kill(child.pid, SIGKILL);
}

void LocalCluster::stop() {
  // The agent first, so that it can still report what its components reached.
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    if (child->pid <= 0) continue;
    kill(child->pid, SIGTERM);
    const BootTime deadline = system_clock().boot_time() + kStopPatience;
    while (waitpid(child->pid, nullptr, WNOHANG) == 0) {
      if (system_clock().boot_time() >= deadline) kill(child->pid, SIGKILL);
      if (system_clock().boot_time() >= deadline + kKillPatience)
        break;  // it hangs in the kernel; --resume looks again
      poll(nullptr, 0, 10);
    }
    child->pid = 0;
  }
}

Result<Secret> LocalCluster::token() const {
  std::ifstream file("coordinator/admin.token");
  std::string token;
  if (!(file >> token)) return Error(ErrorCode::PEER_UNREACHABLE, "the coordinator has not started yet", "coordinator");
  return Secret(std::move(token));
}

}  // namespace sluice::cli
