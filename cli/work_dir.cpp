#include "cli/work_dir.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr char kFile[] = "/project.json";
constexpr char kLock[] = "lock";  // all that is there when a start died before its first note
// In the order in which they are removed.
constexpr const char* kOurs[] = {
    "agent",         "coordinator", "agent.log",        "coordinator.log", "coordinator.sock",
    "processes.new", "processes",   "project.json.new", "project.json",    kLock};

Json to_json(const WorkProject& project) {
  const ProjectOptions& o = project.options;
  return {{"project", project.id},
          {"source", project.source},
          {"target", project.target},
          {"started", project.started},
          {"include", o.includes},
          {"exclude", o.excludes},
          {"rename", o.renames},
          {"steps", o.steps()},
          {"speed", o.speed},
          {"memory", o.memory_bytes},
          {"throttle_rps", o.throttle_rps},
          {"allow_not_empty", o.allow_not_empty},
          {"truncate_target", o.truncate_target},
          {"skip_check", o.skip_checks},
          {"on_conflict", o.on_conflict},
          {"on_ddl", o.on_ddl},
          {"meta_database", o.meta_database}};
}

// Throws what the JSON library throws at a missing key or a value of another type.
WorkProject from_json(const Json& json) {
  WorkProject project;
  json.at("project").get_to(project.id);
  json.at("source").get_to(project.source);
  json.at("target").get_to(project.target);
  json.at("started").get_to(project.started);
  ProjectOptions& o = project.options;
  json.at("include").get_to(o.includes);
  json.at("exclude").get_to(o.excludes);
  json.at("rename").get_to(o.renames);
  json.at("speed").get_to(o.speed);
  json.at("memory").get_to(o.memory_bytes);
  json.at("throttle_rps").get_to(o.throttle_rps);
  json.at("allow_not_empty").get_to(o.allow_not_empty);
  json.at("truncate_target").get_to(o.truncate_target);
  json.at("skip_check").get_to(o.skip_checks);
  json.at("on_conflict").get_to(o.on_conflict);
  json.at("on_ddl").get_to(o.on_ddl);
  json.at("meta_database").get_to(o.meta_database);
  return project;
}

}  // namespace

Result<WorkProject> read_work_project(const std::string& directory) {
  const std::string path = directory + kFile;
  SLUICE_ASSIGN(const std::string text, read_whole(path));
  const auto corrupted = [&path](const std::string& why) {
    return Error(ErrorCode::CORRUPTED, "the work directory's note of its project cannot be read: " + why, path);
  };
  try {
    const Json json = Json::parse(text);
    WorkProject project = from_json(json);
    if (Status steps = read_steps(json.at("steps").get<std::string>(), project.options); !steps.ok())
      return corrupted(steps.error().cause());
    return project;
  } catch (const Json::exception& error) {
    return corrupted(error.what());
  }
}

Status write_work_project(const std::string& directory, const WorkProject& project) {
  return write_whole(directory + kFile, to_json(project).dump(2, ' ', false, Json::error_handler_t::replace) + "\n",
                     0600);
}

Status check_unused(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().filename() == kLock) continue;
    if (fs::exists(directory + kFile, error))
      return Error(ErrorCode::INVALID_ARGUMENT,
                   "the work directory " + directory + " holds a project: --resume continues it, --cleanup removes it");
    return Error(ErrorCode::INVALID_ARGUMENT, "the work directory " + directory +
                                                  " is not empty and holds no project of sluice: choose another one "
                                                  "with --work-dir");
  }
  return {};
}

Status check_same_servers(const WorkProject& project, const MigrateOptions& o) {
  if (project.source == o.source.display() && project.target == o.target.display()) return {};
  return Error(ErrorCode::INVALID_ARGUMENT, "the work directory's project is from " + project.source + " to " +
                                                project.target + ": SOURCE and TARGET must be the same");
}

Result<bool> remove_work_dir(const std::string& directory) {
  std::error_code error;
  for (const char* name : kOurs) {
    fs::remove_all(fs::path(directory) / name, error);
    if (error) return Error(ErrorCode::IO_ERROR, error.message(), directory + "/" + name);
  }
  return fs::remove(directory, error) && !error;  // fails, and shall, when something else is in it
}

}  // namespace sluice::cli
