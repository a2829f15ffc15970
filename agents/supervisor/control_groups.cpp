#include "agents/supervisor/control_groups.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/log.hpp"

namespace sluice::agents {
namespace {

constexpr const char* kPrefix = "component-";

std::string read_text(const std::string& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

bool write_text(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.flush();
  return out.good();
}

bool has_memory(const std::string& group, const char* file) {
  std::istringstream words(read_text(group + "/" + file));
  for (std::string word; words >> word;)
    if (word == "memory") return true;
  return false;
}

}  // namespace

std::string ControlGroups::own_group() {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("0::")) return "/sys/fs/cgroup" + line.substr(3);
  return {};
}

ControlGroups::ControlGroups(std::string base) : base_(std::move(base)), unavailable_(prepare()) {
  if (unavailable_.empty())
    sweep();  // what an earlier agent left
  else
    log::info("agent.limits", "components run without memory limits of the system", {{"cause", unavailable_}});
}

std::string ControlGroups::prepare() {
  if (base_.empty() || !has_memory(base_, "cgroup.controllers")) return "no memory controller of cgroup v2";
  if (::access((base_ + "/cgroup.subtree_control").c_str(), W_OK) != 0)
    return "the control group is not delegated to this user";
  if (has_memory(base_, "cgroup.subtree_control")) return {};
  // A group with limited children may hold no process itself: possible only when this agent is its only one.
  std::istringstream members(read_text(base_ + "/cgroup.procs"));
  for (int64_t pid = 0; members >> pid;)
    if (pid != ::getpid()) return "the control group has other processes";
  const std::string own = base_ + "/agent";
  if (::mkdir(own.c_str(), 0755) != 0 && errno != EEXIST) return "cannot make a control group";
  if (!write_text(own + "/cgroup.procs", std::to_string(::getpid())) ||
      !write_text(base_ + "/cgroup.subtree_control", "+memory"))
    return "the memory controller cannot be handed down";
  return {};
}

void ControlGroups::limit(const std::string& name, int64_t pid, uint64_t memory_bytes) {
  if (!unavailable_.empty() || memory_bytes == 0) return;
  const std::string group = base_ + "/" + kPrefix + name;
  if ((::mkdir(group.c_str(), 0755) == 0 || errno == EEXIST) &&
      write_text(group + "/memory.max", std::to_string(memory_bytes)) &&
      write_text(group + "/cgroup.procs", std::to_string(pid)))
    return;
  log::warn("agent.limits", "cannot limit a component's memory", {{"component", name}});
}

// The kernel refuses to remove a group with processes in it.
void ControlGroups::sweep() {
  if (!unavailable_.empty()) return;
  std::error_code failure;
  for (std::filesystem::directory_iterator group(base_, failure), end; !failure && group != end;
       group.increment(failure))
    if (group->path().filename().string().starts_with(kPrefix)) ::rmdir(group->path().c_str());
}

}  // namespace sluice::agents
