// LogRelay: warnings and errors of this process on their way to another one's log. Bounded and held to a rate; what is
// left out is counted and told with the next line. Thread safe; never blocks.
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"

namespace sluice::log {

class LogRelay {
 public:
  struct Line {
    Level level = Level::kWarn;
    std::string text;
    uint64_t dropped = 0;  // lines left out before this one
  };
  static constexpr size_t kLinesMax = 20;       // that wait, and that may come at once
  static constexpr double kLinesPerSecond = 2;  // in the long run
  static constexpr size_t kLineBytesMax = 2048;

  explicit LogRelay(Clock& clock) : clock_(clock), refilled_(clock.boot_time()) {}
  void offer(Level level, std::string text);
  std::vector<Line> take();

 private:
  Clock& clock_;
  std::mutex mutex_;
  double tokens_ = kLinesMax;
  BootTime refilled_;
  uint64_t dropped_ = 0;
  std::deque<Line> lines_;
};

}  // namespace sluice::log
