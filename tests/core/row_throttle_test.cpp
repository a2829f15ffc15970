#include "core/row_throttle.hpp"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;

TEST(RowThrottle, LetsTheRatePassOnAverage) {
  testing::ManualClock clock;
  RowThrottle throttle(20ms, clock);
  throttle.set_rate(1000);
  uint64_t passed = 0;
  for (int i = 0; i < 1000; ++i) {  // ten seconds
    if (throttle.try_take(150)) passed += 150;
    clock.advance(10ms);
  }
  EXPECT_NEAR(static_cast<double>(passed), 10'000, 200);
}

TEST(RowThrottle, ADebtIsPaidAtTheRateOfTheMoment) {
  testing::ManualClock clock;
  RowThrottle throttle(1s, clock);
  throttle.set_rate(10);
  EXPECT_TRUE(throttle.open());
  throttle.take(1000);
  clock.advance(1s);
  EXPECT_FALSE(throttle.open()) << "990 rows are owed";
  EXPECT_FALSE(throttle.try_take(1));
  throttle.set_rate(990);
  clock.advance(999ms);
  EXPECT_FALSE(throttle.open());
  clock.advance(2ms);
  EXPECT_TRUE(throttle.open());
}

TEST(RowThrottle, SavesNoMoreThanItsTime) {
  testing::ManualClock clock;
  RowThrottle throttle(1s, clock);
  throttle.set_rate(100);
  clock.advance(1h);
  throttle.take(101);
  EXPECT_FALSE(throttle.open());
  clock.advance(11ms);
  EXPECT_TRUE(throttle.open());
}

TEST(RowThrottle, WithoutALimitEverythingPasses) {
  testing::ManualClock clock;
  RowThrottle throttle(0ms, clock);
  EXPECT_FALSE(throttle.limited());
  EXPECT_TRUE(throttle.try_take(1'000'000));
  throttle.set_rate(1);
  EXPECT_TRUE(throttle.try_take(1'000'000)) << "what passed before is not owed";
  EXPECT_FALSE(throttle.open());
  throttle.set_rate(0);
  throttle.set_rate(1);
  EXPECT_TRUE(throttle.open()) << "a limit that was lifted is forgotten";
}

}  // namespace
}  // namespace sluice
