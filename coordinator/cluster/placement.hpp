// Where a component goes: a pure choice among the nodes that are there.
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"

namespace sluice::coordinator {

struct PlacementLimits {
  double cpu_max = 0.85;                      // above: taken only when no other node can; 0: not looked at
  double memory_max = 0.85, disk_max = 0.90;  // above: no new components; 0: not looked at
};

struct NodeCandidate {
  std::string id, region;
  double cpu = 0, memory = 0, disk = 0;  // 0..1
  double components_per_cpu = 0;
  bool has_store = false;  // of the same project
  int zone_mates = 0;      // components of the same project in its zone
};

struct PlacementWish {
  std::string region;  // preferred; empty: any
  bool apart_from_store = false;
};

// In this order: in the region, not busy, with few components, apart from the Store where wished, in a zone that the
// project does not use yet, by id. NO_NODE, retryable, when none can take it.
Result<std::string> choose_node(const std::vector<NodeCandidate>& nodes, const PlacementWish& wish,
                                const PlacementLimits& limits);

}  // namespace sluice::coordinator
