// Text of packed values: decimals and times, shared by row decoding and JSON. Each writes at `out` and returns the end;
// kMaxText bytes are enough for every one of them.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::mysql::values {

inline constexpr size_t kMaxText = 96;

inline uint64_t big_endian(const uint8_t* at, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | at[i];
  return value;
}

// Bytes of a packed DECIMAL(precision, scale).
size_t decimal_size(unsigned precision, unsigned scale);
char* write_decimal(char* out, const uint8_t* packed, unsigned precision, unsigned scale);

struct Civil {
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};
Civil civil_from_unix(uint64_t seconds);
char* write_date(char* out, unsigned year, unsigned month, unsigned day);
char* write_clock(char* out, unsigned hour, unsigned minute, unsigned second);  // hours may have three digits
// ".123" with exactly `digits` digits of a fraction in microseconds; nothing for 0 digits.
char* write_fraction(char* out, unsigned microseconds, unsigned digits);
char* write_datetime(char* out, const Civil& at, unsigned microseconds, unsigned digits);
// The packed 64-bit forms of MySQL (in JSON): year*13+month, day | hour, minute, second, then 24 bits of microseconds.
char* write_packed_datetime(char* out, int64_t packed, unsigned digits);
char* write_packed_time(char* out, int64_t packed, unsigned digits);

}  // namespace sluice::mysql::values
