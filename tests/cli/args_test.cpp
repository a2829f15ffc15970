#include "cli/args.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

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

TEST(TokenFile, IsTrimmedAndMayNotBeEmpty) {
  testing::TempDir folder;
  std::ofstream(folder.file("token")) << "abc\n";
  EXPECT_EQ(read_token_file(folder.file("token"))->reveal(), "abc");
  std::ofstream(folder.file("empty")) << "\n";
  EXPECT_EQ(read_token_file(folder.file("empty")).error().code(), ErrorCode::UNAUTHENTICATED);
  EXPECT_FALSE(read_token_file(folder.file("none")).ok());
}

}  // namespace
}  // namespace sluice::cli
