// The command line of `sluice migrate`: what scripts rely on.
#include "cli/migrate_options.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "cli/migrate_report.hpp"

namespace sluice::cli {
namespace {

class Arguments {
 public:
  explicit Arguments(std::vector<std::string> words) : words_(std::move(words)) {
    words_.insert(words_.begin(), "migrate");
    for (std::string& word : words_) pointers_.push_back(word.data());
    pointers_.push_back(nullptr);
  }
  ParsedMigrate parse() { return parse_migrate(static_cast<int>(words_.size()), pointers_.data()); }
  const std::string& word(size_t index) const { return words_[index]; }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

TEST(MigrateOptions, DefaultsAreThoseOfTheDesign) {
  auto parsed = Arguments({"mysql://a@s", "mysql://b@t"}).parse();
  ASSERT_TRUE(parsed.options);
  const MigrateOptions& o = *parsed.options;
  EXPECT_TRUE(o.schema && o.full && o.incr && o.verify && !o.follow && !o.resume);
  EXPECT_EQ(o.work_dir, "sluice-work");
  EXPECT_EQ(o.memory_bytes, 512ULL << 20);
  EXPECT_EQ(o.on_conflict, "stop");
  EXPECT_EQ(o.on_ddl, "apply");
  EXPECT_EQ(o.meta_database, "sluice");
}

TEST(MigrateOptions, DatabasesInUrlsBecomeScopeAndRename) {
  auto parsed = Arguments({"mysql://a@s/shop", "mysql://b@t/store"}).parse();
  ASSERT_TRUE(parsed.options);
  EXPECT_EQ(parsed.options->includes, std::vector<std::string>{"`shop`.*"});
  EXPECT_EQ(parsed.options->renames, std::vector<std::string>{"`shop`.*=`store`.*"});
}

TEST(MigrateOptions, RepeatedOptionsAccumulateAndStopBeforePositionals) {
  auto parsed =
      Arguments({"--include", "a.*", "--include", "b.*", "mysql://a@s", "mysql://b@t", "--skip-check", "X"}).parse();
  ASSERT_TRUE(parsed.options);
  EXPECT_EQ(parsed.options->includes, (std::vector<std::string>{"a.*", "b.*"}));
}

TEST(MigrateOptions, PasswordsLeaveTheArguments) {
  Arguments arguments({"mysql://a:secret%2F1@s:3306/x", "mysql://b@t"});
  setenv("SLUICE_TARGET_PASSWORD", "other", 1);
  auto parsed = arguments.parse();
  ASSERT_TRUE(parsed.options);
  EXPECT_EQ(parsed.options->source.password.reveal(), "secret/1");
  EXPECT_EQ(parsed.options->target.password.reveal(), "other");
  EXPECT_EQ(arguments.word(1), "mysql://a:**********@s:3306/x");
  EXPECT_EQ(getenv("SLUICE_TARGET_PASSWORD"), nullptr);
}

TEST(MigrateOptions, UsageErrorsEndWithTwo) {
  const std::vector<std::vector<std::string>> bad = {
      {},
      {"mysql://a@s"},
      {"shop", "mysql://b@t"},
      {"mysql://a@s", "mysql://b@t/x"},
      {"mysql://a@s", "mysql://b@t", "--steps", "ful"},
      {"mysql://a@s", "mysql://b@t", "--steps", "schema,full", "--follow"},
      {"mysql://a@s", "mysql://b@t", "--once", "--follow"},
      {"mysql://a@s", "mysql://b@t", "--memory", "lots"},
      {"mysql://a@s", "mysql://b@t", "--progress", "fancy"},
      {"mysql://a@s", "mysql://b@t", "--include", "shop"},
      {"mysql://a@s", "mysql://b@t", "--no-such-option"},
      {"mysql://a@s", "mysql://b@t", "--allow-not-empty", "--truncate-target"},
  };
  for (const auto& words : bad) {
    auto parsed = Arguments(words).parse();
    EXPECT_FALSE(parsed.options) << ::testing::PrintToString(words);
    EXPECT_EQ(parsed.exit_status, 2) << ::testing::PrintToString(words);
  }
}

TEST(MigrateOptions, Sizes) {
  EXPECT_EQ(*parse_size("512M"), 512ULL << 20);
  EXPECT_EQ(*parse_size("2GiB"), 2ULL << 30);
  EXPECT_EQ(*parse_size("77"), 77U);
  for (const char* text : {"", "M", "-1M", "1X", "1MM"}) EXPECT_FALSE(parse_size(text).ok()) << text;
}

TEST(MigrateReport, JudgesTheEnd) {
  admin::v1::Project project;
  project.set_status("FINISHED");
  project.set_verification("EQUAL");
  project.add_tables()->set_verify("EQUAL");
  EXPECT_EQ(judge(project, false, true).status, "VERIFIED");
  EXPECT_EQ(judge(project, false, false).status, "COPIED");
  project.add_tables()->set_verify("UNSETTLED");
  EXPECT_EQ(judge(project, false, true).exit_status, 3);
  project.add_tables()->set_verify("DIFFERENT");
  EXPECT_EQ(judge(project, false, true).status, "DIFFERENT");
  project.set_status("SUSPEND");
  EXPECT_EQ(judge(project, true, true).exit_status, 130);
  project.set_status("FAILED");
  EXPECT_EQ(judge(project, true, true).exit_status, 4);
  project.clear_tables();
  project.set_status("FINISHED");
  project.clear_verification();
  EXPECT_EQ(judge(project, false, true).exit_status, 3) << "asked for, but no result: never VERIFIED";
}

}  // namespace
}  // namespace sluice::cli
