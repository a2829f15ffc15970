#include "engines/mysql/binlog/values.hpp"

#include <array>
#include <cstring>

namespace sluice::mysql::values {

namespace {
constexpr std::array<uint8_t, 10> kDigitBytes = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};

struct Pairs {
  char text[200];
  constexpr Pairs() : text() {
    for (int i = 0; i < 100; ++i)
      text[2 * i] = static_cast<char>('0' + i / 10), text[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
};
constexpr Pairs kPairs;

char* two(char* out, unsigned value) {
  std::memcpy(out, kPairs.text + 2 * (value % 100), 2);
  return out + 2;
}

char* digits_of(char* out, uint32_t value, unsigned digits) {
  for (unsigned i = digits; i > 0; --i, value /= 10) out[i - 1] = static_cast<char>('0' + value % 10);
  return out + digits;
}
}  // namespace

size_t decimal_size(unsigned precision, unsigned scale) {
  unsigned whole = precision - scale;
  return whole / 9 * 4 + kDigitBytes[whole % 9] + scale / 9 * 4 + kDigitBytes[scale % 9];
}

// Groups of nine digits in four bytes, the odd ones in fewer, big-endian; the first bit inverted, all bits when
// negative.
char* write_decimal(char* out, const uint8_t* packed, unsigned precision, unsigned scale) {
  bool negative = (packed[0] & 0x80) == 0;
  uint32_t mask = negative ? 0xffffffffU : 0;
  const uint8_t* at = packed;
  bool first = true;
  auto group = [&](unsigned digits) {
    size_t size = kDigitBytes[digits];
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      uint8_t byte = *at++;
      if (first) byte ^= 0x80, first = false;
      value = value << 8 | static_cast<uint8_t>(byte ^ static_cast<uint8_t>(mask));
    }
    return value;
  };
  char* start = out;
  *out++ = '-';
  char* text = out;
  bool zero = true;
  auto whole = [&](unsigned digits) {
    uint32_t value = group(digits);
    if (value != 0) zero = false;
    char buffer[10];
    digits_of(buffer, value, digits);
    unsigned skip = 0;
    if (out == text) {
      while (skip < digits && buffer[skip] == '0') ++skip;
    }
    std::memcpy(out, buffer + skip, digits - skip);
    out += digits - skip;
  };
  unsigned integers = precision - scale;
  if (integers % 9 != 0) whole(integers % 9);
  for (unsigned i = 0; i < integers / 9; ++i) whole(9);
  if (out == text) *out++ = '0';
  if (scale > 0) {
    *out++ = '.';
    auto fraction = [&](unsigned digits) {
      uint32_t value = group(digits);
      if (value != 0) zero = false;
      out = digits_of(out, value, digits);
    };
    for (unsigned i = 0; i < scale / 9; ++i) fraction(9);
    if (scale % 9 != 0) fraction(scale % 9);
  }
  if (negative && !zero) return out;
  std::memmove(start, text, static_cast<size_t>(out - text));
  return out - 1;
}

Civil civil_from_unix(uint64_t seconds) {
  uint64_t days = seconds / 86400;
  auto rest = static_cast<unsigned>(seconds % 86400);
  // Days since 0000-03-01 in eras of 400 years.
  uint64_t z = days + 719468;
  uint64_t era = z / 146097;
  auto doe = static_cast<unsigned>(z - era * 146097);
  unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  unsigned mp = (5 * doy + 2) / 153;
  Civil at;
  at.day = doy - (153 * mp + 2) / 5 + 1;
  at.month = mp < 10 ? mp + 3 : mp - 9;
  at.year = static_cast<unsigned>(yoe + era * 400) + (at.month <= 2 ? 1 : 0);
  at.hour = rest / 3600;
  at.minute = rest / 60 % 60;
  at.second = rest % 60;
  return at;
}

char* write_date(char* out, unsigned year, unsigned month, unsigned day) {
  out = two(two(out, year / 100), year % 100);
  *out++ = '-';
  out = two(out, month);
  *out++ = '-';
  return two(out, day);
}

char* write_clock(char* out, unsigned hour, unsigned minute, unsigned second) {
  if (hour >= 100) *out++ = static_cast<char>('0' + hour / 100 % 10);
  out = two(out, hour % 100);
  *out++ = ':';
  out = two(out, minute);
  *out++ = ':';
  return two(out, second);
}

char* write_fraction(char* out, unsigned microseconds, unsigned digits) {
  if (digits == 0) return out;
  *out++ = '.';
  char buffer[6];
  digits_of(buffer, microseconds, 6);
  std::memcpy(out, buffer, digits);
  return out + digits;
}

char* write_datetime(char* out, const Civil& at, unsigned microseconds, unsigned digits) {
  out = write_date(out, at.year, at.month, at.day);
  *out++ = ' ';
  out = write_clock(out, at.hour, at.minute, at.second);
  return write_fraction(out, microseconds, digits);
}

char* write_packed_datetime(char* out, int64_t packed, unsigned digits) {
  uint64_t value = packed < 0 ? 0 - static_cast<uint64_t>(packed) : static_cast<uint64_t>(packed);
  auto micros = static_cast<unsigned>(value & 0xffffff);
  uint64_t whole = value >> 24;
  auto year_month = static_cast<unsigned>(whole >> 22 & 0x1ffff);
  Civil at;
  at.year = year_month / 13, at.month = year_month % 13, at.day = static_cast<unsigned>(whole >> 17 & 31);
  at.hour = static_cast<unsigned>(whole >> 12 & 31), at.minute = static_cast<unsigned>(whole >> 6 & 63);
  at.second = static_cast<unsigned>(whole & 63);
  return write_datetime(out, at, micros, digits);
}

char* write_packed_time(char* out, int64_t packed, unsigned digits) {
  uint64_t value = static_cast<uint64_t>(packed);
  if (packed < 0) *out++ = '-', value = 0 - value;
  auto micros = static_cast<unsigned>(value & 0xffffff);
  auto whole = static_cast<unsigned>(value >> 24 & 0x3fffffff);
  out = write_clock(out, whole >> 12 & 0x3ff, whole >> 6 & 63, whole & 63);
  return write_fraction(out, micros, digits);
}

}  // namespace sluice::mysql::values
