#include "core/core_files.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace sluice {

void forbid_core_files() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);  // nor may another process of the user attach
}

}  // namespace sluice
