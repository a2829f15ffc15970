// The parts of the bookkeeping that need no server: the applied set's text form and the statements' texts.
#include "sinks/database/bookkeeping.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sluice::database {
namespace {

std::vector<std::string> through(const std::vector<std::string>& ids) {
  auto decoded = decode_applied(encode_applied(ids));
  EXPECT_TRUE(decoded.ok());
  auto back = decoded.ok() ? *decoded : std::vector<std::string>{};
  std::sort(back.begin(), back.end());
  return back;
}

TEST(AppliedSet, Empty) {
  EXPECT_EQ(encode_applied({}), "");
  EXPECT_TRUE(through({}).empty());
}

TEST(AppliedSet, RunsAreShort) {
  std::vector<std::string> ids;
  for (int i = 0; i < 4096; ++i) ids.push_back("0-1-" + std::to_string(1'000'000'000 + i));
  EXPECT_EQ(encode_applied(ids), "0-1-|1000000000,1x4095");
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(through(ids), ids);
}

TEST(AppliedSet, KeepsEveryKindOfId) {
  std::vector<std::string> ids{"0-1-100",
                               "0-1-18446744073709551615",
                               "0-1-99999999999999999999999",
                               "5-2-0",
                               "5-2-007",
                               "3e11fa47-71ca-11e1-9e33-c80aa9429562:23",
                               "bin;log|%.000003:4711",
                               "no number",
                               "42"};
  auto sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(through(ids), sorted);
}

TEST(AppliedSet, RandomSetsSurvive) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> ids;
    for (int i = 0; i < 50; ++i) {
      ids.push_back(std::to_string(random() % 3) + "-" + std::to_string(random() % 2) + "-" +
                    std::to_string(random() % 200));
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    EXPECT_EQ(through(ids), ids);
  }
}

TEST(AppliedSet, DamagedTextIsRefused) {
  for (const char* text : {"0-1-|", "0-1-|1,", "0-1-|1,x3", "0-1-|1,0", "0-1-|1,1x99999999999", "%4", "%zz|1", "a|1,b",
                           "a|18446744073709551615,1"}) {
    EXPECT_FALSE(decode_applied(text).ok()) << text;
  }
}

TEST(CheckpointSql, NamesEpochSeqAndGuard) {
  const Owner owner{"p'1", "p'1.incr_sync", 7, "meta"};
  CheckpointRow next;
  next.applier = 3;
  next.low_watermark = {"binlog.000001", 4, "0-1-1"};
  next.applied = {"0-1-5"};
  const std::string text = checkpoint_sql(owner, next, 41);
  EXPECT_NE(text.find("epoch = 7 AND seq = 41"), std::string::npos) << text;
  EXPECT_NE(text.find("applier = 3"), std::string::npos) << text;
  EXPECT_NE(text.find("ROW_COUNT() = 1"), std::string::npos) << text;
  EXPECT_EQ(text.find("p'1'"), std::string::npos) << "the project must be quoted: " << text;
}

}  // namespace
}  // namespace sluice::database
