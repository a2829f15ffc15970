// ControlGroups: memory limits of component processes by cgroup v2, where the system lets us; where it does not, that
// is logged once and the processes run without. Used by one thread.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::agents {

class ControlGroups {
 public:
  ControlGroups();
  // Puts the process into a group of its own with this limit, 0 = none.
  void limit(const std::string& name, int64_t pid, uint64_t memory_bytes);

 private:
  std::string prepare();  // empty, or why there are no limits
  std::string base_;      // empty: not available
};

}  // namespace sluice::agents
