#include "cli/args.hpp"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "cli/command_line.hpp"
#include "tests/support/temp_dir.hpp"

namespace sluice::cli {
namespace {

std::string scrubbed(std::string argument) {
  std::string name = "sluice";
  char* argv[] = {name.data(), argument.data(), nullptr};
  scrub_argv(2, argv);
  return argument;
}

TEST(ScrubArgv, HidesPasswordsOnly) {
  EXPECT_EQ(scrubbed("mysql://root:secret@host:3306/db"), "mysql://root:******@host:3306/db");
  EXPECT_EQ(scrubbed("mysql://root@host:3306/db"), "mysql://root@host:3306/db");
  EXPECT_EQ(scrubbed("mysql://host:3306/db"), "mysql://host:3306/db");
  EXPECT_EQ(scrubbed("--include"), "--include");
}

TEST(ScrubArgv, HidesPasswordsThatWereNotEncoded) {
  EXPECT_EQ(scrubbed("mysql://root:se@cret@host/db").find("cret"), std::string::npos);
  EXPECT_EQ(scrubbed("mysql://root:se/cret@host/db").find("cret"), std::string::npos);
  EXPECT_EQ(scrubbed("mysql://root:se?cret@host/db").find("cret"), std::string::npos);
}

// Whatever the parser complains about, it does not repeat a password, and argv is clean even then.
TEST(ParseArguments, NeverPrintsAPassword) {
  for (const std::vector<std::string>& more : {std::vector<std::string>{"mysql://u:geheim-1@h", "mysql://u:geheim-2@h"},
                                               std::vector<std::string>{"--nosuch=mysql://u:geheim-1@h"}}) {
    std::vector<std::string> words{"sluice"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    CLI::App app;
    std::string one;
    app.add_option("ONE", one);
    ::testing::internal::CaptureStderr();
    const auto end = parse_arguments(app, static_cast<int>(argv.size()), argv.data());
    const std::string shown = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(end, kExitUsage);
    EXPECT_NE(shown.find("mysql://u:***@h"), std::string::npos) << shown;
    EXPECT_EQ(shown.find("geheim"), std::string::npos) << shown;
    for (const std::string& word : words) EXPECT_EQ(word.find("geheim"), std::string::npos) << word;
  }
}

TEST(ParseArguments, ABareCommandListsItsSubcommands) {
  std::string name = "sluice project";
  char* argv[] = {name.data(), nullptr};
  CLI::App app;
  app.require_subcommand(1);
  app.add_subcommand("describe", "Everything");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(parse_arguments(app, 1, argv), kExitUsage);
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("describe"), std::string::npos);
}

TEST(SecretFile, IsTrimmedNamedAndMayNotBeEmpty) {
  testing::TempDir folder;
  std::ofstream(folder.file("token")) << "abc\n";
  EXPECT_EQ(read_secret_file(folder.file("token"), "password file")->reveal(), "abc");
  std::ofstream(folder.file("empty")) << "\n";
  EXPECT_FALSE(read_secret_file(folder.file("empty"), "password file").ok());
  const auto none = read_secret_file(folder.file("none"), "password file");
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().cause().find("password file"), std::string::npos);
}

// A coordinator that starts makes the token a little later than its clients look for it.
TEST(TokenFile, IsWaitedFor) {
  testing::TempDir folder;
  EXPECT_EQ(wait_for_token(folder.file("token"), std::chrono::seconds(0)).error().code(), ErrorCode::UNAUTHENTICATED);
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    std::ofstream(folder.file("token.new")) << "abc\n";
    std::filesystem::rename(folder.file("token.new"), folder.file("token"));
  });
  const auto token = wait_for_token(folder.file("token"), std::chrono::seconds(20));
  later.join();
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->reveal(), "abc");
}

}  // namespace
}  // namespace sluice::cli
