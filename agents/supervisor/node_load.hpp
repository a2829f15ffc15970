// NodeLoad: capacity and measured load of this machine, from /proc and the data directory's file system. Used by one
// thread.
#pragma once

#include <cstdint>
#include <string>

#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents {

class NodeLoad {
 public:
  explicit NodeLoad(std::string data_dir) : data_dir_(std::move(data_dir)) {}
  void describe(cluster::v1::Register& message) const;  // cpus, memory_bytes, disk_bytes
  void sample(cluster::v1::Heartbeat& message);         // cpu since the sample before

 private:
  const std::string data_dir_;
  uint64_t busy_before_ = 0, total_before_ = 0;
};

}  // namespace sluice::agents
