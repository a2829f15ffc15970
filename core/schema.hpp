// TableSchema: a table's definition as the data path needs it. Plain data; built once, then shared as
// std::shared_ptr<const TableSchema> between threads.
//
// Names are UTF-8. `database` and `name` are the names on the side where the definition was read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace sluice {

enum class ColumnType : uint8_t {
  kTinyInt,
  kSmallInt,
  kMediumInt,
  kInt,
  kBigInt,  // signed or unsigned: Column::is_unsigned
  kFloat,
  kDouble,
  kDecimal,
  kBit,
  kYear,
  kDate,
  kTime,
  kDatetime,
  kTimestamp,
  kChar,
  kVarchar,
  kText,  // character data, in Column::charset
  kBinary,
  kVarbinary,
  kBlob,  // bytes
  kEnum,
  kSet,
  kJson,
  kGeometry,
  kUuid,
  kInet4,
  kInet6,
  kVector,
};

// How a value of a column is kept in a row (record.hpp). One canonical form per type, whether it came from the log or
// from a SELECT:
//   kInt     TINYINT..BIGINT signed
//   kUInt    TINYINT..BIGINT unsigned; YEAR (0 or 1901..2155); BIT (bits as a number); ENUM (1-based index, 0 = the
//            invalid value ''); SET (bit mask)
//   kFloat   FLOAT            kDouble  DOUBLE
//   kBytes   everything else: character data in the column's own charset (CHAR without trailing pad), BINARY padded to
//            its length, DECIMAL as text ("-12.30", always `scale` decimals), DATE "YYYY-MM-DD", TIME
//            "[-]HH:MM:SS[.ffffff]", DATETIME "YYYY-MM-DD HH:MM:SS[.ffffff]", TIMESTAMP likewise in UTC (each with
//            exactly `scale` fractional digits; zero dates as zeros), JSON as text in utf8mb4, GEOMETRY as SRID + WKB
//            (MySQL's internal form), UUID and INET as their text.
enum class Physical : uint8_t { kInt, kUInt, kFloat, kDouble, kBytes };

struct Column {
  std::string name;
  ColumnType type = ColumnType::kInt;
  bool is_unsigned = false;
  bool nullable = true;
  bool generated = false;  // VIRTUAL or STORED: carried in rows, never written
  bool auto_increment = false;
  bool on_update_now = false;  // ON UPDATE CURRENT_TIMESTAMP
  bool invisible = false;
  bool is_virtual = false;  // a generated column that is computed when it is read
  uint32_t length = 0;      // characters (CHAR, VARCHAR), bytes (BINARY, VARBINARY), bits (BIT), digits (DECIMAL)
  uint8_t scale = 0;        // decimals of DECIMAL, fractional digits of TIME, DATETIME, TIMESTAMP
  std::string charset;      // of kChar, kVarchar, kText, kEnum, kSet; else empty
  std::string collation;
  std::vector<std::string> labels;  // of kEnum, kSet, UTF-8
  std::string sql_type;             // as the server prints it, e.g. "int(10) unsigned"; empty when not known

  Physical physical() const;
  bool is_character() const {
    return type == ColumnType::kChar || type == ColumnType::kVarchar || type == ColumnType::kText;
  }
  bool operator==(const Column&) const = default;
};

struct KeyPart {
  uint32_t column = 0;         // index into TableSchema::columns; kExpression for an expression part
  uint32_t prefix_length = 0;  // characters; 0 = the whole column
  static constexpr uint32_t kExpression = ~0U;
  bool operator==(const KeyPart&) const = default;
};

struct Key {
  std::string name;
  bool unique = false;
  bool primary = false;
  std::vector<KeyPart> parts;
  bool hash = false;     // kept as a hash: MariaDB's unique keys over long values, keys of the engine MEMORY
  bool ignored = false;  // not used by queries: IGNORED (MariaDB), INVISIBLE (MySQL); a unique one still holds
  bool operator==(const Key&) const = default;
};

enum class ForeignKeyAction : uint8_t { kRestrict, kCascade, kSetNull, kSetDefault };  // NO ACTION is kRestrict

struct ForeignKey {
  std::string name;
  std::vector<std::string> columns;
  std::string referenced_database, referenced_table;
  std::vector<std::string> referenced_columns;
  ForeignKeyAction on_delete = ForeignKeyAction::kRestrict;
  ForeignKeyAction on_update = ForeignKeyAction::kRestrict;
  bool changes_child() const {
    auto changes = [](ForeignKeyAction a) { return a != ForeignKeyAction::kRestrict; };
    return changes(on_delete) || changes(on_update);
  }
  bool operator==(const ForeignKey&) const = default;
};

struct TableSchema {
  std::string database;
  std::string name;
  std::vector<Column> columns;
  // From here on only in definitions read from a catalog; empty in what a log's own metadata describes, except for a
  // primary key.
  std::vector<Key> keys;
  std::vector<ForeignKey> foreign_keys;
  std::string engine;

  // Content hash of the encoded form: equal definitions have equal ids, on any node, at any time. Never 0.
  uint64_t id() const;
  std::string encode() const;
  static Result<TableSchema> decode(std::string_view bytes);

  // The key by which rows are found (exactness.md section 4): the primary key, or a unique key over whole NOT NULL,
  // non-generated columns; nullptr when the table is "without a key". A key that is also a range key is preferred. A
  // primary key over prefixes counts: its whole columns still name at most one row.
  const Key* row_key() const;
  // The row key if an index holds it in order, so that ranges of it can be read and sorted without a search through
  // the table; nullptr for keys over prefixes, hashes and ignored ones.
  const Key* range_key() const;
  int column_index(std::string_view column_name) const;  // -1 when there is none
  std::string qualified_name() const { return database + "." + name; }
  bool operator==(const TableSchema&) const = default;
};

using SchemaPtr = std::shared_ptr<const TableSchema>;

}  // namespace sluice
