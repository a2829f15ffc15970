#include "core/schema.hpp"

#include <xxhash.h>

#include <algorithm>

#include "core/wire.hpp"

namespace sluice {
namespace {

constexpr uint8_t kEncodingVersion = 1;
constexpr size_t kColumnsMax = 4096 * 2;  // servers stop at 4096
constexpr size_t kListMax = 70'000;       // SET and ENUM labels: at most 65,535

void put_column(wire::Writer& out, const Column& c) {
  out.text(c.name);
  out.u8(static_cast<uint8_t>(c.type));
  out.u8(static_cast<uint8_t>(c.is_unsigned | c.nullable << 1 | c.generated << 2 | c.auto_increment << 3 |
                              c.on_update_now << 4 | c.invisible << 5 | c.is_virtual << 6));
  out.u32(c.length);
  out.u8(c.scale);
  out.text(c.charset);
  out.text(c.collation);
  out.texts(c.labels);
  out.text(c.sql_type);
}

bool get_column(wire::Reader& in, Column& c) {
  uint8_t type = 0, flags = 0;
  if (!in.text(c.name) || !in.u8(type) || !in.u8(flags) || type > static_cast<uint8_t>(ColumnType::kVector))
    return false;
  c.type = static_cast<ColumnType>(type);
  c.is_unsigned = flags & 1, c.nullable = flags & 2, c.generated = flags & 4, c.auto_increment = flags & 8;
  c.on_update_now = flags & 16, c.invisible = flags & 32, c.is_virtual = flags & 64;
  return in.u32(c.length) && in.u8(c.scale) && in.text(c.charset) && in.text(c.collation) &&
         in.texts(c.labels, kListMax) && in.text(c.sql_type);
}

void put_key(wire::Writer& out, const Key& key) {
  out.text(key.name);
  out.u8(static_cast<uint8_t>(key.unique | key.primary << 1 | key.hash << 2 | key.ignored << 3));
  out.u32(static_cast<uint32_t>(key.parts.size()));
  for (const KeyPart& part : key.parts) out.u32(part.column), out.u32(part.prefix_length);
}

bool get_key(wire::Reader& in, size_t columns, Key& key) {
  uint8_t flags = 0;
  uint32_t parts = 0;
  if (!in.text(key.name) || !in.u8(flags) || !in.u32(parts) || parts > 64) return false;
  key.unique = flags & 1, key.primary = flags & 2, key.hash = flags & 4, key.ignored = flags & 8;
  key.parts.resize(parts);
  for (KeyPart& part : key.parts) {
    if (!in.u32(part.column) || !in.u32(part.prefix_length)) return false;
    if (part.column >= columns && part.column != KeyPart::kExpression) return false;
  }
  return true;
}

void put_foreign_key(wire::Writer& out, const ForeignKey& key) {
  out.text(key.name);
  out.texts(key.columns);
  out.text(key.referenced_database);
  out.text(key.referenced_table);
  out.texts(key.referenced_columns);
  out.u8(static_cast<uint8_t>(key.on_delete));
  out.u8(static_cast<uint8_t>(key.on_update));
}

bool get_foreign_key(wire::Reader& in, ForeignKey& key) {
  uint8_t on_delete = 0, on_update = 0;
  if (!in.text(key.name) || !in.texts(key.columns, 64) || !in.text(key.referenced_database) ||
      !in.text(key.referenced_table) || !in.texts(key.referenced_columns, 64) || !in.u8(on_delete) ||
      !in.u8(on_update) || on_delete > 3 || on_update > 3)
    return false;
  key.on_delete = static_cast<ForeignKeyAction>(on_delete);
  key.on_update = static_cast<ForeignKeyAction>(on_update);
  return true;
}

bool has_whole_columns(const Key& key) {
  return std::all_of(key.parts.begin(), key.parts.end(), [](const KeyPart& part) {
    return part.column != KeyPart::kExpression && part.prefix_length == 0;
  });
}

bool names_one_row(const TableSchema& table, const Key& key) {
  if (key.primary) return true;
  return key.unique && !key.parts.empty() && has_whole_columns(key) &&
         std::all_of(key.parts.begin(), key.parts.end(), [&](const KeyPart& part) {
           return !table.columns[part.column].nullable && !table.columns[part.column].generated;
         });
}

bool holds_order(const Key& key) { return !key.hash && !key.ignored && has_whole_columns(key); }

}  // namespace

Physical Column::physical() const {
  switch (type) {
    case ColumnType::kTinyInt:
    case ColumnType::kSmallInt:
    case ColumnType::kMediumInt:
    case ColumnType::kInt:
    case ColumnType::kBigInt:
      return is_unsigned ? Physical::kUInt : Physical::kInt;
    case ColumnType::kYear:
    case ColumnType::kBit:
    case ColumnType::kEnum:
    case ColumnType::kSet:
      return Physical::kUInt;
    case ColumnType::kFloat:
      return Physical::kFloat;
    case ColumnType::kDouble:
      return Physical::kDouble;
    default:
      return Physical::kBytes;
  }
}

std::string TableSchema::encode() const {
  wire::Writer out;
  out.u8(kEncodingVersion);
  out.text(database);
  out.text(name);
  out.u32(static_cast<uint32_t>(columns.size()));
  for (const Column& column : columns) put_column(out, column);
  out.u32(static_cast<uint32_t>(keys.size()));
  for (const Key& key : keys) put_key(out, key);
  out.u32(static_cast<uint32_t>(foreign_keys.size()));
  for (const ForeignKey& key : foreign_keys) put_foreign_key(out, key);
  out.text(engine);
  return std::move(out).take();
}

Result<TableSchema> TableSchema::decode(std::string_view bytes) {
  const Error damaged(ErrorCode::CORRUPTED, "table definition");
  wire::Reader in(bytes);
  TableSchema table;
  uint8_t version = 0;
  uint32_t count = 0;
  if (!in.u8(version) || version != kEncodingVersion || !in.text(table.database) || !in.text(table.name) ||
      !in.u32(count) || count > kColumnsMax)
    return damaged;
  table.columns.resize(count);
  for (Column& column : table.columns)
    if (!get_column(in, column)) return damaged;
  if (!in.u32(count) || count > 1024) return damaged;
  table.keys.resize(count);
  for (Key& key : table.keys)
    if (!get_key(in, table.columns.size(), key)) return damaged;
  if (!in.u32(count) || count > 1024) return damaged;
  table.foreign_keys.resize(count);
  for (ForeignKey& key : table.foreign_keys)
    if (!get_foreign_key(in, key)) return damaged;
  if (!in.text(table.engine) || !in.at_end()) return damaged;
  return table;
}

uint64_t TableSchema::id() const {
  const std::string bytes = encode();
  const uint64_t hash = XXH3_64bits(bytes.data(), bytes.size());
  return hash == 0 ? 1 : hash;
}

const Key* TableSchema::row_key() const {
  const Key* found = nullptr;
  const auto rank = [](const Key& key) { return 2 * (holds_order(key) ? 1 : 0) + (key.primary ? 1 : 0); };
  for (const Key& key : keys)
    if (names_one_row(*this, key) && (found == nullptr || rank(key) > rank(*found))) found = &key;
  return found;
}

const Key* TableSchema::range_key() const {
  const Key* key = row_key();
  return key != nullptr && holds_order(*key) ? key : nullptr;
}

int TableSchema::column_index(std::string_view column_name) const {
  for (size_t index = 0; index < columns.size(); ++index)
    if (columns[index].name == column_name) return static_cast<int>(index);
  return -1;
}

}  // namespace sluice
