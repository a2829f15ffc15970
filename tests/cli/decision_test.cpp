// Which decisions help after which error, and what of them is refused before anybody is asked.
#include "cli/decision.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Decision, WordsDependOnWhatStoppedTheProject) {
  const auto words = [](ErrorCode code, const char* position) { return decision_words(Error(code, "", "", position)); };
  for (const ErrorCode code :
       {ErrorCode::DDL_FAILED, ErrorCode::DDL_STOPPED, ErrorCode::DDL_UNDECIDED, ErrorCode::UNSUPPORTED}) {
    EXPECT_THAT(words(code, "0-1-9#0"), ElementsAre("retry", "skip", "done", "replace"));
    EXPECT_THAT(words(code, ""), IsEmpty());
    EXPECT_THAT(words(code, "0-1-9"), IsEmpty());
  }
  EXPECT_THAT(words(ErrorCode::STATEMENT_IN_LOG, "0-1-9#0"), ElementsAre("skip"));
  EXPECT_THAT(words(ErrorCode::STATEMENT_IN_LOG, "0-1-9"), IsEmpty());
  EXPECT_THAT(words(ErrorCode::ROW_CONFLICT, "0-1-9"), ElementsAre("overwrite", "skip"));
  EXPECT_THAT(words(ErrorCode::ROW_CONFLICT, ""), IsEmpty());
  EXPECT_THAT(words(ErrorCode::ACCESS_DENIED, "0-1-9#0"), IsEmpty());
}

// Whatever is offered is taken.
TEST(Decision, EveryWordThatIsOfferedIsValid) {
  for (const char* position : {"0-1-9#0", "0-1-9"})
    for (const ErrorCode code : {ErrorCode::DDL_FAILED, ErrorCode::ROW_CONFLICT, ErrorCode::STATEMENT_IN_LOG})
      for (const std::string_view word : decision_words(Error(code, "", "", position))) {
        if (code == ErrorCode::ROW_CONFLICT && std::string(position).back() == '0')
          continue;  // no row has such a place
        const Decision decision{position, std::string(word), word == "replace" ? "SELECT 1" : ""};
        EXPECT_TRUE(check_decision(decision).ok()) << word << " at " << position;
        EXPECT_EQ(decide_request("p", decision).decision().position(), position);
      }
}

TEST(Decision, ReachesTheCoordinatorInItsWords) {
  const auto request = decide_request("migrate", {"0-1-9#0", "replace", "ALTER TABLE a.t ADD c int"});
  EXPECT_EQ(request.id(), "migrate");
  EXPECT_EQ(request.decision().decision(), "REPLACE");
  EXPECT_EQ(request.decision().statement(), "ALTER TABLE a.t ADD c int");
}

}  // namespace
}  // namespace sluice::cli
