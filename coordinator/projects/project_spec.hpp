// A project's configuration: what the caller asked for, checked, and what follows from it for each component. Pure
// functions on messages.
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"
#include "sluice/admin/v1/admin.pb.h"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::coordinator {

// INVALID_ARGUMENT or UNSUPPORTED, naming the field (by its JSON path), for everything that cannot be done as asked.
Status validate_project(const admin::v1::CreateProjectRequest& request);

// The configuration with what a resume changes in it, checked as a whole. What is not set stays.
Result<admin::v1::CreateProjectRequest> changed_spec(admin::v1::CreateProjectRequest spec,
                                                     const admin::v1::ResumeProjectRequest& change);

// Which steps the configuration switches on.
struct ProjectSteps {
  bool structure = false, full = false, incremental = false, verify = false;
  bool follow = false;                              // runMode FOLLOW
  bool defer_indexes = false;                       // non-unique ones are made after the copy
  bool log() const { return full || incremental; }  // a Store and an Incr-Sync are needed
  static ProjectSteps of(const admin::v1::CreateProjectRequest& request);
};

// Objects of the project as patterns: transferMapping and our own include, exclude and rename together.
struct ProjectScope {
  std::vector<std::string> includes, excludes, renames;
};
Result<ProjectScope> scope_of(const admin::v1::CreateProjectRequest& request);

// The part of a component's spec that follows from the configuration; ids, endpoints and positions are the caller's.
cluster::v1::ComponentSpec spec_of(const admin::v1::CreateProjectRequest& request, cluster::v1::ComponentKind kind);

// The API's words for them: stop, overwrite, skip; apply, stop, skip.
std::string word_of(cluster::v1::ConflictPolicy policy);
std::string word_of(cluster::v1::DdlPolicy policy);

}  // namespace sluice::coordinator
