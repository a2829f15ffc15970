// ComponentMetrics: what the component processes of this node measure, for the agent's /metrics. Thread safe: the
// Supervisor's thread writes, the HTTP server's threads read.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents {

class ComponentMetrics {
 public:
  // Replaces the component's samples by those of this status. Another epoch than before counts as a restart.
  void take(const cluster::v1::ComponentSpec& spec, const cluster::v1::ComponentStatus& status);
  void remove(const std::string& component_id);
  // In the text format of Prometheus; each sample with the labels project, component and kind.
  std::string exposition() const;

 private:
  struct Entry {
    std::string labels;  // rendered
    uint64_t epoch = 0, restarts = 0, resident_bytes = 0;
    google::protobuf::RepeatedPtrField<cluster::v1::Metric> samples;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by component id
};

}  // namespace sluice::agents
