// Bookkeeping in the target (exactness.md section 1): fence, connections, checkpoints, tables' windows, chunks,
// rechecks, conflicts and the DDL journal. Every function runs on the connection that it is given; none keeps state.
// All tables live in the meta database and are transactional.
// Thread: the one that owns the connection. A write takes part in the transaction that is open on it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/lease.hpp"
#include "core/position.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/connection.hpp"

namespace sluice::database {

// Who writes: the component of a project, under an epoch.
struct Owner {
  std::string project, component;
  uint64_t epoch = 0;
  std::string meta_database = "sluice";
};

// Creates the meta database and its tables when they are missing. Idempotent.
Status create_bookkeeping(mysql::Connection&, const std::string& meta_database);
// Removes what a project left, when its components have ended: fences all of them out for ever, then deletes its rows,
// the fences last, then drops the meta database when nothing but our empty tables is in it. Idempotent; nothing to do
// when the meta database is gone. The owner is the component that releases: always the same one of a project.
Status release_project(const Endpoint& target, const Owner&, const Lease&);

// Take-over in the order of section 1: raise the fence (killing registered connections that block it), kill every
// registered connection of older epochs that still lives, until none is left. STALE_EPOCH when the fence is newer.
// Bounded (60 s, then TIMED_OUT). Calling it again with the same epoch ends nothing of that epoch: two processes must
// never share an epoch, so every start of a process has a new one.
Status take_over(const Endpoint& target, const Owner&);

// A connection that has registered itself under the fence before any other statement. STALE_EPOCH when the fence row
// does not hold the owner's epoch. The lease is checked before connecting.
Result<std::unique_ptr<mysql::Connection>> open_registered(const Endpoint& target, const mysql::ConnectOptions&,
                                                           const Owner&, const Lease&);

// Ends one connection of this owner and epoch whose answers were lost, and returns when the server has let go of it:
// what it had not committed is undone, what it committed can be read. `connection` is another one of the same owner.
Status end_lost_connection(mysql::Connection& connection, const Owner&, uint64_t id);

// ---- checkpoints ----
struct CheckpointRow {
  uint32_t applier = 0;
  uint64_t epoch = 0;
  uint64_t seq = 0;
  Position low_watermark;
  std::vector<std::string> applied;  // ids of transactions above the watermark
};
std::string encode_applied(const std::vector<std::string>& ids);  // delta-coded text
Result<std::vector<std::string>> decode_applied(std::string_view text);

Result<std::vector<CheckpointRow>> read_checkpoints(mysql::Connection&, const Owner&, bool for_update);
// Under the fence, in one transaction: replaces all rows of the component by `rows` (with the owner's epoch).
Status rewrite_checkpoints(mysql::Connection&, const Owner&, const std::vector<CheckpointRow>& rows);
// The UPDATE of section 1, followed by a statement that fails (server error kGuardFailed) unless exactly one row
// matched; for the end of a packet, before COMMIT. Statements are separated by ';', the last one has none.
inline constexpr uint32_t kGuardFailed = 1242;
std::string checkpoint_sql(const Owner&, const CheckpointRow& next, uint64_t expected_seq);
// Why the row of `applier` did not match, after a ROLLBACK: STALE_EPOCH, or TARGET_LOST_COMMITS.
Error guard_failed(mysql::Connection&, const Owner&, uint32_t applier, uint64_t expected_seq);

// Rows and definitions of the source are written as they are: they may be older than its CHECK constraints, or were
// written without them. Servers without the variable have nothing to switch off.
Status switch_off_check_constraints(mysql::Connection&);

// ---- tables and chunks ----
enum class TableState : uint8_t { kPending, kCopying, kCopied, kNeedsCopy };
struct TableRow {
  TableName source, target;
  TableState state = TableState::kPending;
  uint32_t round = 0;     // how often the copy was started
  Position window_start;  // A
  Position window_end;    // B, set with kCopied
  bool keyless = false;   // copied in one snapshot: window_start == window_end
  uint64_t rows = 0, bytes = 0;
  double seconds = 0;
  std::string definition;  // TableSchema::encode() of the source at A
  std::string table_id;    // the source server's id of the table at A: shows TRUNCATE and RENAME; may be empty
  // The source's text at A, from which the target's table was created (mysql::without_counter): it tells what a schema
  // does not hold, as defaults, checks, kinds of indexes. Empty: the table on the target is not ours to change.
  std::string created_from;
};
Result<std::vector<TableRow>> read_tables(mysql::Connection&, const Owner&);
Result<std::optional<TableRow>> read_table_row(mysql::Connection&, const Owner&, const TableName& source);
Status write_table(mysql::Connection&, const Owner&, const TableRow&);           // insert or replace, under the fence
Status forget_table(mysql::Connection&, const Owner&, const TableName& source);  // the log has dropped it

struct ChunkRow {
  TableName table;  // source
  uint32_t round = 0;
  uint64_t number = 0;
  std::string range;  // Chunk::encode()
  uint64_t rows = 0, bytes = 0;
};
Result<std::vector<ChunkRow>> read_chunks(mysql::Connection&, const Owner&, const TableName&, uint32_t round);
// The finished chunk with this table, round and number, or none.
Result<std::optional<ChunkRow>> read_chunk(mysql::Connection&, const Owner&, const ChunkRow&);
// INSERT for the end of the chunk's own transaction: finished rows only ever commit together with the chunk's data.
// Affects no row (and so must be checked by the caller) when the fence is newer.
std::string chunk_sql(const Owner&, const ChunkRow&);

// ---- rows to be read again (section 3, cascades) ----
struct RecheckRow {
  uint64_t id = 0;
  TableName table;               // source
  std::vector<std::string> key;  // literals of the row key's columns
};
// In the open transaction, in statements of a bounded size.
Status write_rechecks(mysql::Connection&, const Owner&, const std::vector<RecheckRow>&, Lease&);
Result<std::vector<RecheckRow>> read_rechecks(mysql::Connection&, const Owner&, size_t limit);

// ---- conflicts: rows of the target that were not as the source's log, or the copy, expected them ----
enum class ConflictPolicy : uint8_t { kStop, kOverwrite, kSkip };
struct ConflictRow {
  TableName table;   // source
  std::string key;   // the condition that finds the row on either side; empty: not known (a table without a key)
  std::string kind;  // INSERT, UPDATE, DELETE, COPY
  ConflictPolicy policy = ConflictPolicy::kSkip;
  std::string position;  // id of the transaction; empty for the copy
  std::string cause;
};
struct ConflictTotals {
  uint64_t total = 0;
  uint64_t skipped = 0;  // of them, rows that were left as they were: they may differ from the source
  uint64_t kept = 0;     // rows that read_conflicts can give; fewer than `total` when there were too many
};
inline constexpr uint64_t kConflictsKept =
    10'000;  // of a project, a little more when several connections write at once
// Inside the transaction that writes the rows, on its connection: the totals are exact, the rows bounded. Writers with
// different slots do not wait for each other; a component uses few (an applier its number, a chunk its number modulo
// some small one). `total` and `skipped` are those of this transaction, at least as many as `rows` tell.
Status record_conflicts(mysql::Connection&, const Owner&, uint32_t slot, const std::vector<ConflictRow>& rows,
                        uint64_t total, uint64_t skipped);
// Of the whole project, oldest first.
Result<std::vector<ConflictRow>> read_conflicts(mysql::Connection&, const Owner&, size_t limit = kConflictsKept);
Result<ConflictTotals> read_conflict_totals(mysql::Connection&, const Owner&);

// ---- DDL journal ----
enum class DdlState : uint8_t { kBefore, kExecuting, kDone, kFailed, kSkipped };
struct DdlRow {
  std::string position;   // of the statement in the source's log (unique within a project), at most 512 bytes
  std::string statement;  // as sent to the target
  std::string before;     // JSON: definitions and server table ids of the tables concerned
  DdlState state = DdlState::kBefore;
  std::string error;
  std::string decision;  // identity of the operator's decision that was carried out last; empty: none
};
Status write_ddl(mysql::Connection&, const Owner&, const DdlRow&);
Result<std::vector<DdlRow>> read_ddl(mysql::Connection&, const Owner&, bool unfinished_only);

}  // namespace sluice::database
