#include "cli/component_command.hpp"

#include <cstdio>
#include <string_view>

#include "agents/components/checker/checker.hpp"
#include "agents/components/full_import/full_import.hpp"
#include "agents/components/incr_sync/incr_sync.hpp"
#include "agents/components/precheck/precheck.hpp"
#include "agents/components/runtime/component.hpp"
#include "agents/components/store/store.hpp"
#include "agents/components/struct_transfer/struct_transfer.hpp"
#include "cli/args.hpp"

namespace sluice::cli {
namespace {

struct Kind {
  std::string_view name;
  Status (*run)(agents::ComponentContext&);
};

constexpr Kind kKinds[] = {
    {"precheck", agents::run_precheck},
    {"store", agents::run_store},
    {"struct_transfer", agents::run_struct_transfer},
    {"full_import", agents::run_full_import},
    {"incr_sync", agents::run_incr_sync},
    {"checker", agents::run_checker},
};

}  // namespace

int run_component(int argc, char** argv) {
  const std::string_view wanted = argc == 2 ? argv[1] : "";
  for (const Kind& kind : kKinds)
    if (kind.name == wanted) return agents::run_component(kind.run);
  std::fprintf(stderr, "sluice component: started by an agent, with one of these kinds:");
  for (const Kind& kind : kKinds) std::fprintf(stderr, " %.*s", static_cast<int>(kind.name.size()), kind.name.data());
  std::fprintf(stderr, "\n");
  return kExitUsage;
}

}  // namespace sluice::cli
