// ControlGroups: memory limits of component processes by cgroup v2, where the system lets us; where it does not, that
// is logged once and the processes run without. Used by one thread.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::agents {

class ControlGroups {
 public:
  // `base`: the directory of this process's own group.
  explicit ControlGroups(std::string base = own_group());
  const std::string& unavailable() const { return unavailable_; }  // why there are no limits; empty: there are

  // Puts the process into a group of its own with this limit, 0 = none. A process that has not begun to work yet has
  // all its memory counted there.
  void limit(const std::string& name, int64_t pid, uint64_t memory_bytes);
  // Removes the groups in which nothing runs any more.
  void sweep();

  static std::string own_group();  // empty: no unified hierarchy

 private:
  std::string prepare();
  const std::string base_;
  std::string unavailable_;
};

}  // namespace sluice::agents
