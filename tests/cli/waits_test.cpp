// Retryable errors as they come and go.
#include "cli/waits.hpp"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using std::chrono::milliseconds;

admin::v1::Project shown(const char* state, const char* code) {
  admin::v1::Project project;
  auto& component = *project.add_components();
  component.set_id("np.incr");
  component.set_kind("incr_sync");
  component.set_state(state);
  component.mutable_error()->set_code(code);
  return project;
}

class WaitsTest : public ::testing::Test {
 protected:
  // "+CODE" for each that began, "-CODE" for each that ended.
  std::string take(const char* state, const char* code, int ms) {
    waits.take(shown(state, code), milliseconds(ms));
    std::string told;
    waits.tell([&](const Wait& wait) { told += "+" + wait.error.code(); },
               [&](const Wait& wait) { told += "-" + wait.error.code(); });
    return told;
  }
  Waits waits;
};

TEST_F(WaitsTest, WhatLastsIsToldOnceAndItsEndToo) {
  EXPECT_EQ(take("RETRYING", "CONNECT_FAILED", 10'000), "");
  EXPECT_TRUE(waits.lasting().empty());
  EXPECT_EQ(take("RETRYING", "CONNECT_FAILED", 11'000), "+CONNECT_FAILED");
  EXPECT_EQ(waits.lasting().size(), 1U);
  EXPECT_EQ(take("PLACED", "", 11'500), "") << "the next try is no cure";
  EXPECT_EQ(take("RETRYING", "CONNECT_FAILED", 12'000), "");
  EXPECT_EQ(take("RETRYING", "XA_PENDING", 12'200), "+XA_PENDING");
  EXPECT_EQ(take("RUNNING", "", 13'000), "-XA_PENDING");
  EXPECT_TRUE(waits.lasting().empty());
}

TEST_F(WaitsTest, AFailureIsNoCure) {
  take("RETRYING", "CONNECT_FAILED", 10'000);
  EXPECT_EQ(take("RETRYING", "CONNECT_FAILED", 12'000), "+CONNECT_FAILED");
  EXPECT_EQ(take("FAILED", "ACCESS_DENIED", 13'000), "");
  EXPECT_TRUE(waits.lasting().empty());
}

TEST_F(WaitsTest, WhatPassesAtOnceIsNotTold) {
  EXPECT_EQ(take("WAITING", "NO_NODE", 10'000), "");
  EXPECT_EQ(take("RUNNING", "", 10'300), "");
}

}  // namespace
}  // namespace sluice::cli
