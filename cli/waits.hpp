// Waits: retryable errors of a project's components, as they come and go. What passes within a second is not shown.
// Used by one thread.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "sluice/admin/v1/admin.pb.h"

namespace sluice::cli {

struct Wait {
  std::string kind;  // of the component
  cluster::v1::Error error;
  BootTime since{};
};

class Waits {
 public:
  void take(const admin::v1::Project& project, BootTime now);
  std::vector<Wait> lasting() const;

  // Calls `began` for each that lasts and was not told yet, `ended` for each that was told and is cured.
  using Tell = std::function<void(const Wait&)>;
  void tell(const Tell& began, const Tell& ended);

 private:
  BootTime now_{};
  std::map<std::string, Wait> waits_, told_;  // by component id
  std::set<std::string> cured_;
};

std::string wait_text(const Wait& wait);  // "incr_sync waits: " and the error

}  // namespace sluice::cli
