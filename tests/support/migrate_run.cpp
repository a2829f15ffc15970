#include "tests/support/migrate_run.hpp"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;

std::string tail(const std::string& text, size_t bytes) {
  return text.size() <= bytes ? text : "…" + text.substr(text.size() - bytes);
}

}  // namespace

MigrateRun::MigrateRun(MariaDbServer& source, MariaDbServer& target)
    : source_(source),
      target_(target),
      source_port_(source.port()),
      target_port_(target.port()),
      source_password_(MariaDbServer::kPassword),
      target_password_(MariaDbServer::kPassword) {}

MigrateRun::~MigrateRun() {
  process_.kill9();
  for (int round = 0; round < 100 && !processes().empty(); ++round) {
    for (const pid_t pid : processes()) send_signal(pid, SIGKILL);
    wait_until([this] { return processes().empty(); }, std::chrono::milliseconds(50));
  }
}

void MigrateRun::set_password(const std::string& side, const std::string& password) {
  (side == "SOURCE" ? source_password_ : target_password_) = password;
}

void MigrateRun::start(const std::vector<std::string>& args) {
  const char* program = std::getenv("SLUICE_BIN");
  if (program == nullptr) throw std::runtime_error("SLUICE_BIN is not set: run the test by ctest");
  const auto url = [](const std::string& user, const std::string& host, uint16_t port) {
    return "mysql://" + user + "@" + host + ":" + std::to_string(port);
  };
  ProcessOptions options;
  options.program = program;
  options.args = {"migrate",
                  url(source_user_, source_host_, source_port_),
                  url(MariaDbServer::kUser, "127.0.0.1", target_port_),
                  "--work-dir",
                  work_dir(),
                  "--progress",
                  "json",
                  "--report",
                  folder_.file("report.json")};
  options.args.insert(options.args.end(), args.begin(), args.end());
  if (!wrapper_.empty()) {
    options.args.insert(options.args.begin(), program);
    options.args.insert(options.args.begin(), wrapper_.begin() + 1, wrapper_.end());
    options.program = wrapper_.front();
  }
  options.env = {{"SLUICE_SOURCE_PASSWORD", source_password_}, {"SLUICE_TARGET_PASSWORD", target_password_}};
  options.stdout_file = options.stderr_file = folder_.file("output");
  process_ = ChildProcess::start(options);
}

std::vector<pid_t> MigrateRun::processes() const {
  std::vector<pid_t> found = processes_in(work_dir());
  found.erase(std::remove(found.begin(), found.end(), process_.pid()), found.end());
  return found;
}

pid_t MigrateRun::find(const std::string& words) const {
  for (const pid_t pid : processes())
    if (command_line(pid).find(words) != std::string::npos) return pid;
  return -1;
}

std::string MigrateRun::report() const { return read_text_file(folder_.file("report.json")); }

std::string MigrateRun::report_value(const std::string& key) const {
  const auto json = nlohmann::json::parse(report(), nullptr, false);
  if (json.is_discarded() || !json.contains(key)) return "";
  return json[key].is_string() ? json[key].get<std::string>() : json[key].dump();
}

std::string MigrateRun::output() const { return read_text_file(folder_.file("output")); }

std::string MigrateRun::component_logs() const {
  std::string text;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(work_dir(), error))
    if (entry.path().filename() == "component.log") text += read_text_file(entry.path());
  return text;
}

std::string MigrateRun::logs() const {
  std::ostringstream text;
  text << "---- output\n" << tail(output(), 3000);
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(work_dir(), error)) {
    if (!entry.is_regular_file(error) || entry.path().extension() != ".log") continue;
    if (entry.path().string().find("/log/") != std::string::npos || entry.path().filename() == "LOG") continue;
    text << "\n---- " << entry.path().lexically_relative(work_dir()).string() << "\n"
         << tail(read_text_file(entry.path()), 4000);
  }
  return text.str();
}

}  // namespace sluice::testing
