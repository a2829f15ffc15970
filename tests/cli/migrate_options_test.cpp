// The command line of `sluice migrate`: what scripts rely on.
#include "cli/migrate_options.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

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
      Arguments({"--include", "a.*", "--include", "b.*", "mysql://a@s", "mysql://b@t", "--skip-check", "LOG_BIN"})
          .parse();
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
      {"mysql://a@s", "mysql://b@t", "--throttle-rps", "4294967295"},
      {"mysql://a@s", "mysql://b@t", "--memory", "1000000G"},
      {"mysql://a@s", "mysql://b@t", "--memory", "1M"},
      {"mysql://a@s", "mysql://b@t", "--skip-check", "NOSUCH"},
      {"mysql://a@s", "mysql://b@t", "--dry-run", "--resume"},
      {"mysql://a@s", "mysql://b@t", "--cleanup", "--resume"},
      {"mysql://a@s", "mysql://b@t", "--decide", "0-1-9#0=skip"},
      {"mysql://a@s", "mysql://b@t", "--resume", "--decide", "skip"},
      {"mysql://a@s", "mysql://b@t", "--resume", "--decide", "0-1-9#0=overwrite"},
      {"mysql://a@s", "mysql://b@t", "--resume", "--decide", "0-1-9=retry"},
      {"mysql://a@s", "mysql://b@t", "--resume", "--decide", "0-1-9#0=replace"},
      {"mysql://a@s", "mysql://b@t", "--resume", "--decide", "0-1-9#0=skip", "--statement", "SELECT 1"},
      {"mysql://a@s", "mysql://b@t", "--resume", "--statement", "SELECT 1"},
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

// What a project has, as its work directory gives it to --resume.
ProjectOptions project() {
  ProjectOptions kept;
  kept.includes = {"a.*"};
  kept.verify = false;
  kept.meta_database = "meta";
  kept.on_conflict = "skip";
  kept.skip_checks = {"LOG_BIN"};
  kept.throttle_rps = 100;
  return kept;
}

TEST(MigrateOptions, ResumeTakesFromTheProjectWhatIsNotGiven) {
  auto parsed = Arguments({"mysql://a@s", "mysql://b@t", "--resume"}).parse();
  ASSERT_TRUE(parsed.options);
  ASSERT_TRUE(adopt_project(project(), *parsed.options).ok());
  EXPECT_EQ(static_cast<const ProjectOptions&>(*parsed.options), project());
}

TEST(MigrateOptions, ResumeChangesWhatCanChange) {
  auto parsed = Arguments({"mysql://a@s",
                           "mysql://b@t",
                           "--resume",
                           "--include",
                           "a.*",
                           "--steps",
                           "full,schema,incr",
                           "--on-conflict",
                           "overwrite",
                           "--on-ddl",
                           "skip",
                           "--throttle-rps",
                           "0",
                           "--memory",
                           "64M",
                           "--speed",
                           "fast",
                           "--skip-check",
                           "XA_PENDING",
                           "--truncate-target"})
                    .parse();
  ASSERT_TRUE(parsed.options);
  Status adopted = adopt_project(project(), *parsed.options);
  ASSERT_TRUE(adopted.ok()) << adopted.error().to_string();
  ProjectOptions wanted = project();
  wanted.on_conflict = "overwrite";
  wanted.on_ddl = "skip";
  wanted.throttle_rps = 0;
  wanted.memory_bytes = 64 << 20;
  wanted.speed = "fast";
  wanted.skip_checks = {"XA_PENDING"};
  wanted.truncate_target = true;
  EXPECT_EQ(static_cast<const ProjectOptions&>(*parsed.options), wanted);
}

TEST(MigrateOptions, ResumeRefusesWhatCannotChangeByName) {
  const std::vector<std::vector<std::string>> bad = {{"--include", "b.*"},
                                                     {"--exclude", "a.t"},
                                                     {"--rename", "a.*=b.*"},
                                                     {"--steps", "schema,full,incr,verify"},
                                                     {"--meta-database", "other"}};
  for (const auto& words : bad) {
    std::vector<std::string> all{"mysql://a@s", "mysql://b@t", "--resume"};
    all.insert(all.end(), words.begin(), words.end());
    auto parsed = Arguments(all).parse();
    ASSERT_TRUE(parsed.options) << words[0];
    Status adopted = adopt_project(project(), *parsed.options);
    ASSERT_FALSE(adopted.ok()) << words[0];
    EXPECT_EQ(adopted.error().code(), ErrorCode::INVALID_ARGUMENT);
    EXPECT_EQ(adopted.error().cause().find(words[0] + " cannot change: the project has "), 0U)
        << adopted.error().cause();
  }
  ProjectOptions copy = project();
  copy.incr = false;
  auto parsed = Arguments({"mysql://a@s", "mysql://b@t", "--resume", "--follow"}).parse();
  ASSERT_TRUE(parsed.options);
  EXPECT_FALSE(adopt_project(copy, *parsed.options).ok()) << "it does not follow";
}

TEST(MigrateOptions, ResumeTakesADecision) {
  auto parsed = Arguments({"mysql://a@s", "mysql://b@t", "--resume", "--decide", "0-1-9#0=replace", "--statement",
                           "ALTER TABLE a.t ADD c int DEFAULT '='"})
                    .parse();
  ASSERT_TRUE(parsed.options);
  ASSERT_TRUE(parsed.options->decision);
  EXPECT_EQ(parsed.options->decision->position, "0-1-9#0");
  EXPECT_EQ(parsed.options->decision->word, "replace");
  EXPECT_EQ(parsed.options->decision->statement, "ALTER TABLE a.t ADD c int DEFAULT '='");
  parsed = Arguments({"mysql://a@s", "mysql://b@t", "--resume", "--decide", "mysql-bin=1.000003:77=overwrite"}).parse();
  ASSERT_TRUE(parsed.options);
  EXPECT_EQ(parsed.options->decision->position, "mysql-bin=1.000003:77");
}

TEST(MigrateOptions, HelpNamesEveryCheckAndWhatUrlsTake) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(Arguments({"--help"}).parse().exit_status, 0);
  const std::string help = ::testing::internal::GetCapturedStdout();
  for (const char* words : {"TARGET_EMPTY", "LOG_BIN", "ssl-key", "verify-identity", "PATTERN", "16M to 4096G", "130"})
    EXPECT_NE(help.find(words), std::string::npos) << words << " is missing in\n" << help;
  EXPECT_EQ(help.find("TEXT"), std::string::npos) << help;
}

}  // namespace
}  // namespace sluice::cli
