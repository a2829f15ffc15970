#include "core/config.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "core/metrics.hpp"
#include "tests/support/temp_dir.hpp"

namespace sluice {
namespace {

class ConfigTest : public ::testing::Test {
 protected:
  std::string file(const std::string& text) {
    std::ofstream(folder_.file("c.yaml")) << text;
    return folder_.file("c.yaml");
  }
  void TearDown() override {
    ::unsetenv("SLUICE_HEARTBEAT_MS");
    ::unsetenv("SLUICE_LABEL");
  }
  testing::TempDir folder_;
  Config config_{{"heartbeat-ms", "label", "region"}};
};

TEST_F(ConfigTest, FlagsWinOverEnvironmentOverFile) {
  ASSERT_TRUE(config_.read_file(file("heartbeat-ms: 100\nregion: west\n")).ok());
  EXPECT_EQ(*config_.integer("heartbeat-ms", 1, 1, 1000), 100);
  ::setenv("SLUICE_HEARTBEAT_MS", "200", 1);
  EXPECT_EQ(*config_.integer("heartbeat-ms", 1, 1, 1000), 200);
  config_.set_flag("heartbeat-ms", {"300"});
  EXPECT_EQ(*config_.integer("heartbeat-ms", 1, 1, 1000), 300);
  EXPECT_EQ(config_.text("region"), "west");
  EXPECT_EQ(config_.text("label", "none"), "none");
}

TEST_F(ConfigTest, ListsComeFromAllPlaces) {
  ASSERT_TRUE(config_.read_file(file("label: {disk: fast, rack: r1}\n")).ok());
  EXPECT_EQ(config_.list("label"), (std::vector<std::string>{"disk=fast", "rack=r1"}));
  ::setenv("SLUICE_LABEL", "a=1,b=2", 1);
  EXPECT_EQ(config_.list("label"), (std::vector<std::string>{"a=1", "b=2"}));
  config_.set_flag("label", {"c=3", "d=4,e=5"});
  EXPECT_EQ(config_.list("label"), (std::vector<std::string>{"c=3", "d=4", "e=5"}));
}

TEST_F(ConfigTest, WrongFilesAndValuesAreNamed) {
  EXPECT_NE(config_.read_file(file("heart-beat: 1\n")).error().cause().find("heart-beat"), std::string::npos);
  EXPECT_FALSE(config_.read_file(file("- a\n")).ok());
  EXPECT_FALSE(config_.read_file(file("region: {a: [1]}\n")).ok());
  EXPECT_FALSE(config_.read_file(file("region: [\n")).ok());
  EXPECT_FALSE(config_.read_file("/nowhere").ok());
  EXPECT_TRUE(config_.read_file(file("")).ok());
  config_.set_flag("heartbeat-ms", {"5x"});
  EXPECT_EQ(config_.integer("heartbeat-ms", 1, 1, 10).error().object(), "heartbeat-ms");
  config_.set_flag("heartbeat-ms", {"11"});
  EXPECT_FALSE(config_.integer("heartbeat-ms", 1, 1, 10).ok());
  config_.set_flag("region", {"maybe"});
  EXPECT_FALSE(config_.flag("region", false).ok());
  config_.set_flag("region", {"Yes"});
  EXPECT_TRUE(*config_.flag("region", false));
}

TEST(Metrics, SameNameAndLabelsAreTheSameMetric) {
  metrics::counter("sluice_test_things_total", "Things", {{"kind", "a"}}).add(2);
  metrics::counter("sluice_test_things_total", "Things", {{"kind", "a"}}).add();
  metrics::gauge("sluice_test_level", "Level").set(1.5);
  const std::string text = metrics::exposition();
  EXPECT_NE(text.find("sluice_test_things_total{kind=\"a\"} 3"), std::string::npos) << text;
  EXPECT_NE(text.find("sluice_test_level 1.5"), std::string::npos);
}

}  // namespace
}  // namespace sluice
