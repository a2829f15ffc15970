// Character sets as the log names them: by number. Plain data and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/result.hpp"

namespace sluice::mysql {

struct Collation {
  std::string charset, name;
};

// The server's collations by number. Starts with the common ones, which have had the same numbers on all servers; the
// reader replaces them by the server's own list.
class Collations {
 public:
  Collations();
  void set(uint32_t id, std::string charset, std::string name) { by_id_[id] = {std::move(charset), std::move(name)}; }
  const Collation* find(uint32_t id) const;

 private:
  std::unordered_map<uint32_t, Collation> by_id_;
};

unsigned bytes_per_character(std::string_view charset);  // at most
// UNSUPPORTED when the character set, or a character, cannot be converted.
Result<std::string> to_utf8(std::string_view charset, std::string_view bytes);
// The same with U+FFFD for each character that cannot be converted.
std::string to_utf8_leniently(std::string_view charset, std::string_view bytes);

}  // namespace sluice::mysql
