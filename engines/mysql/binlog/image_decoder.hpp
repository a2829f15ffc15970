// ImageDecoder: packed row images into values in canonical form (core/schema.hpp Physical). One thread. Allocates only
// while its buffers grow: texts are written into an arena that is used again for every row.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/value.hpp"

namespace sluice::mysql {

// How a column's bytes are read.
enum class Packing : uint8_t {
  kInt1,
  kInt2,
  kInt3,
  kInt4,
  kInt8,
  kUInt1,
  kUInt2,
  kUInt3,
  kUInt4,
  kUInt8,
  kFloat,
  kDouble,
  kDecimal,
  kBit,
  kYear,
  kDate,
  kTimeOld,
  kDatetimeOld,
  kTimestampOld,
  kTime2,
  kDatetime2,
  kTimestamp2,
  kEnumOrSet,
  kBytes,        // a length of `length_bytes`, then the value
  kPaddedBytes,  // BINARY: trailing zero bytes are missing
  kJson,         // MySQL's binary form
  kUuid,
  kInet4,
  kInet6,
  kCompressedBytes,  // MariaDB's compressed columns
};

struct ColumnPlan {
  Packing packing = Packing::kBytes;
  Physical physical = Physical::kBytes;
  uint8_t length_bytes = 0;  // of a length, of ENUM and SET, of BIT
  uint8_t precision = 0, scale = 0;
  uint32_t size = 0;           // of BINARY; packed bytes of DECIMAL
  bool may_be_absent = false;  // generated: an image may leave it out
};

// Memory for the texts of one row. Pieces keep their place until reset().
class Arena {
 public:
  char* take(size_t size) {
    if (used_ + size <= capacity_) {
      char* at = current_ + used_;
      used_ += size;
      return at;
    }
    return take_from_next(size);
  }
  void give_back(size_t size) { used_ -= size; }  // of the last piece
  void reset();

 private:
  char* take_from_next(size_t size);
  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };
  std::vector<Block> blocks_;
  size_t index_ = 0;  // of the block in use
  char* current_ = nullptr;
  size_t used_ = 0, capacity_ = 0;
};

class ImageDecoder {
 public:
  // Starts a new row: views of the last one die.
  void reset() { arena_.reset(); }
  // Reads one image at the front of `bytes` and removes it. `present` has a bit per column, least significant first.
  // Columns that are absent become NULL; the caller decides whether they may be.
  Status decode(std::span<const ColumnPlan> plans, const uint8_t* present, std::string_view* bytes,
                std::span<ValueView> values);

 private:
  const uint8_t* decode_value(const ColumnPlan& plan, const uint8_t* at, const uint8_t* end, ValueView* value);
  // Decimals, times and bytes; numbers are decode_value's.
  const uint8_t* decode_written_out(const ColumnPlan& plan, const uint8_t* at, const uint8_t* end, ValueView* value);
  const uint8_t* decode_time(const ColumnPlan& plan, const uint8_t* at, const uint8_t* end, ValueView* value);
  const uint8_t* decode_bytes(const ColumnPlan& plan, const uint8_t* at, const uint8_t* end, ValueView* value);
  bool decompress(std::string_view stored, ValueView* value);
  void text(ValueView* value, const char* begin, const char* end) {
    value->bytes = std::string_view(begin, static_cast<size_t>(end - begin));
  }

  Arena arena_;
  std::string json_;
};

}  // namespace sluice::mysql
