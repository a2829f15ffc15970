#include "cli/migrate_cleanup.hpp"

#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "cli/args.hpp"
#include "cli/local_cluster.hpp"
#include "cli/work_dir.hpp"
#include "core/clock.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/sql_text.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

// What was removed on the target, for the user.
Result<std::string> clean_target(const WorkProject& project, const Endpoint& target) {
  if (project.id.empty()) return std::string("no project was made");
  const std::string& meta = project.options.meta_database;
  database::Owner owner;
  owner.project = project.id;
  owner.component = project.id + ".cleanup";
  owner.epoch = static_cast<uint64_t>(system_clock().unix_time_us());  // above that of a cleanup that was cut off
  owner.meta_database = meta;
  SLUICE_TRY(database::release_project(target, owner, *Lease::unlimited()));
  SLUICE_ASSIGN(auto connection, mysql::Connection::open(target, {.purpose = mysql::Purpose::kCatalog}));
  SLUICE_ASSIGN(auto left, connection->query("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = " +
                                             mysql::quoted(meta)));
  if (left.rows.empty()) return "the database " + meta + " on the target is removed";
  return "the rows of " + project.id + " in the database " + meta +
         " on the target are removed; the database stays: something else is in it";
}

Status clean(MigrateOptions& o, const std::string& directory) {
  SLUICE_ASSIGN(const WorkProject project, read_work_project(directory));
  SLUICE_TRY(check_same_servers(project, o));
  SLUICE_TRY(adopt_project(project.options, o));
  SLUICE_ASSIGN(LocalCluster cluster, LocalCluster::open(directory));  // refuses a running one, ends survivors
  SLUICE_TRY(cluster.end_components());
  SLUICE_ASSIGN(const std::string done, clean_target(project, o.target));
  std::cout << done << "\n";
  if (chdir("/") != 0) return Error(ErrorCode::IO_ERROR, "cannot leave the work directory", directory);
  SLUICE_ASSIGN(const bool gone, remove_work_dir(directory));
  std::cout << "the work directory " << o.work_dir
            << (gone ? " is removed\n" : " stays: it holds files that are not sluice's\n");
  return {};
}

}  // namespace

int clean_up(MigrateOptions& o) {
  const std::string directory = fs::absolute(o.work_dir).string();
  std::error_code error;
  if (!fs::exists(directory, error)) {
    std::cout << "there is no work directory " << o.work_dir << ": nothing to remove\n";
    return kExitDone;
  }
  Status status = clean(o, directory);
  if (!status.ok() && status.error().code() == ErrorCode::NOT_FOUND)
    status = Error(ErrorCode::INVALID_ARGUMENT, "the directory holds no project of sluice", o.work_dir);
  return status.ok() ? kExitDone : fail("sluice migrate", status.error());
}

}  // namespace sluice::cli
