// What an agent writes down about a component process, in the component's directory, so that the agent's next life
// knows which epochs were started and which processes may still run. A record is written by rename, before the process
// gets its boot message: an epoch without a record was never worked on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agents/supervisor/launcher.hpp"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents {

struct ProcessRecord {
  std::string component_id;
  cluster::v1::ComponentKind kind = cluster::v1::COMPONENT_KIND_UNSPECIFIED;
  uint64_t epoch = 0;
  ProcessId process;
};

// The file `process`: one "key value" per line. Its second line is "pid N" for operators and drills.
Status write_record(const std::string& directory, const ProcessRecord& record);
std::optional<ProcessRecord> read_record(const std::string& directory);
std::vector<ProcessRecord> read_all_records(const std::string& components_directory);

// The file `final`: the last status of the newest epoch, once it has ended.
Status write_final(const std::string& directory, const cluster::v1::ComponentStatus& status);
std::optional<cluster::v1::ComponentStatus> read_final(const std::string& directory, uint64_t epoch);

// Ids of all components that have a folder here, running or not; a bounded number.
std::vector<std::string> component_folders(const std::string& components_directory);

// Ids become names of directories: letters, digits, '.', '_', '-', not beginning with '.'.
bool is_valid_component_id(const std::string& id);

}  // namespace sluice::agents
