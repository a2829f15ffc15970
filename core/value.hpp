// ValueView: one column value, read in place. Owns nothing; valid as long as the bytes it was read from.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/schema.hpp"

namespace sluice {

struct ValueView {
  bool null = true;
  Physical physical = Physical::kBytes;
  union {
    int64_t i = 0;
    uint64_t u;
    float f;
    double d;
  };
  std::string_view bytes;

  static ValueView of_null(Physical p) { return make(p, true); }
  static ValueView of_int(int64_t value) {
    auto v = make(Physical::kInt);
    v.i = value;
    return v;
  }
  static ValueView of_uint(uint64_t value) {
    auto v = make(Physical::kUInt);
    v.u = value;
    return v;
  }
  static ValueView of_float(float value) {
    auto v = make(Physical::kFloat);
    v.f = value;
    return v;
  }
  static ValueView of_double(double value) {
    auto v = make(Physical::kDouble);
    v.d = value;
    return v;
  }
  static ValueView of_bytes(std::string_view value) {
    auto v = make(Physical::kBytes);
    v.bytes = value;
    return v;
  }

  // Same physical kind and same bits (so -0.0 differs from 0.0, NaN equals itself).
  bool operator==(const ValueView& other) const;

 private:
  static ValueView make(Physical p, bool null = false) {
    ValueView v;
    v.null = null;
    v.physical = p;
    return v;
  }
};

}  // namespace sluice
