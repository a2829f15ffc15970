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
  kCreateTable,
  kCreateTableLike,
  kCreateTableSelect,
  kAlterTable,
  kDropTable,
  kRenameTable,
  kTruncateTable,
  kCreateIndex,
  kDropIndex,
  kCreateDatabase,
  kAlterDatabase,
  kDropDatabase,
  kCreateView,
  kAlterView,
  kDropView,
  kCreateSequence,
  kAlterSequence,
  kDropSequence,
  kPassedOver,   // users, grants, events, triggers, routines, ANALYZE, FLUSH, SAVEPOINT …: recognised, not applied
  kDataChange,   // INSERT, UPDATE, DELETE, REPLACE, LOAD: must never be in a row-format log
  kTransaction,  // BEGIN, COMMIT, ROLLBACK, XA …
  kUnknown,
};
// The name of the API's supportDDLTypes that governs a kind: CREATE_TABLE, ALTER_TABLE, DROP_TABLE, RENAME_TABLE,
// TRUNCATE_TABLE, CREATE_INDEX, DROP_INDEX; empty for others.
std::string_view ddl_type_name(DdlKind);

struct DdlTable {
  TableName source;           // qualified with the statement's default database
  TableName rename_to;        // RENAME TABLE, ALTER … RENAME TO; else empty
  size_t begin = 0, end = 0;  // where the (possibly qualified) name stands in the text
};

struct DdlStatement {
  DdlKind kind = DdlKind::kUnknown;
  std::vector<DdlTable> tables;  // changed by it
  std::vector<TableName> reads;  // LIKE, SELECT, REFERENCES, view bodies
  std::string database;          // CREATE/ALTER/DROP DATABASE
  std::string default_database;  // as parse_ddl was told; rewrite_ddl qualifies with it
  bool if_exists = false, if_not_exists = false, or_replace = false, temporary = false;
  // Its result is not determined by the log alone (volatile default, added AUTO_INCREMENT, EXCHANGE PARTITION …), or
  // it brings rows along: the tables need a copy.
  bool needs_copy = false;
  std::string needs_copy_reason;
  // ALTER TABLE that adds or drops foreign keys. In a window, where keys are left out, an exact result needs a new copy
  // of a table whose own window is over: its recorded definition has other keys.
  bool changes_foreign_keys = false;
  std::vector<std::string>
      renamed_columns;  // old names in ALTER TABLE: RENAME COLUMN, CHANGE (perhaps to the same name)
};

// `default_database` of the statement; sql_mode decides quoting. kUnknown is not an error.
Result<DdlStatement> parse_ddl(std::string_view sql, std::string_view default_database, uint64_t sql_mode);

struct DdlRewriteOptions {
  // Put first, as /* … */: project and position. In DROP TABLE it stands behind [IF EXISTS]: servers write that
  // statement anew for their logs and keep a comment only there.
  std::string comment;
  bool force_innodb = true;        // the engine of created tables becomes transactional
  bool drop_foreign_keys = false;  // in CREATE/ALTER TABLE: leave foreign keys out (added later)
};
// The statement for the target: every table and database name mapped and qualified. In multi-table statements tables
// outside the scope are left out; nothing left (temporary tables, statements that are passed over, an ALTER that only
// added foreign keys which are left out): an empty text. Foreign keys to tables outside the scope are always left out,
// and so is what only says how to run the statement (WAIT, ALGORITHM, LOCK) or where to keep files (DATA DIRECTORY).
// Views hold no rows and are created late, so their statements are made repeatable (OR REPLACE, IF EXISTS). A DROP of
// several names is logged even if some were not there: it becomes IF EXISTS.
// UNSUPPORTED: RENAME across the border of the scope (the caller turns it into a copy or drop), tables outside the
// scope in LIKE, queries and defaults, engines without rows of their own, DROP DATABASE that would take tables
// outside the scope along.
Result<std::string> rewrite_ddl(std::string_view sql, const DdlStatement&, const TableMapping&, uint64_t sql_mode,
                                const DdlRewriteOptions&);

}  // namespace sluice::mysql
