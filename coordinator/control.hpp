// Control: what the API can ask of the coordinator. Blocking, thread safe, called on gRPC's threads.
#pragma once

#include <string>
#include <vector>

#include "coordinator/api/data_sources.hpp"
#include "coordinator/projects/project_board.hpp"
#include "coordinator/projects/project_commands.hpp"
#include "core/result.hpp"
#include "sluice/admin/v1/admin.pb.h"

namespace sluice::coordinator {

class Control {
 public:
  virtual ~Control() = default;
  virtual DataSources& data_sources() = 0;
  virtual const ProjectBoard& board() const = 0;
  virtual Result<std::string> create_project(admin::v1::CreateProjectRequest request) = 0;  // the new id
  // Returns when the wish is persisted; the board tells when it is fulfilled. NOT_FOUND; INVALID_ARGUMENT; WRONG_STATE
  // with the state that does not allow it; TIMED_OUT after 35 s, and then it may still be carried out: wishes may be
  // repeated.
  virtual Status command(const std::string& id_or_name, ProjectCommand wish) = 0;
  virtual Result<std::vector<admin::v1::Node>> nodes() = 0;
  virtual bool stopping() const = 0;  // streams end
};

}  // namespace sluice::coordinator
