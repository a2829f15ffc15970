// Letters of ASCII without regard to case, whatever the locale: for keywords and other words that are ASCII. Names of
// tables and columns may have other letters: engines/mysql/dialect/fold.hpp.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace sluice::ascii {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

inline std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace sluice::ascii
