// Log: a source's changes in RocksDB, as blocks (record batches) of one transaction or several.
//
// A transaction is visible to readers only when the block with its commit has been written, together with the position
// from which capture resumes, in one atomic write. Every start of capture is a new incarnation with blocks of its own;
// older incarnations stay readable until they expire, and a Cursor passes from one to the next by position.
//
// Durability: the write-ahead log is synced on a timer (50 ms). What a crash of the machine takes is so young that the
// source still has it. After any error of a write or sync, health() fails and nothing is written any more: the process
// that owns the log ends.
//
// Threads: begin_incarnation, append and discard_open belong to one writer thread. Everything else may be called from
// any thread. The folder belongs to one process (RocksDB's LOCK); open_read_only needs no lock.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_set>
#include <vector>

#include "core/clock.hpp"
#include "core/schema.hpp"
#include "core/table_mapping.hpp"
#include "store/log/format.hpp"

namespace rocksdb {
class DB;
class ColumnFamilyHandle;
class Status;
class WriteBatch;
}  // namespace rocksdb

namespace sluice::store {

struct LogOptions {
  std::string path;
  size_t cache_bytes = 16 << 20;         // recent blocks kept in memory
  size_t write_buffer_bytes = 32 << 20;  // RocksDB's memtable of blocks
  std::chrono::milliseconds sync_every{50};
  Clock* clock = nullptr;  // null: system_clock()
};

// A table's definition from a place in the log on: by `schema`, or, without one, not known any more. Then the name may
// stand for all tables of a database, or for all there are, by leaving out its parts.
struct TableNews {
  TableName name;
  SchemaPtr schema;
};

// What capture hands over.
struct NewBlock {
  Batch batch;
  std::vector<TableNews> tables;  // in the order of the log
  LastTransaction last;           // kept with the resume position when the block ends between transactions
  std::vector<KeptRow> kept;      // rows beside the log that change with this block
};

struct LogStatus {
  bool started = false;  // there is an incarnation
  Position begin;        // oldest position a reader can start after
  Position end;          // last complete transaction or heartbeat
  LastTransaction last;
};

class Log {
 public:
  static Result<std::unique_ptr<Log>> open(const LogOptions& options);
  // For looking at the log of a Store that may run. Every writing call fails with WRONG_STATE.
  static Result<std::unique_ptr<Log>> open_read_only(const LogOptions& options);
  ~Log();
  Log(const Log&) = delete;

  // ---- writer ----
  // Kept for ever, on disk when this returns; a second call is WRONG_STATE.
  Status set_start(const StartRow& start);
  Result<std::optional<StartRow>> start() const;
  // Blocks that follow continue after `begin`. Commits before it are older than begin_time_us (0 = not known).
  Status begin_incarnation(const Position& begin, int64_t begin_time_us);
  // A block holds whole transactions and heartbeats, or a part of exactly one transaction, which the next blocks go on
  // with; INTERNAL otherwise. Written, not yet synced, when this returns; visible when nothing is open at its end.
  Status append(const NewBlock& block);
  // Forgets the blocks of a transaction that was not finished (rolled back, or the connection was lost).
  Status discard_open();

  // ---- reading (cursor.hpp) ----
  LogStatus status() const;
  Status health() const;
  Result<SchemaPtr> schema(uint64_t id) const;
  // The definitions that tables have at the resume position, as far as they are known.
  Status for_each_table(const std::function<Status(SchemaPtr)>& visit) const;
  Status for_each_kept(const std::function<Status(std::string_view name, std::string_view bytes)>& visit) const;
  uint64_t bytes_on_disk() const;
  // The listener is called after every change of what is visible, from the writer's thread; it must be quick.
  uint64_t add_listener(std::function<void()> listener);
  void remove_listener(uint64_t id);

  // Used by Cursor.
  std::vector<Incarnation> incarnations() const;  // oldest first
  struct Extent {
    uint64_t first = 0, visible = 0;
    bool exists = false;
    uint64_t next_incarnation = 0;  // 0: this is the newest
  };
  Extent extent(uint64_t incarnation) const;  // next_incarnation of 0 is the oldest
  Result<BlockInfo> block_info(uint64_t incarnation, uint64_t sequence) const;
  Result<std::shared_ptr<const StoredBlock>> block(uint64_t incarnation, uint64_t sequence) const;

  // ---- readers and retention (retention.cpp) ----
  std::vector<ReaderRow> readers() const;
  // STALE_EPOCH when the name is known with a newer epoch. The position of a known reader is only moved forward.
  Status register_reader(const ReaderRow& reader);
  Status set_durable(const std::string& reader, const Position& durable);  // written at most once a second
  // Removes blocks written before this time that no registered reader needs. Until a reader has registered nothing is
  // removed: the project's own reader may still have to come. Returns the number of blocks.
  Result<uint64_t> expire(int64_t written_before_us);
  // Gives the disk back what expired blocks and the write-ahead log of stored ones still take. May take seconds.
  Status release_space();

 private:
  Log() = default;
  static Result<std::unique_ptr<Log>> open_at(const LogOptions& options, bool read_only);
  Status load();
  Status cut_tail(const Incarnation& row);
  Result<BlockInfo> describe(const Batch& batch) const;
  Status take_tables(const std::vector<TableNews>& tables, rocksdb::WriteBatch& batch);
  Status write(rocksdb::WriteBatch& batch, bool sync);
  Error fail(const rocksdb::Status& status, std::string_view what) const;
  void publish(std::shared_ptr<const StoredBlock> block, const Incarnation& row);
  void sync_loop();
  Result<uint64_t> expire_incarnation(Incarnation row, bool newest, const std::function<bool(const BlockInfo&)>& gone);
  Result<uint64_t> expire_while(const std::function<bool(const BlockInfo&)>& gone);

  LogOptions options_;
  Clock* clock_ = nullptr;
  bool read_only_ = false;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* meta_ = nullptr;
  rocksdb::ColumnFamilyHandle* blocks_ = nullptr;
  rocksdb::ColumnFamilyHandle* index_ = nullptr;
  rocksdb::ColumnFamilyHandle* schemas_ = nullptr;

  // Writer thread only.
  uint64_t current_ = 0;  // incarnation; 0 before begin_incarnation
  uint64_t next_sequence_ = 1;
  uint64_t open_sequence_ = 0;  // where the open transaction began; 0 when none is open
  std::unordered_set<uint64_t> known_schemas_;
  // What blocks since the last complete one say of tables, by qualified name; nothing: their definition is not known.
  std::map<std::string, std::optional<uint64_t>> table_news_;

  mutable std::mutex mutex_;
  std::map<uint64_t, Incarnation> incarnations_;
  std::deque<std::shared_ptr<const StoredBlock>> recent_;  // of the current incarnation, no holes
  size_t recent_bytes_ = 0;
  std::map<std::string, ReaderRow> readers_;
  std::map<std::string, int64_t> reader_saved_us_;
  mutable std::map<uint64_t, SchemaPtr> schema_cache_;
  mutable std::optional<Error> failure_;

  std::mutex listeners_mutex_;
  std::map<uint64_t, std::function<void()>> listeners_;
  uint64_t next_listener_ = 1;

  std::mutex sync_mutex_;
  std::condition_variable sync_wake_;
  bool stopping_ = false;
  std::atomic<bool> dirty_{false};
  std::mutex retention_mutex_;  // one expiry at a time
  std::thread sync_thread_;
};

}  // namespace sluice::store
