#include "core/log_relay.hpp"

#include <algorithm>

namespace sluice::log {

void LogRelay::offer(Level level, std::string text) {
  std::lock_guard lock(mutex_);
  const BootTime now = clock_.boot_time();
  const double passed = std::chrono::duration<double>(now - refilled_).count();
  tokens_ = std::min<double>(kLinesMax, tokens_ + passed * kLinesPerSecond);
  refilled_ = now;
  if (tokens_ < 1 || lines_.size() >= kLinesMax) {
    ++dropped_;
    return;
  }
  tokens_ -= 1;
  if (text.size() > kLineBytesMax) text.resize(kLineBytesMax);
  lines_.push_back({level, std::move(text), std::exchange(dropped_, 0)});
}

std::vector<LogRelay::Line> LogRelay::take() {
  std::lock_guard lock(mutex_);
  std::vector<Line> lines(std::make_move_iterator(lines_.begin()), std::make_move_iterator(lines_.end()));
  lines_.clear();
  return lines;
}

}  // namespace sluice::log
