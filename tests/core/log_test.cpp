#include "core/log.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/log_relay.hpp"
#include "tests/support/manual_clock.hpp"

namespace sluice::log {
namespace {

using namespace std::chrono_literals;

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    char pattern[] = "/tmp/sluice-log-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~LogTest() override {
    set_tap({});
    init({.level = Level::kWarn});
    std::filesystem::remove_all(folder_);
  }
  std::string folder_;
};

// component.log of a component that writes for months.
TEST_F(LogTest, RotatesBySizeAndKeepsAFewFiles) {
  constexpr size_t kBytes = 4096;
  constexpr int kFiles = 3;
  init({.file = folder_ + "/component.log", .file_bytes_max = kBytes, .files_max = kFiles});
  const std::string text(100, 'x');
  for (int i = 0; i < 1000; ++i) info("test", text, {{"line", i}});
  size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    ++files;
    EXPECT_LE(file.file_size(), kBytes) << file.path();
  }
  EXPECT_EQ(files, kFiles + 1u) << "the present one and the older ones";
  std::ifstream in(folder_ + "/component.log");
  const std::string present((std::istreambuf_iterator<char>(in)), {});
  EXPECT_NE(present.find("line=999"), std::string::npos) << "the newest lines are in the file without a number";
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/component.1.log"));
}

TEST_F(LogTest, TheTapSeesWarningsAndErrors) {
  init({.file = folder_ + "/component.log"});
  std::vector<std::string> seen;
  set_tap([&](Level level, const std::string& line) { seen.push_back((level == Level::kError ? "E " : "W ") + line); });
  info("test", "nothing");
  warn("test", "slow", {{"table", "a.t"}});
  error("test", "broken");
  set_tap({});
  error("test", "unseen");
  EXPECT_EQ(seen, (std::vector<std::string>{"W test: slow table=a.t", "E test: broken"}));
}

TEST(LogRelay, KeepsToItsRateAndTellsWhatItLeftOut) {
  testing::ManualClock clock;
  LogRelay relay(clock);
  for (size_t i = 0; i < LogRelay::kLinesMax + 30; ++i) relay.offer(Level::kWarn, "line " + std::to_string(i));
  auto lines = relay.take();
  ASSERT_EQ(lines.size(), LogRelay::kLinesMax);
  EXPECT_EQ(lines.back().dropped, 0u);
  relay.offer(Level::kError, "too soon");
  EXPECT_TRUE(relay.take().empty());
  clock.advance(1s);
  relay.offer(Level::kError, std::string(1 << 20, 'x'));
  lines = relay.take();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].dropped, 31u);
  EXPECT_EQ(lines[0].level, Level::kError);
  EXPECT_EQ(lines[0].text.size(), LogRelay::kLineBytesMax);
  // Nobody takes them: they do not grow.
  for (int minute = 0; minute < 100; ++minute) {
    clock.advance(60s);
    for (int i = 0; i < 100; ++i) relay.offer(Level::kWarn, "line");
  }
  EXPECT_EQ(relay.take().size(), LogRelay::kLinesMax);
}

}  // namespace
}  // namespace sluice::log
