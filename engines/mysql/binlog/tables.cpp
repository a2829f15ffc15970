#include "engines/mysql/binlog/tables.hpp"

#include <algorithm>
#include <iterator>

#include "engines/mysql/binlog/bytes.hpp"

namespace sluice::mysql {

namespace {
constexpr uint32_t kBinaryCollation = 63;

// Whether a column of this definition is logged in this form.
bool type_fits(const MapColumn& logged, const Column& column) {
  switch (column.type) {
    case ColumnType::kTinyInt:
      return logged.type == wire::kTiny;
    case ColumnType::kSmallInt:
      return logged.type == wire::kShort;
    case ColumnType::kMediumInt:
      return logged.type == wire::kInt24;
    case ColumnType::kInt:
      return logged.type == wire::kLong;
    case ColumnType::kBigInt:
      return logged.type == wire::kLongLong;
    case ColumnType::kFloat:
      return logged.type == wire::kFloat;
    case ColumnType::kDouble:
      return logged.type == wire::kDouble;
    case ColumnType::kDecimal:
      return logged.type == wire::kNewDecimal && logged.precision == column.length && logged.scale == column.scale;
    case ColumnType::kBit:
      return logged.type == wire::kBit && logged.length == column.length;
    case ColumnType::kYear:
      return logged.type == wire::kYear;
    case ColumnType::kDate:
      return logged.type == wire::kDate || logged.type == wire::kNewDate;
    case ColumnType::kTime:
      return logged.type == wire::kTime2 ? logged.scale == column.scale : logged.type == wire::kTime;
    case ColumnType::kDatetime:
      return logged.type == wire::kDatetime2 ? logged.scale == column.scale : logged.type == wire::kDatetime;
    case ColumnType::kTimestamp:
      return logged.type == wire::kTimestamp2 ? logged.scale == column.scale : logged.type == wire::kTimestamp;
    case ColumnType::kChar:
      return logged.type == wire::kString;
    case ColumnType::kBinary:
      return logged.type == wire::kString && logged.length == column.length;
    case ColumnType::kVarchar:
    case ColumnType::kVarbinary:
      return wire::is_varchar(logged.type);
    case ColumnType::kText:
    case ColumnType::kBlob:
      return wire::is_blob(logged.type);
    case ColumnType::kEnum:
      return logged.type == wire::kEnum;
    case ColumnType::kSet:
      return logged.type == wire::kSet;
    case ColumnType::kJson:
      return logged.type == wire::kJson || wire::is_blob(logged.type);
    case ColumnType::kGeometry:
      return logged.type == wire::kGeometry;
    case ColumnType::kUuid:
    case ColumnType::kInet6:
      return logged.type == wire::kString && logged.length == 16;
    case ColumnType::kInet4:
      return logged.type == wire::kString && logged.length == 4;
    case ColumnType::kVector:
      return logged.type == wire::kVector || wire::is_varchar(logged.type);
  }
  return false;
}

ColumnType logged_type(const MapColumn& column) {
  bool binary = column.collation == kBinaryCollation;
  switch (column.type) {
    case wire::kTiny:
      return ColumnType::kTinyInt;
    case wire::kShort:
      return ColumnType::kSmallInt;
    case wire::kInt24:
      return ColumnType::kMediumInt;
    case wire::kLong:
      return ColumnType::kInt;
    case wire::kLongLong:
      return ColumnType::kBigInt;
    case wire::kFloat:
      return ColumnType::kFloat;
    case wire::kDouble:
      return ColumnType::kDouble;
    case wire::kNewDecimal:
      return ColumnType::kDecimal;
    case wire::kBit:
      return ColumnType::kBit;
    case wire::kYear:
      return ColumnType::kYear;
    case wire::kDate:
    case wire::kNewDate:
      return ColumnType::kDate;
    case wire::kTime:
    case wire::kTime2:
      return ColumnType::kTime;
    case wire::kDatetime:
    case wire::kDatetime2:
      return ColumnType::kDatetime;
    case wire::kTimestamp:
    case wire::kTimestamp2:
      return ColumnType::kTimestamp;
    case wire::kString:
      return binary ? ColumnType::kBinary : ColumnType::kChar;
    case wire::kEnum:
      return ColumnType::kEnum;
    case wire::kSet:
      return ColumnType::kSet;
    case wire::kJson:
      return ColumnType::kJson;
    case wire::kGeometry:
      return ColumnType::kGeometry;
    case wire::kVector:
      return ColumnType::kVector;
    default:
      if (wire::is_varchar(column.type)) return binary ? ColumnType::kVarbinary : ColumnType::kVarchar;
      return binary ? ColumnType::kBlob : ColumnType::kText;
  }
}

bool known_type(uint8_t type) {
  switch (type) {
    case wire::kTiny:
    case wire::kShort:
    case wire::kInt24:
    case wire::kLong:
    case wire::kLongLong:
    case wire::kFloat:
    case wire::kDouble:
    case wire::kNewDecimal:
    case wire::kBit:
    case wire::kYear:
    case wire::kDate:
    case wire::kNewDate:
    case wire::kTime:
    case wire::kTime2:
    case wire::kDatetime:
    case wire::kDatetime2:
    case wire::kTimestamp:
    case wire::kTimestamp2:
    case wire::kString:
    case wire::kEnum:
    case wire::kSet:
    case wire::kJson:
    case wire::kGeometry:
    case wire::kVector:
      return true;
    default:
      return wire::is_varchar(type) || wire::is_blob(type);
  }
}

bool has_sign(ColumnType type) { return type <= ColumnType::kDecimal; }

bool is_text(ColumnType type) {
  return type == ColumnType::kChar || type == ColumnType::kVarchar || type == ColumnType::kText ||
         type == ColumnType::kEnum || type == ColumnType::kSet;
}

// Types that the log cannot tell apart.
bool same_in_log(ColumnType logged, ColumnType defined) {
  if (logged == defined) return true;
  switch (defined) {
    case ColumnType::kUuid:
    case ColumnType::kInet4:
    case ColumnType::kInet6:
      return logged == ColumnType::kBinary;
    case ColumnType::kJson:
      return logged == ColumnType::kText;
    case ColumnType::kVector:
      return logged == ColumnType::kVarbinary || logged == ColumnType::kBlob;
    default:
      return false;
  }
}

// Whether the catalog's definition says the same as the log's own; the catalog's then only adds to it.
bool same_definition(const TableSchema& logged, const TableSchema& defined) {
  if (logged.columns.size() != defined.columns.size()) return false;
  for (size_t i = 0; i < logged.columns.size(); ++i) {
    const Column &a = logged.columns[i], &b = defined.columns[i];
    if (a.name != b.name || !same_in_log(a.type, b.type) || a.nullable != b.nullable || a.labels != b.labels)
      return false;
    if (has_sign(a.type) && a.is_unsigned != b.is_unsigned) return false;
    if (is_text(b.type) && (a.charset != b.charset || a.collation != b.collation)) return false;
    bool sized = b.type == ColumnType::kChar || b.type == ColumnType::kVarchar || b.type == ColumnType::kVarbinary;
    if (sized && a.length != b.length) return false;
  }
  const Key* primary = nullptr;
  for (const Key& key : defined.keys) {
    if (key.primary) primary = &key;
  }
  if (logged.keys.empty() || primary == nullptr) return logged.keys.empty() && primary == nullptr;
  return logged.keys[0].parts == primary->parts;
}

// What the log does not say, taken from a definition that is not quite the log's (older or newer).
void add_from_catalog(TableSchema* logged, const TableSchema& defined) {
  for (Column& column : logged->columns) {
    int index = defined.column_index(column.name);
    if (index < 0) continue;
    const Column& known = defined.columns[static_cast<size_t>(index)];
    if (!same_in_log(column.type, known.type)) continue;
    column.generated = known.generated;
    column.on_update_now = known.on_update_now;
    column.auto_increment = known.auto_increment;
    if (column.type == ColumnType::kBinary && column.length != (known.type == ColumnType::kInet4 ? 4U : 16U)) continue;
    if (column.type != known.type) column.type = known.type, column.charset.clear(), column.collation.clear();
  }
}
}  // namespace

std::string mismatch(const TableMap& map, const TableSchema& schema, const Collations& collations) {
  if (map.columns.size() != schema.columns.size()) {
    return "the log has " + std::to_string(map.columns.size()) + " columns, the definition " +
           std::to_string(schema.columns.size());
  }
  for (size_t i = 0; i < map.columns.size(); ++i) {
    const MapColumn& logged = map.columns[i];
    const Column& column = schema.columns[i];
    std::string name = "column " + column.name;
    if (map.has_names && logged.name != column.name) return name + " is called " + logged.name + " in the log";
    if (!type_fits(logged, column)) return name + " has another type in the log (" + std::to_string(logged.type) + ")";
    if (map.has_signedness && has_sign(column.type) && logged.is_unsigned != column.is_unsigned) {
      return name + " has another sign in the log";
    }
    const Collation* collation =
        map.has_charsets && column.is_character() ? collations.find(logged.collation) : nullptr;
    if (collation != nullptr && collation->charset != column.charset) {
      return name + " has character set " + collation->charset + " in the log";
    }
  }
  return {};
}

Result<TableSchema> Tables::describe(const TableMap& map) {
  TableSchema schema;
  schema.database = map.database;
  schema.name = map.table;
  for (const MapColumn& logged : map.columns) {
    Column column;
    column.name = logged.name;
    column.type = logged_type(logged);
    column.is_unsigned = has_sign(column.type) && logged.is_unsigned;
    column.nullable = logged.nullable;
    column.invisible = !logged.visible;
    column.scale = logged.scale;
    const Collation* collation = logged.collation == 0 ? nullptr : collations_.find(logged.collation);
    if (is_text(column.type)) {
      if (collation == nullptr) {
        return Error(ErrorCode::UNSUPPORTED,
                     "collation " + std::to_string(logged.collation) + " of column " + column.name +
                         " is not known to the server",
                     schema.qualified_name());
      }
      column.charset = collation->charset;
      column.collation = collation->name;
    }
    for (const std::string& label : logged.labels) {
      SLUICE_ASSIGN(std::string text, to_utf8(column.charset, label));
      column.labels.push_back(std::move(text));
    }
    switch (column.type) {
      case ColumnType::kDecimal:
        column.length = logged.precision;
        break;
      case ColumnType::kBit:
      case ColumnType::kBinary:
      case ColumnType::kVarbinary:
        column.length = logged.length;
        break;
      case ColumnType::kChar:
      case ColumnType::kVarchar:
        column.length = logged.length / bytes_per_character(column.charset);
        break;
      default:
        break;
    }
    schema.columns.push_back(std::move(column));
  }
  if (!map.primary_key.empty()) schema.keys.push_back({"PRIMARY", true, true, map.primary_key});
  return schema;
}

SchemaPtr Tables::shared(TableSchema schema) {
  uint64_t id = schema.id();
  std::weak_ptr<const TableSchema>& known = by_content_[id];
  SchemaPtr pointer = known.lock();
  if (pointer == nullptr) {
    pointer = std::make_shared<const TableSchema>(std::move(schema));
    known = pointer;
  }
  return pointer;
}

namespace {
// MariaDB logs the DELETE of a system-versioned row as an UPDATE of its period, and its UPDATE with a row of history.
// The period's columns are the only computed ones there that are NOT NULL; where they are implicit no catalog shows
// them.
bool system_versioned(const TableMap& map, const TableSchema& defined) {
  for (const Column& column : defined.columns) {
    bool period = column.type == ColumnType::kTimestamp || column.type == ColumnType::kBigInt;
    if (column.generated && !column.nullable && period) return true;
  }
  size_t count = map.columns.size();
  return map.has_names && count > 2 && map.columns[count - 2].name == "row_start" &&
         map.columns[count - 1].name == "row_end" && defined.column_index("row_start") < 0 &&
         defined.column_index("row_end") < 0;
}
}  // namespace

namespace {
// MariaDB keeps a unique key over long values as a hash in a hidden column at the row's end, which the log has and no
// catalog shows. A log with names calls it DB_ROW_HASH_1; here it is added under that name where there are none.
TableSchema with_hash_columns(const TableMap& map, const TableSchema& defined) {
  TableSchema schema = defined;
  const auto hashes = static_cast<size_t>(std::count_if(
      defined.keys.begin(), defined.keys.end(), [](const Key& key) { return key.unique && key.hash && !key.primary; }));
  if (hashes == 0 || map.columns.size() != defined.columns.size() + hashes) return schema;
  for (size_t i = defined.columns.size(); i < map.columns.size(); ++i) {
    Column column;
    column.name = "DB_ROW_HASH_" + std::to_string(i - defined.columns.size() + 1);
    column.type = ColumnType::kBigInt;
    column.is_unsigned = true;
    column.nullable = map.columns[i].nullable;
    schema.columns.push_back(std::move(column));
  }
  return schema;
}
}  // namespace

// MariaDB logs UUID and INET as BINARY(16) and BINARY(4), in bytes that nobody else understands.
Status Tables::tell_binaries(TableSchema* logged, const TableSchema* known) {
  for (Column& column : logged->columns) {
    if (column.type != ColumnType::kBinary || (column.length != 16 && column.length != 4)) continue;
    int index = known == nullptr ? -1 : known->column_index(column.name);
    if (index >= 0 && known->columns[static_cast<size_t>(index)].type == ColumnType::kBinary) continue;
    auto type = source_.type_of({logged->database, logged->name}, column.name);
    bool fits = type == ColumnType::kBinary || (type == ColumnType::kInet4) == (column.length == 4);
    if (!type || !fits) {
      return Error(ErrorCode::SCHEMA_MISMATCH,
                   "column " + column.name + " may be BINARY(" + std::to_string(column.length) +
                       "), UUID or INET: the log does not tell, and the catalog's definition is newer than the log",
                   logged->qualified_name());
    }
    column.type = *type;
  }
  return {};
}

Result<SchemaPtr> Tables::resolve(const TableMap& map, bool mariadb) {
  std::string name = map.database + "." + map.table;
  for (const MapColumn& column : map.columns) {
    if (!known_type(column.type)) {
      return Error(ErrorCode::UNSUPPORTED, "column type " + std::to_string(column.type) + " in the log", name);
    }
  }
  auto defined = source_.table({map.database, map.table});
  if (!defined.ok() && defined.error().code() != ErrorCode::NOT_FOUND) return defined.error();
  if (mariadb && defined.ok() && *defined != nullptr && system_versioned(map, **defined)) {
    return Error(ErrorCode::UNSUPPORTED, "the rows of system-versioned tables cannot be followed; leave the table out",
                 name);
  }
  if (map.full()) {
    SLUICE_ASSIGN(TableSchema logged, describe(map));
    const TableSchema* known = defined.ok() ? defined->get() : nullptr;
    if (known != nullptr && mismatch(map, *known, collations_).empty() && same_definition(logged, *known))
      return shared(TableSchema(*known));
    if (known != nullptr) add_from_catalog(&logged, *known);
    if (mariadb) SLUICE_TRY(tell_binaries(&logged, known));
    return shared(std::move(logged));
  }
  if (!defined.ok() || *defined == nullptr) {
    return Error(
        ErrorCode::SCHEMA_MISMATCH,
        "what the table was like at this place of the log is not known any more, and the log does not tell: SET GLOBAL "
        "binlog_row_metadata=FULL on the source avoids this",
        name);
  }
  TableSchema schema = with_hash_columns(map, **defined);
  std::string difference = mismatch(map, schema, collations_);
  if (!difference.empty()) return Error(ErrorCode::SCHEMA_MISMATCH, difference, name);
  return shared(std::move(schema));
}

namespace {
// MariaDB logs a sequence's refills as rows of a table of this form. A sequence is no table: its value is carried
// apart.
bool looks_like_sequence(const TableMap& map) {
  constexpr uint8_t kTypes[] = {wire::kLongLong, wire::kLongLong, wire::kLongLong, wire::kLongLong,
                                wire::kLongLong, wire::kLongLong, wire::kTiny,     wire::kLongLong};
  if (map.columns.size() != std::size(kTypes)) return false;
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    if (map.columns[i].type != kTypes[i]) return false;
  }
  return true;
}
bool is_sequence(const TableSchema& schema) {
  constexpr std::string_view kNames[] = {"next_not_cached_value", "minimum_value", "maximum_value",
                                         "start_value",           "increment",     "cache_size",
                                         "cycle_option",          "cycle_count"};
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (schema.columns[i].name != kNames[i]) return false;
  }
  return true;
}
}  // namespace

Status Tables::describe_rows(const TableMap& map, SchemaPtr schema, Table* table) {
  auto plans = plan_columns(map, *schema);
  if (!plans.ok()) return plans.error().with_object(schema->qualified_name());
  table->schema = std::move(schema);
  table->schema_id = table->schema->id();
  table->plans = std::move(plans).value();
  return {};
}

Result<Table*> Tables::map(std::string_view body, size_t id_size, bool mariadb, BinlogHandler& handler) {
  SLUICE_ASSIGN(TableMapHead head, parse_table_map_head(body, id_size));
  std::unique_ptr<Table>& entry = by_id_[head.id];
  if (entry == nullptr || entry->map_bytes != body) {
    if (entry == nullptr) entry = std::make_unique<Table>();
    Table table;
    table.map_bytes = std::string(body);
    table.database = std::string(head.database);
    table.name = std::string(head.table);
    table.wanted = handler.wants(head.database, head.table);
    table.mapped = entry->mapped;
    if (table.wanted) {
      SLUICE_ASSIGN(TableMap map, parse_table_map(body, id_size, mariadb));
      auto schema = resolve(map, mariadb);
      bool maybe_sequence = mariadb && looks_like_sequence(map);
      if (maybe_sequence &&
          (schema.ok() ? is_sequence(**schema) : schema.error().code() == ErrorCode::SCHEMA_MISMATCH)) {
        table.wanted = false;
      } else if (!schema.ok()) {
        return schema.error();
      } else {
        SLUICE_TRY(describe_rows(map, std::move(schema).value(), &table));
      }
    }
    *entry = std::move(table);
  }
  if (!entry->mapped) {
    entry->mapped = true;
    mapped_.push_back(entry.get());
  }
  return entry.get();
}

Table* Tables::find(uint64_t id) {
  if (last_ != nullptr && last_id_ == id && last_->mapped) return last_;
  auto found = by_id_.find(id);
  if (found == by_id_.end() || !found->second->mapped) return nullptr;
  last_id_ = id, last_ = found->second.get();
  return last_;
}

void Tables::end_statement() {
  for (Table* table : mapped_) table->mapped = false;
  mapped_.clear();
}

void Tables::clear() {
  mapped_.clear();
  by_id_.clear();
  last_ = nullptr;
  std::erase_if(by_content_, [](const auto& entry) { return entry.second.expired(); });
}

}  // namespace sluice::mysql
