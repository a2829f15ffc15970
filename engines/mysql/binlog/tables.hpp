// Tables: the definitions behind the log's table ids. A TABLE_MAP is turned into a schema once and found again by its
// bytes. One thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.hpp"
#include "core/schema.hpp"
#include "engines/mysql/binlog/charset.hpp"
#include "engines/mysql/binlog/image_decoder.hpp"
#include "engines/mysql/binlog/reader.hpp"
#include "engines/mysql/binlog/table_map.hpp"

namespace sluice::mysql {

struct Table {
  std::string map_bytes;  // the TABLE_MAP it was made from
  std::string database, name;
  bool wanted = false;
  bool mapped = false;  // by a TABLE_MAP of the statement that is being read
  SchemaPtr schema;     // not set when the table is not wanted
  uint64_t schema_id = 0;
  std::vector<ColumnPlan> plans;
};

class Tables {
 public:
  Tables(SchemaSource& source, const Collations& collations) : source_(source), collations_(collations) {}

  // `wants` is asked once per definition.
  Result<Table*> map(std::string_view body, size_t id_size, bool mariadb, BinlogHandler& handler);
  Table* find(uint64_t id);  // mapped in this statement
  void end_statement();      // maps are over
  void clear();              // another file or server: ids begin anew

 private:
  Result<SchemaPtr> resolve(const TableMap& map, bool mariadb);
  Result<TableSchema> describe(const TableMap& map);
  Status tell_binaries(TableSchema* logged, const TableSchema* known);
  static Status describe_rows(const TableMap& map, SchemaPtr schema, Table* table);
  SchemaPtr shared(TableSchema schema);

  SchemaSource& source_;
  const Collations& collations_;
  std::unordered_map<uint64_t, std::unique_ptr<Table>> by_id_;
  std::unordered_map<uint64_t, std::weak_ptr<const TableSchema>> by_content_;
  std::vector<Table*> mapped_;
  uint64_t last_id_ = 0;
  Table* last_ = nullptr;
};

// Empty when rows of this map can be decoded by this definition, else what differs.
std::string mismatch(const TableMap& map, const TableSchema& schema, const Collations& collations);
// How to decode rows of this map that are described by this definition.
Result<std::vector<ColumnPlan>> plan_columns(const TableMap& map, const TableSchema& schema);

}  // namespace sluice::mysql
