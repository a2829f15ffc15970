// Writing characters as UTF-8.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// A character of the basic plane.
inline void append_utf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    text.push_back(static_cast<char>(0xc0 | code >> 6));
    text.push_back(static_cast<char>(0x80 | (code & 63)));
  } else {
    text.push_back(static_cast<char>(0xe0 | code >> 12));
    text.push_back(static_cast<char>(0x80 | (code >> 6 & 63)));
    text.push_back(static_cast<char>(0x80 | (code & 63)));
  }
}

}  // namespace sluice
