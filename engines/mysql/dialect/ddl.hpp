// DDL: what a statement of the log does, and the same statement for the target. Stands on the tokenizer
// (dialect/tokenizer.hpp), which knows comments, versioned comments, quotes and sql_mode. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/table_mapping.hpp"

namespace sluice::mysql {

enum class DdlKind : uint8_t {
  kCreateTable, kCreateTableLike, kCreateTableSelect, kAlterTable, kDropTable, kRenameTable, kTruncateTable,
  kCreateIndex, kDropIndex,
  kCreateDatabase, kAlterDatabase, kDropDatabase,
  kCreateView, kAlterView, kDropView, kCreateSequence, kAlterSequence, kDropSequence,
  kPassedOver,   // users, grants, events, triggers, routines, ANALYZE, FLUSH, SAVEPOINT …: recognised, not applied
  kDataChange,   // INSERT, UPDATE, DELETE, REPLACE, LOAD: must never be in a row-format log
  kTransaction,  // BEGIN, COMMIT, ROLLBACK, XA …
  kUnknown,
};
// The name of the API's supportDDLTypes that governs a kind: CREATE_TABLE, ALTER_TABLE, DROP_TABLE, RENAME_TABLE,
// TRUNCATE_TABLE, CREATE_INDEX, DROP_INDEX; empty for others.
std::string_view ddl_type_name(DdlKind);

struct DdlTable {
  TableName source;         // qualified with the statement's default database
  TableName rename_to;      // RENAME TABLE, ALTER … RENAME TO; else empty
  size_t begin = 0, end = 0;  // where the (possibly qualified) name stands in the text
};

struct DdlStatement {
  DdlKind kind = DdlKind::kUnknown;
  std::vector<DdlTable> tables;   // changed by it
  std::vector<TableName> reads;   // LIKE, SELECT, REFERENCES, view bodies
  std::string database;           // CREATE/ALTER/DROP DATABASE
  bool if_exists = false, if_not_exists = false, or_replace = false, temporary = false;
  // Its result is not determined by the log alone (volatile default, added AUTO_INCREMENT, EXCHANGE PARTITION …), or
  // it brings rows along: the tables need a copy.
  bool needs_copy = false;
  std::string needs_copy_reason;
};

// `default_database` of the statement; sql_mode decides quoting. kUnknown is not an error.
Result<DdlStatement> parse_ddl(std::string_view sql, std::string_view default_database, uint64_t sql_mode);

struct DdlRewriteOptions {
  std::string comment;             // put first, as /* … */: project and position
  bool force_innodb = true;        // the engine of created tables becomes transactional
  bool drop_foreign_keys = false;  // in CREATE/ALTER TABLE: leave foreign keys out (added later)
};
// The statement for the target: every table and database name mapped and qualified. In multi-table statements tables
// outside the scope are left out; nothing left: an empty text. RENAME across the border of the scope: UNSUPPORTED,
// the caller turns it into a copy or drop.
Result<std::string> rewrite_ddl(std::string_view sql, const DdlStatement&, const TableMapping&, uint64_t sql_mode,
                                const DdlRewriteOptions&);

}  // namespace sluice::mysql
