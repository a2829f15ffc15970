// Loader: copies one chunk of a table into the target in one transaction, together with its chunk row (exactness.md
// section 3). A reading thread (of the call's own) turns source rows into pieces of text; the calling thread sends
// them. In between stands a bounded queue, so memory does not grow with the table.
//
// LOAD DATA LOCAL implies IGNORE: any warning about a value that was sent, other than a duplicate key, rolls the
// transaction back and is an error.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/budget.hpp"
#include "core/schema.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/scan.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::database {

inline constexpr uint32_t kWarningsShown = 65'535;  // the greatest max_error_count

enum class OnDuplicate : uint8_t {
  kReplace,  // a unique value that moved during the copy is read twice: the later image wins
  kKeep,     // the target's rows are not ours alone: keep them, and report
};

// How rows of a table are written; immutable, shared by all threads that copy the table.
class LoadPlan {
 public:
  // Refuses (VALUE_REJECTED) a target on which some source value could not be kept exactly: missing or generated
  // columns, other types, character sets, scales, ENUM or SET labels.
  static Result<LoadPlan> create(SchemaPtr source, SchemaPtr target, OnDuplicate on_duplicate, bool target_is_mariadb);

  const TableSchema& source() const { return *source_; }
  const TableSchema& target() const { return *target_; }
  OnDuplicate on_duplicate() const { return on_duplicate_; }
  const std::string& load_statement() const { return load_statement_; }
  const std::string& insert_prefix() const { return insert_prefix_; }  // "REPLACE INTO t (…) VALUES "
  void append_load_row(std::string& text, std::span<const ValueView> row) const;
  void append_insert_row(std::string& text, std::span<const ValueView> row) const;
  bool has_computed_columns() const { return !computed_.empty(); }  // on the target
  // Whether a warning tells of a value that the target computed, not of one that was sent: rounding in a generated
  // column is as harmless as on the source, where it happened too, and the verification compares the result. Texts as
  // in lc_messages=en_US.
  bool is_about_computed_value(const mysql::Connection::Warning& warning) const;
  // Values with index 0 in the row's ENUM columns: the server warns of each, and of none else may it warn so.
  uint64_t empty_enums(std::span<const ValueView> row) const;
  bool is_about_enum(const mysql::Connection::Warning& warning) const;
  bool has_enums() const { return !enums_.empty(); }
  // Rows of one statement, so that the server can show all warnings that computed values may cause; 0: any number.
  uint64_t statement_rows() const { return statement_rows_; }

 private:
  LoadPlan() = default;
  SchemaPtr source_, target_;
  OnDuplicate on_duplicate_ = OnDuplicate::kReplace;
  std::vector<size_t> from_, to_;  // columns written: index in the source's row, index in the target's columns
  std::string load_statement_, insert_prefix_;
  std::vector<std::string> computed_;    // generated columns of the target
  std::vector<size_t> enums_;            // indexes in the source's row
  std::vector<std::string> enum_names_;  // on the target
  uint64_t statement_rows_ = 0;
};

// Sets a registered session up for loading: no foreign key checks, CHECK constraints as on the source, all warnings
// kept; unique checks stay on. Returns whether the server takes LOAD DATA LOCAL and shows its warnings.
Result<bool> prepare_for_loading(mysql::Connection& target);

struct LoadLimits {
  bool use_load_data = true;
  size_t piece_bytes = 256 << 10;
  size_t queue_pieces = 4;
  // 0: one transaction. Else a new one, with a chunk row of its own and the next number, after so many bytes.
  uint64_t commit_bytes = 0;
  ByteBudget* budget = nullptr;  // shared by all loads of the process; may be null
  // Called by the reading thread for each piece, before it is handed on: may wait (throttle); an error ends the load.
  std::function<Status(uint64_t rows, uint64_t bytes)> pace;
  // Called by the calling thread after each commit.
  std::function<void(uint64_t rows, uint64_t bytes)> committed;
};

struct LoadResult {
  uint64_t rows = 0;        // read from the source
  uint64_t bytes = 0;       // of text sent
  uint64_t duplicates = 0;  // rows kept as they were on the target (kKeep); recorded as conflicts
  uint64_t transactions = 0;
  std::vector<std::string> conflicts;  // the first of them, in the server's words
};

// `row` names table, round and number; its range, rows and bytes are filled in. On an error nothing of the transaction
// is committed, unless the connection was lost during COMMIT: then the chunk row tells (after end_lost_connection).
// `source` may be dead after an error: a scan that is cut short ends its connection.
Result<LoadResult> load_chunk(mysql::Connection& source, mysql::Connection& target, const LoadPlan& plan,
                              const mysql::Chunk& chunk, ChunkRow row, const Owner& owner, const Lease& lease,
                              const LoadLimits& limits);

}  // namespace sluice::database
