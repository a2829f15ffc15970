// The row that tells how far the copy's window reaches.
#include "agents/components/incr_sync/window_marker.hpp"

#include <gtest/gtest.h>

namespace sluice::agents::incr_sync {
namespace {

TEST(WindowMarker, ComesBackFromItsRow) {
  for (const bool strict : {false, true}) {
    for (const bool seeking : {false, true}) {
      const WindowMarker marker{{"b.000001", 42, "0-1-7"}, strict, seeking};
      const database::CheckpointRow row = marker.to_row(3, 9);
      EXPECT_TRUE(WindowMarker::is(row));
      EXPECT_EQ(row.epoch, 3U);
      EXPECT_EQ(row.seq, 9U);
      const WindowMarker back = WindowMarker::from_row(row);
      EXPECT_EQ(back.end, marker.end);
      EXPECT_EQ(back.strict, strict);
      EXPECT_EQ(back.seeking, seeking);
    }
  }
}

// The words of the row are read by later versions.
TEST(WindowMarker, KeepsItsWords) {
  const database::CheckpointRow row = WindowMarker{{}, true, true}.to_row(1, 1);
  EXPECT_EQ(row.applier, 1'000'000U);
  EXPECT_EQ(row.applied, (std::vector<std::string>{"strict", "seeking"}));
}

TEST(WindowMarker, AnAppliersRowIsNone) { EXPECT_FALSE(WindowMarker::is({0, 1, 1, {}, {"0-1-7"}})); }

}  // namespace
}  // namespace sluice::agents::incr_sync
