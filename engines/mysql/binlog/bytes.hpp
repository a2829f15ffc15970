// Cursor: reads little-endian fields from foreign bytes. Never reads outside: a short buffer sets failed() and yields
// zeros, so a parser reads all its fields and asks once at the end.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/result.hpp"

namespace sluice::mysql {

class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool failed() const { return failed_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  bool done() const { return at_ == end_; }

  uint64_t fixed(size_t size) {  // size <= 8
    if (size > left()) return fail();
    uint64_t value = 0;
    std::memcpy(&value, at_, size);
    at_ += size;
    return value;
  }
  uint8_t u8() { return static_cast<uint8_t>(fixed(1)); }
  uint16_t u16() { return static_cast<uint16_t>(fixed(2)); }
  uint32_t u32() { return static_cast<uint32_t>(fixed(4)); }
  uint64_t u64() { return fixed(8); }

  std::string_view bytes(uint64_t size) {
    if (size > left()) return fail(), std::string_view();
    std::string_view result(at_, static_cast<size_t>(size));
    at_ += size;
    return result;
  }
  std::string_view rest() { return bytes(left()); }
  void skip(uint64_t size) { bytes(size); }

  // MySQL's length-encoded integer; 0xfb and 0xff are not lengths.
  uint64_t lenenc() {
    uint8_t first = u8();
    if (first < 0xfb) return first;
    switch (first) {
      case 0xfc:
        return fixed(2);
      case 0xfd:
        return fixed(3);
      case 0xfe:
        return fixed(8);
      default:
        return fail();
    }
  }
  std::string_view lenenc_bytes() { return bytes(lenenc()); }

  // The self-describing varlen integer of MySQL's newer events: as many more bytes as the first has trailing ones.
  uint64_t varlen() {
    uint8_t first = u8();
    size_t extra = static_cast<size_t>(__builtin_ctz(~static_cast<uint32_t>(first)));
    uint64_t low = extra < 7 ? static_cast<uint64_t>(first) >> (extra + 1) : 0;
    uint64_t high = fixed(extra);
    if (extra == 0) return low;
    return extra < 8 ? low | (high << (7 - extra)) : high;
  }
  int64_t signed_varlen() {
    uint64_t raw = varlen();
    return (raw & 1) ? -static_cast<int64_t>(raw >> 1) - 1 : static_cast<int64_t>(raw >> 1);
  }

 private:
  uint64_t fail() {
    failed_ = true;
    at_ = end_;
    return 0;
  }
  const char* at_;
  const char* end_;
  bool failed_ = false;
};

inline Error invalid_event(std::string cause) { return Error(ErrorCode::BINLOG_EVENT_INVALID, std::move(cause)); }

}  // namespace sluice::mysql
