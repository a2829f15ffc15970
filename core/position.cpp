#include "core/position.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

namespace sluice {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t at = text.find(separator);
    std::string_view part = text.substr(0, at);
    while (!part.empty() && (part.front() == ' ' || part.front() == '\n')) part.remove_prefix(1);
    if (!part.empty()) parts.push_back(part);
    if (at == std::string_view::npos) break;
    text.remove_prefix(at + 1);
  }
  return parts;
}

uint64_t file_number(std::string_view file) {
  const size_t dot = file.rfind('.');
  uint64_t number = 0;
  if (dot != std::string_view::npos) std::from_chars(file.data() + dot + 1, file.data() + file.size(), number);
  return number;
}

struct Interval {
  uint64_t first, last;
};

// "1-5:7" after one more number, merged with its neighbours.
std::string with_number(std::string_view intervals_text, uint64_t number) {
  std::vector<Interval> intervals;
  for (std::string_view part : split(intervals_text, ':')) {
    Interval interval{0, 0};
    const char* end = part.data() + part.size();
    auto [next, error] = std::from_chars(part.data(), end, interval.first);
    interval.last = interval.first;
    if (next != end && *next == '-') std::from_chars(next + 1, end, interval.last);
    intervals.push_back(interval);
  }
  intervals.push_back({number, number});
  std::sort(intervals.begin(), intervals.end(), [](auto& a, auto& b) { return a.first < b.first; });
  std::vector<Interval> merged;
  for (const Interval& interval : intervals) {
    if (!merged.empty() && interval.first <= merged.back().last + 1)
      merged.back().last = std::max(merged.back().last, interval.last);
    else
      merged.push_back(interval);
  }
  std::string text;
  for (const Interval& interval : merged) {
    if (!text.empty()) text += ':';
    text += std::to_string(interval.first);
    if (interval.last != interval.first) text.append("-").append(std::to_string(interval.last));
  }
  return text;
}

bool is_mariadb_gtid(std::string_view gtid) { return gtid.find(':') == std::string_view::npos; }

}  // namespace

std::string Position::to_string() const {
  std::string text;
  if (!file.empty()) text = file + ":" + std::to_string(offset);
  if (!gtids.empty()) text.append(text.empty() ? "" : ";").append(gtids);
  return text;
}

Result<Position> Position::parse(std::string_view text) {
  Position position;
  const size_t semicolon = text.find(';');
  std::string_view head = text.substr(0, semicolon);
  const size_t colon = head.rfind(':');
  const bool has_file = colon != std::string_view::npos && head.substr(0, colon).find('.') != std::string_view::npos;
  if (has_file) {
    std::string_view number = head.substr(colon + 1);
    auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), position.offset);
    if (error != std::errc() || end != number.data() + number.size())
      return Error(ErrorCode::INVALID_ARGUMENT, "position '" + std::string(text) + "' is not file:offset[;gtids]");
    position.file = head.substr(0, colon);
    if (semicolon != std::string_view::npos) position.gtids = text.substr(semicolon + 1);
  } else {
    position.gtids = text;
  }
  return position;
}

std::strong_ordering compare_in_log(const Position& a, const Position& b) {
  if (a.file.empty() || b.file.empty())
    return a.file.empty() == b.file.empty() ? std::strong_ordering::equal
           : a.file.empty()                 ? std::strong_ordering::less
                                            : std::strong_ordering::greater;
  if (auto order = file_number(a.file) <=> file_number(b.file); order != 0) return order;
  return a.offset <=> b.offset;
}

std::string gtids_after(std::string_view gtids, std::string_view gtid) {
  if (gtid.empty()) return std::string(gtids);
  std::string out;
  bool placed = false;
  const auto add = [&out](std::string_view part) { out.append(out.empty() ? "" : ",").append(part); };
  if (is_mariadb_gtid(gtid)) {
    const std::string_view domain = gtid.substr(0, gtid.find('-') + 1);
    for (std::string_view part : split(gtids, ',')) {
      const bool same = part.starts_with(domain);
      if (same && placed) continue;
      placed = placed || same;
      add(same ? gtid : part);
    }
    if (!placed) add(gtid);
    return out;
  }
  const size_t colon = gtid.rfind(':');
  const std::string_view uuid = gtid.substr(0, colon);
  uint64_t number = 0;
  std::from_chars(gtid.data() + colon + 1, gtid.data() + gtid.size(), number);
  for (std::string_view part : split(gtids, ',')) {
    const bool same = part.size() > uuid.size() && part.starts_with(uuid) && part[uuid.size()] == ':' &&
                      part.substr(uuid.size() + 1).find_first_not_of("0123456789-:") == std::string_view::npos;
    placed = placed || same;
    add(same ? std::string(uuid) + ":" + with_number(part.substr(uuid.size() + 1), number) : std::string(part));
  }
  if (!placed) add(gtid);
  return out;
}

}  // namespace sluice
