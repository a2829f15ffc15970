// What projects want of the cluster and what they see of it. Plain values, passed whole (level-triggered): the receiver
// replaces what it had.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::coordinator {

struct WantedComponent {
  cluster::v1::ComponentSpec spec;        // without epoch
  cluster::v1::ComponentDesired desired;  // without revision
  std::string region;                     // preferred
};

// Everything that a project wants to run. `attempt` grows with each start and resume: a component that ended in an
// earlier attempt is placed again, with a new restart budget.
struct WantedProject {
  std::string project_id;
  uint64_t attempt = 0;
  bool over = false;  // released: nothing of it will run again, and its folders on the nodes are of no use
  std::vector<WantedComponent> components;
};

struct ComponentView {
  std::string component_id;
  cluster::v1::ComponentKind kind = cluster::v1::COMPONENT_KIND_UNSPECIFIED;
  uint64_t epoch = 0;
  uint64_t attempt = 0;                                        // in which this epoch was placed
  std::string node;                                            // where it is placed; empty: nowhere now
  std::string region;                                          // of the node
  std::string host;                                            // of the node
  uint32_t restarts = 0;                                       // counted against the budget
  std::shared_ptr<const cluster::v1::ComponentStatus> status;  // of this epoch; null until it has reported
  std::optional<Error> failed;                                 // it will not be placed again in this attempt
  std::optional<Error> waiting;                                // why it has no place yet

  cluster::v1::ComponentState state() const {
    return status ? status->state() : cluster::v1::COMPONENT_STATE_UNSPECIFIED;
  }
  bool ended() const {
    return failed || state() == cluster::v1::FINISHED || state() == cluster::v1::STOPPED ||
           state() == cluster::v1::FAILED;
  }
};
using ComponentViews = std::map<std::string, ComponentView>;  // by component id

}  // namespace sluice::coordinator
