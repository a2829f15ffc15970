// What a work directory of `sluice migrate` remembers: the file project.json, which is also the mark by which a
// directory is known as ours.
#pragma once

#include <string>

#include "cli/migrate_options.hpp"
#include "core/result.hpp"

namespace sluice::cli {

struct WorkProject {
  std::string id;              // empty: the coordinator has not made it yet
  std::string source, target;  // URLs without passwords
  std::string started;         // UTC, ISO 8601
  ProjectOptions options;
};

// NOT_FOUND when the directory has none; CORRUPTED when the file does not hold one.
Result<WorkProject> read_work_project(const std::string& directory);
Status write_work_project(const std::string& directory, const WorkProject& project);

// INVALID_ARGUMENT unless a new project may begin here: the directory is missing or empty.
Status check_unused(const std::string& directory);

// INVALID_ARGUMENT when SOURCE or TARGET are not the project's.
Status check_same_servers(const WorkProject& project, const MigrateOptions& o);

// Removes what `sluice migrate` makes in a work directory, the mark last, and the directory when nothing else is in it:
// true. Nothing of it may run.
Result<bool> remove_work_dir(const std::string& directory);

}  // namespace sluice::cli
