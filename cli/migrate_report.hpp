// The report of `sluice migrate` (docs/design.md section 7), made from what the coordinator says of the project.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "sluice/admin/v1/admin.pb.h"

namespace sluice::cli {

struct Outcome {
  // VERIFIED, COPIED, DIFFERENT, UNSETTLED, FAILED, INTERRUPTED; empty: a dry run without a failure
  std::string status;
  int exit_status = 0;
  std::string source, target;     // URLs without passwords
  std::string started, finished;  // UTC, ISO 8601
  std::vector<Error> errors;      // of the command itself, beside the project's
};

// What an ended or interrupted project means for the user.
Outcome judge(const admin::v1::Project& project, bool interrupted);

// The project's warnings, and what its numbers warn of.
std::vector<std::string> warnings_of(const admin::v1::Project& project);

// What report and `--progress json` say of one table, and of following the log. A table that is not verified (yet) has
// an empty "verify".
nlohmann::ordered_json table_json(const admin::v1::TableState& table);
nlohmann::ordered_json incremental_json(const admin::v1::Incremental& incremental);

std::string report_json(const admin::v1::Project& project, const Outcome& outcome);
// A few lines for people.
std::string report_text(const admin::v1::Project& project, const Outcome& outcome);
// Writes by rename, so that a reader sees the old report or the whole new one.
Status write_report(const std::string& path, const std::string& text);

std::string utc_now();  // "2026-11-21T07:23:15Z"

}  // namespace sluice::cli
