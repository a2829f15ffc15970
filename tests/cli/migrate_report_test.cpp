// The verdict, the texts and the JSON of `sluice migrate` at its end.
#include "cli/migrate_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

void add_table(admin::v1::Project& project, const char* name, const char* state, const char* verify) {
  auto& table = *project.add_tables();
  table.set_source(name);
  table.set_target(name);
  table.set_state(state);
  table.set_verify(verify);
  table.set_rows(std::string(state) == "VIEW" ? 0 : 5);
}

admin::v1::Project finished(const char* verification) {
  admin::v1::Project project;
  project.set_status("FINISHED");
  project.set_enable_full_verify(true);
  project.set_verification(verification);
  add_table(project, "a.t", "COPIED", verification);
  return project;
}

TEST(MigrateReport, ExitStatusesAreThoseThatScriptsRelyOn) {
  EXPECT_EQ(judge(finished("EQUAL"), false).exit_status, 0);
  EXPECT_EQ(judge(finished("EQUAL"), false).status, "VERIFIED");
  admin::v1::Project copied = finished("");
  copied.set_enable_full_verify(false);
  EXPECT_EQ(judge(copied, false).status, "COPIED");
  EXPECT_EQ(judge(finished("DIFFERENT"), false).exit_status, 3);
  EXPECT_EQ(judge(finished("UNSETTLED"), false).exit_status, 3);
  EXPECT_EQ(judge(finished("EQUAL"), true).exit_status, 130);
  admin::v1::Project failed;
  failed.set_status("FAILED");
  EXPECT_EQ(judge(failed, false).exit_status, 4);
}

// Asked for and without an answer is not EQUAL.
TEST(MigrateReport, AVerificationWithoutAnAnswerIsUnsettled) {
  EXPECT_EQ(judge(finished(""), false).status, "UNSETTLED");
  EXPECT_EQ(judge(finished("RUNNING"), false).status, "UNSETTLED");
  admin::v1::Project project = finished("EQUAL");
  add_table(project, "a.u", "COPIED", "DIFFERENT");
  EXPECT_EQ(judge(project, false).status, "DIFFERENT");
}

// The project says whether verification was asked for, not the command that leads it now.
TEST(MigrateReport, ADryRunHasNoVerdict) {
  admin::v1::Project project;
  project.set_status("FINISHED");
  project.set_precheck_only(true);
  project.set_enable_full_verify(true);
  auto& check = *project.add_checks();
  check.set_name("LOG_BIN");
  check.set_level("PASSED");
  const Outcome outcome = judge(project, false);
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_THAT(report_json(project, outcome), HasSubstr("\"status\": null"));
  EXPECT_THAT(report_json(project, outcome), HasSubstr("\"name\": \"LOG_BIN\""));
  EXPECT_THAT(report_text(project, outcome), HasSubstr("nothing was changed"));
}

TEST(MigrateReport, ConflictsAreAWarningWithTheirNumbers) {
  admin::v1::Project project = finished("EQUAL");
  EXPECT_THAT(report_text(project, {"VERIFIED", 0}), Not(HasSubstr("conflict")));
  project.mutable_incremental()->set_conflicts_total(7);
  project.mutable_incremental()->set_conflicts_skipped(3);
  project.mutable_incremental()->add_conflicts("a.t id=5");
  const std::string text = report_text(project, {"VERIFIED", 0});
  EXPECT_THAT(text, HasSubstr("warning: 7 rows conflicted with the source's log, 3 of them were left"));
  EXPECT_THAT(text, HasSubstr("a.t id=5"));
  EXPECT_THAT(report_json(project, {"VERIFIED", 0}), HasSubstr("\"conflicts_skipped\": 3"));
}

TEST(MigrateReport, ViewsAreNotCountedAsTables) {
  admin::v1::Project project = finished("EQUAL");
  add_table(project, "a.v", "VIEW", "");
  EXPECT_THAT(report_text(project, {"VERIFIED", 0}), HasSubstr("VERIFIED: 1 tables, 5 rows"));
}

TEST(MigrateReport, AFailureNamesCodeActionAndHowToGoOn) {
  admin::v1::Project project;
  project.set_status("FAILED");
  auto& error = *project.add_errors();
  error.set_code("DDL_STOPPED");
  error.set_position("0-1-9#0");
  error.set_cause("ALTER TABLE a.t ADD c int");
  const std::string text = report_text(project, judge(project, false));
  EXPECT_THAT(
      text,
      HasSubstr("  error DDL_STOPPED at 0-1-9#0: " + std::string(error_info(ErrorCode::DDL_STOPPED).message) +
                ": ALTER TABLE a.t ADD c int\n    " + std::string(error_info(ErrorCode::DDL_STOPPED).action) + "\n"));
  EXPECT_THAT(text, HasSubstr("  go on with: the same command and --resume\n"
                              "  or decide:  the same command and --resume --decide 0-1-9#0=retry  (or skip, done, "
                              "replace with --statement SQL)\n"));
  EXPECT_THAT(report_text(finished("EQUAL"), {"VERIFIED", 0}), Not(HasSubstr("--resume")));
  EXPECT_THAT(report_json(project, judge(project, false)), HasSubstr("\"code\": \"DDL_STOPPED\""));
  error.set_code("ACCESS_DENIED");
  EXPECT_THAT(report_text(project, judge(project, false)), Not(HasSubstr("--decide")));
}

// A table that was not verified says so at the end, and has no verdict yet while the display shows it.
TEST(MigrateReport, ATableIsShownAlikeEverywhere) {
  admin::v1::Project project = finished("");
  const auto json = nlohmann::json::parse(report_json(project, {"COPIED", 0}));
  nlohmann::ordered_json shown = table_json(project.tables(0));
  EXPECT_EQ(json["tables"][0]["verify"], "SKIPPED");
  EXPECT_EQ(shown["verify"], "");
  shown["verify"] = "SKIPPED";
  EXPECT_EQ(json["tables"][0], shown);
  EXPECT_EQ(json["incremental"], incremental_json(project.incremental()));
}

}  // namespace
}  // namespace sluice::cli
