// TABLE_MAP: what the log itself says about a table. Parsed from bytes; owns its texts.
// Immutable once parsed; damaged bytes are an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/schema.hpp"

namespace sluice::mysql {

namespace wire {
inline constexpr uint8_t kTiny = 1, kShort = 2, kLong = 3, kFloat = 4, kDouble = 5, kTimestamp = 7, kLongLong = 8;
inline constexpr uint8_t kInt24 = 9, kDate = 10, kTime = 11, kDatetime = 12, kYear = 13, kNewDate = 14, kVarchar = 15;
inline constexpr uint8_t kBit = 16, kTimestamp2 = 17, kDatetime2 = 18, kTime2 = 19, kBlobCompressed = 140;
inline constexpr uint8_t kVarcharCompressed = 141, kVector = 242, kJson = 245, kNewDecimal = 246, kEnum = 247;
inline constexpr uint8_t kSet = 248, kTinyBlob = 249, kMediumBlob = 250, kLongBlob = 251, kBlob = 252;
inline constexpr uint8_t kVarString = 253, kString = 254, kGeometry = 255;
inline bool is_blob(uint8_t type) {
  return type == kBlob || type == kTinyBlob || type == kMediumBlob || type == kLongBlob || type == kBlobCompressed;
}
inline bool is_varchar(uint8_t type) { return type == kVarchar || type == kVarString || type == kVarcharCompressed; }
}  // namespace wire

struct MapColumn {
  uint8_t type = 0;       // real type: ENUM and SET taken out of STRING
  uint32_t length = 0;    // max bytes of strings, pack length of ENUM and SET, length bytes of blobs, bits of BIT
  uint8_t precision = 0;  // DECIMAL
  uint8_t scale = 0;      // DECIMAL, fractional digits of TIME2, DATETIME2, TIMESTAMP2
  bool nullable = true;
  bool is_unsigned = false;
  bool visible = true;
  uint32_t collation = 0;           // 0: not said
  std::string name;                 // empty: not said
  std::vector<std::string> labels;  // in the column's character set
};

struct TableMap {
  uint64_t id = 0;
  std::string database, table;
  std::vector<MapColumn> columns;
  bool has_signedness = false, has_charsets = false, has_names = false, has_labels = false;
  std::vector<KeyPart> primary_key;
  bool full() const { return has_names && has_signedness; }
};

// Only the table's id and names, for finding a map that is known already. Views into `body`.
struct TableMapHead {
  uint64_t id = 0;
  std::string_view database, table;
};
Result<TableMapHead> parse_table_map_head(std::string_view body, size_t id_size);
// `mariadb`: GEOMETRY counts among the character columns of the metadata.
Result<TableMap> parse_table_map(std::string_view body, size_t id_size, bool mariadb);

}  // namespace sluice::mysql
