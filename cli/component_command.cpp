#include "cli/component_command.hpp"

#include <cstdio>
#include <string_view>

#include "agents/component_kind.hpp"
#include "agents/components/runtime/component.hpp"
#include "cli/args.hpp"

namespace sluice::cli {
namespace {

struct Kind {
  std::string_view name;
  Status (*run)(agents::ComponentContext&);
};

constexpr Kind kKinds[] = {
    {"", nullptr},
};

}  // namespace

int run_component(int argc, char** argv) {
  const std::string_view wanted = argc == 2 ? argv[1] : "";
  for (const Kind& kind : kKinds)
    if (kind.name == wanted && kind.run != nullptr) return agents::run_component(kind.run);
  std::fprintf(stderr, "sluice component: started by an agent, with one of these kinds:");
  for (const Kind& kind : kKinds) std::fprintf(stderr, " %.*s", static_cast<int>(kind.name.size()), kind.name.data());
  std::fprintf(stderr, "\n");
  return kExitUsage;
}

}  // namespace sluice::cli
