// The command line of `sluice migrate` (docs/design.md section 7), as data. Plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/endpoint.hpp"
#include "core/result.hpp"
#include "core/table_mapping.hpp"

namespace sluice::cli {

enum class ProgressStyle : uint8_t { kAuto, kBar, kPlain, kJson, kNone };

struct MigrateOptions {
  Endpoint source, target;
  std::vector<std::string> includes, excludes, renames;  // complete: what the URLs' databases mean is in them
  bool schema = true, full = true, incr = true, verify = true;
  bool follow = false, resume = false, dry_run = false, cleanup = false;
  ProgressStyle progress = ProgressStyle::kAuto;
  std::string report;  // path; empty: none
  std::string work_dir = "sluice-work";
  std::string speed = "normal";
  uint64_t memory_bytes = 512ULL << 20;  // of each component process
  uint32_t throttle_rps = 0;
  bool allow_not_empty = false, truncate_target = false;
  std::vector<std::string> skip_checks;
  std::string on_conflict = "stop", on_ddl = "apply";
  std::string meta_database = "sluice";
};

struct ParsedMigrate {
  std::optional<MigrateOptions> options;  // none: `exit_status` and what was printed say why
  int exit_status = 0;
};

// Reads argv (argv[0] is "migrate") and the environment's SLUICE_SOURCE_PASSWORD and SLUICE_TARGET_PASSWORD. Passwords
// in URLs are overwritten in argv. Usage errors and --help are printed here.
ParsedMigrate parse_migrate(int argc, char** argv);

// "512M", "2G", "1048576".
Result<uint64_t> parse_size(const std::string& text);

}  // namespace sluice::cli
