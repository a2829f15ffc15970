#include "tests/support/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/support/temp_dir.hpp"

extern char** environ;

namespace sluice::testing {
namespace {

int open_output(const std::string& path) {
  return path.empty() ? open("/dev/null", O_WRONLY | O_CLOEXEC)
                      : open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string entry = *e;
    if (extra.count(entry.substr(0, entry.find('='))) == 0) all.push_back(entry);
  }
  for (const auto& [name, value] : extra) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const auto& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

}  // namespace

ChildProcess ChildProcess::start(const ProcessOptions& options) {
  std::vector<std::string> argv_texts{options.program};
  argv_texts.insert(argv_texts.end(), options.args.begin(), options.args.end());
  const auto env_texts = merged_environment(options.env);
  const auto argv = pointers(argv_texts);
  const auto env = pointers(env_texts);
  const int out = open_output(options.stdout_file);
  const int err = options.stderr_file == options.stdout_file ? dup(out) : open_output(options.stderr_file);
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int report[2];  // closed by a successful exec, else carries errno
  if (out < 0 || err < 0 || in < 0 || pipe2(report, O_CLOEXEC) != 0) {
    throw std::runtime_error("cannot open the files of " + options.program);
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(126);
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    int error = 0;
    if (!options.cwd.empty() && chdir(options.cwd.c_str()) != 0) error = errno;
    if (error == 0) {
      execvpe(options.program.c_str(), argv.data(), env.data());
      error = errno;
    }
    if (write(report[1], &error, sizeof(error)) < 0) _exit(125);
    _exit(127);
  }
  close(in);
  close(out);
  close(err);
  close(report[1]);
  int error = 0;
  const bool failed = pid < 0 || read(report[0], &error, sizeof(error)) > 0;
  close(report[0]);
  ChildProcess child;
  child.pid_ = pid;
  if (failed) throw std::runtime_error("cannot start " + options.program + ": " + std::strerror(error));
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(std::exchange(other.status_, std::nullopt)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    kill9();
    pid_ = std::exchange(other.pid_, -1);
    status_ = std::exchange(other.status_, std::nullopt);
  }
  return *this;
}

ChildProcess::~ChildProcess() { kill9(); }

bool ChildProcess::running() {
  if (pid_ <= 0 || status_) return false;
  int raw = 0;
  if (waitpid(pid_, &raw, WNOHANG) == pid_) status_ = status_of(raw);
  return !status_;
}

void ChildProcess::signal(int number) const {
  if (pid_ > 0 && !status_) kill(pid_, number);
}

std::optional<int> ChildProcess::wait(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (running() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return status_;
}

void ChildProcess::kill9() {
  if (!running()) return;
  kill(pid_, SIGKILL);
  int raw = 0;
  while (waitpid(pid_, &raw, 0) < 0 && errno == EINTR) {
  }
  status_ = status_of(raw);
}

int ChildProcess::terminate(std::chrono::milliseconds patience) {
  signal(SIGTERM);
  if (!wait(patience)) kill9();
  return status_.value_or(-1);
}

void send_signal(pid_t pid, int number) {
  if (pid <= 1) throw std::runtime_error("a signal for process " + std::to_string(pid));
  kill(pid, number);
}

int run_program(const std::string& program, const std::vector<std::string>& args, std::string* output,
                std::chrono::milliseconds patience) {
  TempDir folder("sluice-run");
  const std::string file = folder.file("output");
  auto child = ChildProcess::start({.program = program, .args = args, .stdout_file = file, .stderr_file = file});
  const auto status = child.wait(patience);
  if (output != nullptr) *output = read_text_file(file);
  if (!status) throw std::runtime_error(program + " did not end in time");
  return *status;
}

std::string command_line(pid_t pid) {
  std::string text = read_text_file("/proc/" + std::to_string(pid) + "/cmdline");
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

std::vector<pid_t> processes_in(const std::string& folder) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string cwd = std::filesystem::read_symlink(entry.path() / "cwd", error);
    if (error || (cwd != folder && cwd.rfind(folder + "/", 0) != 0)) continue;
    const pid_t pid = std::stoi(name);
    if (!command_line(pid).empty()) found.push_back(pid);  // else a zombie
  }
  return found;
}

std::string read_text_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace sluice::testing
