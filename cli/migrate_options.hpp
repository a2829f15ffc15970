// The command line of `sluice migrate` (docs/design.md section 7), as data. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/decision.hpp"
#include "core/endpoint.hpp"
#include "core/result.hpp"
#include "core/table_mapping.hpp"

namespace sluice::cli {

enum class ProgressStyle : uint8_t { kAuto, kBar, kPlain, kJson, kNone };

// What a project is asked to do. The work directory keeps it; --resume takes from there what is not given again.
struct ProjectOptions {
  std::vector<std::string> includes, excludes, renames;  // complete: what the URLs' databases mean is in them
  bool schema = true, full = true, incr = true, verify = true;
  std::string speed = "normal";
  uint64_t memory_bytes = 512ULL << 20;  // of each component process
  uint32_t throttle_rps = 0;
  bool allow_not_empty = false, truncate_target = false;
  std::vector<std::string> skip_checks;
  std::string on_conflict = "stop", on_ddl = "apply";
  std::string meta_database = "sluice";

  std::string steps() const;  // "schema,full,incr,verify"
  bool operator==(const ProjectOptions&) const = default;
};

struct MigrateOptions : ProjectOptions {
  Endpoint source, target;
  bool follow = false, resume = false, dry_run = false, cleanup = false;
  ProgressStyle progress = ProgressStyle::kAuto;
  std::optional<Decision> decision;  // on what stopped the project, before it is resumed
  std::string report;                // path; empty: none
  std::string work_dir = "sluice-work";
  std::set<std::string> given;  // names of the options on the command line, without dashes
};

struct ParsedMigrate {
  std::optional<MigrateOptions> options;  // none: `exit_status` and what was printed say why
  int exit_status = 0;
};

// Reads argv (argv[0] is "migrate") and the environment's SLUICE_SOURCE_PASSWORD and SLUICE_TARGET_PASSWORD. Passwords
// in URLs are overwritten in argv. Usage errors and --help are printed here.
ParsedMigrate parse_migrate(int argc, char** argv);

// For --resume and --cleanup: what was not given becomes the project's. INVALID_ARGUMENT names an option that was
// given, differs, and cannot change.
Status adopt_project(const ProjectOptions& kept, MigrateOptions& o);

// Schema, full, incr and verify out of a list with commas.
Status read_steps(const std::string& text, ProjectOptions& o);

// "512M", "2G", "1048576".
Result<uint64_t> parse_size(const std::string& text);

}  // namespace sluice::cli
