// Structured logging: one line per event, level, component, message and key=value pairs, to a rotating file or stderr.
// Thread safe. A Secret cannot be passed.
//
//   log::info("store.capture", "connected", {{"host", host}, {"position", position.to_string()}});
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.hpp"

namespace sluice::log {

enum class Level { kDebug, kInfo, kWarn, kError };

struct Field {
  std::string_view key;
  std::string value;
  Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const Error& e) : key(k), value(e.to_string()) {}
  template <class N>
  requires std::integral<N> || std::floating_point<N> Field(std::string_view k, N v)
      : key(k), value(std::to_string(v)) {}
};

struct Options {
  std::string file;  // empty: stderr
  size_t file_bytes_max = 16 << 20;
  int files_max = 5;
  Level level = Level::kInfo;
};

// Sees every line of kWarn and above as it is written, without time and level. Called on the thread that logs; must not
// block, throw or log. Empty: nobody looks.
using Tap = std::function<void(Level level, const std::string& line)>;
void set_tap(Tap tap);

void init(const Options& options);  // once per process; before it, lines go to stderr at kWarn
void write(Level level, std::string_view component, std::string_view message, std::initializer_list<Field> fields = {});
inline void debug(std::string_view c, std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kDebug, c, m, f);
}
inline void info(std::string_view c, std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kInfo, c, m, f);
}
inline void warn(std::string_view c, std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kWarn, c, m, f);
}
inline void error(std::string_view c, std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kError, c, m, f);
}

}  // namespace sluice::log
