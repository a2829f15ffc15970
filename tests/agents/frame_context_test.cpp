// Status and desired state of the component frame.
#include "agents/components/runtime/frame_context.hpp"

#include <gtest/gtest.h>

#include <map>

#include "core/metrics.hpp"

namespace sluice::agents {
namespace {

using namespace std::chrono_literals;
using cluster::v1::ComponentStatus;

cluster::v1::ComponentBoot boot() {
  cluster::v1::ComponentBoot boot;
  boot.mutable_spec()->set_component_id("c");
  boot.mutable_spec()->set_epoch(3);
  boot.mutable_desired()->set_revision(5);
  boot.set_lease_deadline_boot_ns((system_clock().boot_time() + 1min).count());
  return boot;
}

cluster::v1::ComponentDesired desired(uint64_t revision, const std::string& store = {}) {
  cluster::v1::ComponentDesired desired;
  desired.set_revision(revision);
  desired.set_store_address(store);
  return desired;
}

TEST(FrameContext, FirstStatusIsWholeAndCarriesTheIdentity) {
  FrameContext context(boot());
  const auto status = context.next_status(true, 0ms);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->component_id(), "c");
  EXPECT_EQ(status->epoch(), 3u);
  EXPECT_EQ(status->state(), cluster::v1::STARTING);
  EXPECT_GT(status->resident_bytes(), 0u);
}

TEST(FrameContext, CarriesWhatTheProcessMeasures) {
  FrameContext context(boot());
  metrics::gauge("sluice_test_bytes", "Of this test", {{"stage", "first"}}).set(17);
  metrics::counter("sluice_test_total", "Of this test").add(2);
  std::map<std::string, double> found;
  const auto status = context.next_status(true, 0ms);
  for (const auto& metric : status->metrics()) {
    found[metric.name()] = metric.value();
    EXPECT_EQ(metric.counter(), metric.name() == "sluice_test_total") << metric.name();
  }
  EXPECT_EQ(found["sluice_test_bytes"], 17);
  EXPECT_EQ(found["sluice_test_total"], 2);
  for (int i = 0; i < 1000; ++i) metrics::gauge("sluice_test_many", "Of this test", {{"n", std::to_string(i)}}).set(i);
  EXPECT_EQ(context.next_status(true, 0ms)->metrics_size(), 256) << "bounded";
}

TEST(FrameContext, TellsOnlyTablesThatChanged) {
  FrameContext context(boot());
  auto set = [&](const char* table, uint64_t rows) {
    context.update([&](ComponentStatus& status) {
      auto& entry = *status.add_tables();
      entry.set_source(table);
      entry.set_rows(rows);
    });
  };
  set("a", 1);
  set("b", 1);
  EXPECT_EQ(context.next_status(true, 0ms)->tables_size(), 2);
  set("b", 2);
  const auto second = context.next_status(false, 1s);
  ASSERT_TRUE(second.has_value());
  ASSERT_EQ(second->tables_size(), 1);
  EXPECT_EQ(second->tables(0).rows(), 2u);
  EXPECT_EQ(context.next_status(true, 0ms)->tables_size(), 2);  // after a reconnect
}

TEST(FrameContext, NewStateGoesAtOnceOtherChangesAreHeldBack) {
  FrameContext context(boot());
  context.next_status(true, 0ms);
  context.update([](ComponentStatus& status) { status.set_rows(1); });
  EXPECT_FALSE(context.next_status(false, 0ms).has_value());
  EXPECT_FALSE(context.nothing_to_send());
  context.update([](ComponentStatus& status) { status.set_state(cluster::v1::RUNNING); });
  const auto status = context.next_status(false, 0ms);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->rows(), 1u);
  EXPECT_TRUE(context.nothing_to_send());
}

TEST(FrameContext, QuietComponentsGiveASignOfLifeWithTheOldSampleTime) {
  FrameContext context(boot());
  const auto first = context.next_status(true, 0ms);
  const auto second = context.next_status(false, 5s);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->sampled_at_us(), first->sampled_at_us());
}

TEST(FrameContext, DesiredStateOnlyMovesForward) {
  FrameContext context(boot());
  int calls = 0;
  context.on_desired([&](const auto&) { ++calls; });
  context.accept_desired(desired(7, "new"));
  context.accept_desired(desired(6, "old"));
  context.accept_desired(desired(7, "again"));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(context.desired().store_address(), "new");
  EXPECT_EQ(context.wait_desired(5, 0ms).revision(), 7u);
}

TEST(FrameContext, LocalStopStaysAndWakesWaiters) {
  FrameContext context(boot());
  context.stop_locally();
  EXPECT_TRUE(context.wait_desired(5, 0ms).stop());
  const uint64_t stopped = context.desired().revision();
  EXPECT_GT(stopped, 5u);
  context.accept_desired(desired(6, "x"));  // does not take the stop back, and is not missed
  EXPECT_TRUE(context.desired().stop());
  EXPECT_GT(context.desired().revision(), stopped);
  EXPECT_EQ(context.desired().store_address(), "x");
}

}  // namespace
}  // namespace sluice::agents
