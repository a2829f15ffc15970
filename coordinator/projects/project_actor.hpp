// Spawns the actor of one project. The coordinator owns it and ends it; it ends by itself when the project is deleted.
// It runs on CAF's threads, one message at a time, and never blocks: metadata answer by message.
#pragma once

#include "coordinator/actors.hpp"
#include "coordinator/metadata/sealer.hpp"
#include "coordinator/projects/project_board.hpp"
#include "core/clock.hpp"
#include "sluice/coordinator/v1/state.pb.h"

namespace caf {
class actor_system;
}

namespace sluice::coordinator {

// What all project actors share. Lives longer than they do.
struct ProjectWorld {
  metadata_actor metadata;
  cm_actor cm;
  std::shared_ptr<ProjectBoard> board;
  std::shared_ptr<const Sealer> sealer;
  Clock* clock = nullptr;
  std::string region;  // preferred for what no data source's region decides
};

struct StoredRecord {
  v1::StoredProject project;
  uint64_t mod_revision = 0;
  v1::StoredTables tables;
};

project_actor spawn_project(caf::actor_system& system, ProjectWorld world, StoredRecord record);

}  // namespace sluice::coordinator
