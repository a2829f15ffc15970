#include "cli/migrate_report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/args.hpp"
#include "cli/decision.hpp"
#include "cli/error_text.hpp"
#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/net/convert.hpp"
#include "core/utc_text.hpp"

namespace sluice::cli {
namespace {

using Json = nlohmann::ordered_json;

Json tables_json(const admin::v1::Project& project) {
  Json tables = Json::array();
  for (const auto& table : project.tables()) {
    tables.push_back(table_json(table));
    if (table.verify().empty()) tables.back()["verify"] = "SKIPPED";
  }
  return tables;
}

// Null for what has no verdict: a dry run moved nothing.
Json status_json(const Outcome& outcome) { return outcome.status.empty() ? Json(nullptr) : Json(outcome.status); }

Json checks_json(const admin::v1::Project& project) {
  Json checks = Json::array();
  for (const auto& check : project.checks())
    checks.push_back(
        {{"name", check.name()}, {"level", check.level()}, {"cause", check.cause()}, {"cure", check.cure()}});
  return checks;
}

std::string headline(const admin::v1::Project& project, const Outcome& outcome) {
  if (outcome.status.empty()) return "no check failed; nothing was changed\n";
  if (project.precheck_only()) return outcome.status + ": nothing was changed\n";
  uint64_t tables = 0, rows = 0, bytes = 0;
  for (const auto& table : project.tables())
    tables += table.state() != "VIEW", rows += table.rows(), bytes += table.bytes();
  return fmt::format("{}: {} tables, {} rows ({:.1f} MiB) copied, {} transactions with {} rows followed\n",
                     outcome.status, tables, rows, static_cast<double>(bytes) / (1 << 20),
                     project.incremental().transactions(), project.incremental().rows());
}

std::vector<Error> all_errors(const admin::v1::Project& project, const Outcome& outcome) {
  std::vector<Error> errors;
  for (const auto& error : project.errors()) errors.push_back(net::from_proto(error));
  errors.insert(errors.end(), outcome.errors.begin(), outcome.errors.end());
  return errors;
}

// How to go on where somebody has to decide, ready to be typed.
std::string decide_lines(const std::vector<Error>& errors) {
  std::string text;
  for (const Error& error : errors) {
    const auto words = decision_words(error);
    if (words.empty()) continue;
    text += fmt::format("  or decide:  the same command and --resume --decide {}={}", error.position(), words.front());
    for (size_t index = 1; index < words.size(); ++index)
      text += fmt::format("{}{}{}", index == 1 ? "  (or " : ", ", words[index],
                          words[index] == "replace" ? " with --statement SQL" : "");
    text += words.size() > 1 ? ")\n" : "\n";
  }
  return text;
}

}  // namespace

Outcome judge(const admin::v1::Project& project, bool interrupted) {
  if (project.status() == "FAILED") return {"FAILED", kExitError};
  if (interrupted || project.status() != "FINISHED") return {"INTERRUPTED", kExitInterrupted};
  if (project.precheck_only()) return {"", kExitDone};
  if (!project.enable_full_verify()) return {"COPIED", kExitDone};
  bool different = project.verification() == "DIFFERENT", unsettled = project.verification() == "UNSETTLED";
  for (const auto& table : project.tables()) {
    different = different || table.verify() == "DIFFERENT";
    unsettled = unsettled || table.verify() == "UNSETTLED";
  }
  if (different) return {"DIFFERENT", kExitDifferent};
  if (unsettled || project.verification() != "EQUAL") return {"UNSETTLED", kExitDifferent};
  return {"VERIFIED", kExitDone};
}

std::vector<std::string> warnings_of(const admin::v1::Project& project) {
  std::vector<std::string> warnings(project.warnings().begin(), project.warnings().end());
  const auto& incremental = project.incremental();
  if (incremental.conflicts_total() == 0) return warnings;
  std::string text = fmt::format(
      "{} rows conflicted with the source's log, {} of them were left as they were on the target and may differ from "
      "the source; the table {}.conflict on the target has them",
      incremental.conflicts_total(), incremental.conflicts_skipped(), project.meta_database());
  if (!incremental.conflicts().empty()) text += ", the latest: " + *incremental.conflicts().rbegin();
  warnings.push_back(std::move(text));
  return warnings;
}

Json table_json(const admin::v1::TableState& table) {
  return {{"source", table.source()},
          {"target", table.target()},
          {"rows", table.rows()},
          {"bytes", table.bytes()},
          {"seconds", table.seconds()},
          {"verify", table.verify()},
          {"differences", table.differences()}};
}

Json incremental_json(const admin::v1::Incremental& incremental) {
  return {{"start", incremental.start()},
          {"end", incremental.end()},
          {"transactions", incremental.transactions()},
          {"rows", incremental.rows()},
          {"ddl", incremental.ddl()},
          {"lag_ms", incremental.lag_ms()},
          {"conflicts", incremental.conflicts_total()},
          {"conflicts_skipped", incremental.conflicts_skipped()}};
}

std::string report_json(const admin::v1::Project& project, const Outcome& outcome) {
  Json errors = Json::array();
  for (const auto& error : project.errors()) errors.push_back(error_json(error));
  for (const Error& error : outcome.errors) errors.push_back(error_json(net::to_proto(error)));
  Json report = {{"version", 1},
                 {"project", project.id()},
                 {"status", status_json(outcome)},
                 {"source", outcome.source},
                 {"target", outcome.target},
                 {"started", outcome.started},
                 {"finished", outcome.finished},
                 {"tables", tables_json(project)},
                 {"incremental", incremental_json(project.incremental())},
                 {"warnings", warnings_of(project)},
                 {"errors", errors}};
  if (project.precheck_only()) report["checks"] = checks_json(project);
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string report_text(const admin::v1::Project& project, const Outcome& outcome) {
  std::string text = headline(project, outcome);
  for (const auto& table : project.tables())
    if (table.verify() == "DIFFERENT" || table.verify() == "UNSETTLED")
      text += fmt::format("  {} {}: {} rows\n", table.verify(), table.source(), table.differences());
  if (outcome.exit_status == kExitDifferent && !project.difference_file().empty())
    text += fmt::format("  differences: {}\n  correction:  {}\n", project.difference_file(), project.correction_file());
  for (const auto& warning : warnings_of(project)) text += "  warning: " + warning + "\n";
  const auto errors = all_errors(project, outcome);
  for (const Error& error : errors) text += "  error " + error_text(error, "\n    ") + "\n";
  if (!project.precheck_only() && (outcome.status == "FAILED" || outcome.status == "INTERRUPTED"))
    text += "  go on with: the same command and --resume\n" + decide_lines(errors);
  return text;
}

Status write_report(const std::string& path, const std::string& text) { return write_whole(path, text); }

std::string utc_now() { return utc_text(system_clock().unix_time_us()) + "Z"; }

}  // namespace sluice::cli
