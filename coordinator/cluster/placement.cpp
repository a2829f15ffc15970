#include "coordinator/cluster/placement.hpp"

#include <optional>
#include <tuple>

namespace sluice::coordinator {
namespace {

bool above(double load, double limit) { return limit > 0 && load > limit; }

}  // namespace

Result<std::string> choose_node(const std::vector<NodeCandidate>& nodes, const PlacementWish& wish,
                                const PlacementLimits& limits) {
  using Score = std::tuple<bool, bool, double, bool, int, std::string>;
  std::optional<Score> best;
  int full = 0;
  for (const auto& node : nodes) {
    if (above(node.memory, limits.memory_max) || above(node.disk, limits.disk_max)) {
      ++full;
      continue;
    }
    Score score(!wish.region.empty() && node.region != wish.region, above(node.cpu, limits.cpu_max),
                node.components_per_cpu, wish.apart_from_store && node.has_store, node.zone_mates, node.id);
    if (!best || score < *best) best = std::move(score);
  }
  if (best) return std::get<5>(*best);
  return Error(ErrorCode::NO_NODE, full > 0 ? std::to_string(full) + " agents are above their memory or disk threshold"
                                            : std::string("no agent is registered"));
}

}  // namespace sluice::coordinator
