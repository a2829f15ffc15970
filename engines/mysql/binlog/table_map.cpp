#include "engines/mysql/binlog/table_map.hpp"

#include "engines/mysql/binlog/bytes.hpp"

namespace sluice::mysql {

namespace {
constexpr size_t kMaxColumns = 4096;

bool is_numeric(uint8_t type) {
  switch (type) {
    case wire::kTiny:
    case wire::kShort:
    case wire::kInt24:
    case wire::kLong:
    case wire::kLongLong:
    case 0:
    case wire::kNewDecimal:
    case wire::kFloat:
    case wire::kDouble:
    case wire::kYear:
      return true;
    default:
      return false;
  }
}

bool is_character(const MapColumn& column, bool mariadb_counts_geometry) {
  switch (column.type) {
    case wire::kString:
    case wire::kVarString:
    case wire::kVarchar:
    case wire::kVarcharCompressed:
    case wire::kTinyBlob:
    case wire::kMediumBlob:
    case wire::kLongBlob:
    case wire::kBlob:
    case wire::kBlobCompressed:
      return true;
    case wire::kGeometry:
      return mariadb_counts_geometry;
    default:
      return false;
  }
}

void parse_string_meta(uint8_t b0, uint8_t b1, MapColumn* column) {
  if ((b0 & 0x30) != 0x30) {
    column->type = b0 | 0x30;
    column->length = b1 | (static_cast<uint32_t>((b0 & 0x30) ^ 0x30) << 4);
  } else {
    column->type = b0;
    column->length = b1;
  }
}

Status parse_column_meta(Cursor& meta, MapColumn* column) {
  switch (column->type) {
    case wire::kFloat:
    case wire::kDouble:
      column->length = meta.u8();
      break;
    case wire::kNewDecimal:
      column->precision = meta.u8(), column->scale = meta.u8();
      break;
    case wire::kBit: {
      uint8_t bits = meta.u8(), bytes = meta.u8();
      column->length = bytes * 8U + bits;
      break;
    }
    case wire::kTimestamp2:
    case wire::kDatetime2:
    case wire::kTime2:
      column->scale = meta.u8();
      break;
    case wire::kVarchar:
    case wire::kVarString:
    case wire::kVarcharCompressed:
      column->length = meta.u16();
      break;
    case wire::kBlob:
    case wire::kTinyBlob:
    case wire::kMediumBlob:
    case wire::kLongBlob:
    case wire::kBlobCompressed:
    case wire::kGeometry:
    case wire::kJson:
    case wire::kVector:
      column->length = meta.u8();
      if (column->length < 1 || column->length > 4) return invalid_event("a table map with a bad blob length");
      break;
    case wire::kString:
    case wire::kEnum:
    case wire::kSet: {
      uint8_t b0 = meta.u8(), b1 = meta.u8();
      parse_string_meta(b0, b1, column);
      break;
    }
    default:
      break;
  }
  if (column->type == wire::kNewDecimal &&
      (column->precision == 0 || column->precision > 65 || column->scale > 38 || column->scale > column->precision)) {
    return invalid_event("a table map with a bad decimal");
  }
  if (column->scale > 6 && column->type != wire::kNewDecimal) return invalid_event("a table map with a bad fraction");
  if (column->type == wire::kBit && (column->length == 0 || column->length > 64)) {
    return invalid_event("a table map with a bad BIT");
  }
  bool enum_or_set = column->type == wire::kEnum || column->type == wire::kSet;
  if (enum_or_set && (column->length == 0 || column->length > 8))
    return invalid_event("a table map with a bad ENUM or SET");
  return {};
}

// The optional metadata's parser: one method per kind of field.
class Metadata {
 public:
  Metadata(TableMap* map, bool mariadb) : map_(map), mariadb_(mariadb) {}

  Status parse(Cursor cursor) {
    while (!cursor.done() && !cursor.failed()) {
      uint8_t kind = cursor.u8();
      Cursor value(cursor.lenenc_bytes());
      if (cursor.failed()) break;
      field(kind, value);
      if (value.failed()) return invalid_event("a table map with bad metadata");
    }
    if (cursor.failed()) return invalid_event("a table map with short metadata");
    return {};
  }

 private:
  void field(uint8_t kind, Cursor& value) {
    auto text = [this](const MapColumn& c) { return is_character(c, mariadb_); };
    auto choice = [](const MapColumn& c) { return c.type == wire::kEnum || c.type == wire::kSet; };
    switch (kind) {
      case 1:
        signedness(value);
        break;
      case 2:
        default_charset(value, text), map_->has_charsets = true;
        break;
      case 3:
        column_charset(value, text), map_->has_charsets = true;
        break;
      case 4:
        names(value);
        break;
      case 5:
        labels(value, wire::kSet);
        break;
      case 6:
        labels(value, wire::kEnum);
        break;
      case 8:
        while (!value.done()) map_->primary_key.push_back({static_cast<uint32_t>(value.lenenc()), 0});
        break;
      case 9:
        while (!value.done()) {
          auto column = static_cast<uint32_t>(value.lenenc());
          map_->primary_key.push_back({column, static_cast<uint32_t>(value.lenenc())});
        }
        break;
      case 10:
        default_charset(value, choice);
        break;
      case 11:
        column_charset(value, choice);
        break;
      case 12:
        visibility(value);
        break;
      default:
        break;  // geometry types, vector dimensions: not needed to decode
    }
  }

  void signedness(Cursor& value) {
    std::string_view bits = value.rest();
    size_t index = 0;
    for (MapColumn& column : map_->columns) {
      if (!is_numeric(column.type)) continue;
      if (index / 8 < bits.size())
        column.is_unsigned = (static_cast<uint8_t>(bits[index / 8]) >> (7 - index % 8) & 1) != 0;
      ++index;
    }
    map_->has_signedness = true;
  }
  void visibility(Cursor& value) {
    std::string_view bits = value.rest();
    for (size_t i = 0; i < map_->columns.size() && i / 8 < bits.size(); ++i) {
      map_->columns[i].visible = (static_cast<uint8_t>(bits[i / 8]) >> (7 - i % 8) & 1) != 0;
    }
  }
  template <class Counts>
  void default_charset(Cursor& value, Counts counts) {
    auto standard = static_cast<uint32_t>(value.lenenc());
    std::vector<MapColumn*> counted;
    for (MapColumn& column : map_->columns) {
      if (counts(column)) column.collation = standard, counted.push_back(&column);
    }
    while (!value.done()) {
      uint64_t index = value.lenenc();
      auto collation = static_cast<uint32_t>(value.lenenc());
      if (index < counted.size()) counted[index]->collation = collation;
    }
  }
  template <class Counts>
  void column_charset(Cursor& value, Counts counts) {
    for (MapColumn& column : map_->columns) {
      if (counts(column) && !value.done()) column.collation = static_cast<uint32_t>(value.lenenc());
    }
  }
  void names(Cursor& value) {
    for (MapColumn& column : map_->columns) column.name = std::string(value.lenenc_bytes());
    map_->has_names = !value.failed();
  }
  void labels(Cursor& value, uint8_t type) {
    for (MapColumn& column : map_->columns) {
      if (column.type != type) continue;
      uint64_t count = value.lenenc();
      for (uint64_t i = 0; i < count && !value.failed(); ++i) column.labels.emplace_back(value.lenenc_bytes());
    }
    map_->has_labels = true;
  }
  TableMap* map_;
  bool mariadb_;
};
}  // namespace

Result<TableMapHead> parse_table_map_head(std::string_view body, size_t id_size) {
  Cursor cursor(body);
  TableMapHead head;
  head.id = cursor.fixed(id_size);
  cursor.skip(2);
  head.database = cursor.bytes(cursor.u8());
  cursor.skip(1);
  head.table = cursor.bytes(cursor.u8());
  cursor.skip(1);
  if (cursor.failed()) return invalid_event("a short table map");
  return head;
}

Result<TableMap> parse_table_map(std::string_view body, size_t id_size, bool mariadb) {
  SLUICE_ASSIGN(TableMapHead head, parse_table_map_head(body, id_size));
  TableMap map;
  map.id = head.id;
  map.database = std::string(head.database), map.table = std::string(head.table);
  Cursor cursor(body.substr(id_size + 2 + head.database.size() + head.table.size() + 4));
  uint64_t count = cursor.lenenc();
  std::string_view types = cursor.bytes(count);
  if (cursor.failed() || count > kMaxColumns) return invalid_event("a short table map");
  map.columns.resize(static_cast<size_t>(count));
  Cursor meta(cursor.lenenc_bytes());
  for (size_t i = 0; i < map.columns.size(); ++i) {
    map.columns[i].type = static_cast<uint8_t>(types[i]);
    SLUICE_TRY(parse_column_meta(meta, &map.columns[i]));
  }
  std::string_view nullable = cursor.bytes((count + 7) / 8);
  if (cursor.failed() || meta.failed()) return invalid_event("a short table map");
  for (size_t i = 0; i < map.columns.size(); ++i) {
    map.columns[i].nullable = (static_cast<uint8_t>(nullable[i / 8]) >> (i % 8) & 1) != 0;
  }
  SLUICE_TRY(Metadata(&map, mariadb).parse(cursor));
  for (const KeyPart& part : map.primary_key) {
    if (part.column >= map.columns.size()) return invalid_event("a table map with a bad primary key");
  }
  return map;
}

}  // namespace sluice::mysql
