#include "store/log/log.hpp"

#include <rocksdb/db.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

#include "core/log.hpp"

namespace sluice::store {
namespace {

constexpr std::string_view kFormatKey = "v";
constexpr std::string_view kStartKey = "s";

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }

std::vector<rocksdb::ColumnFamilyDescriptor> families(const LogOptions& options) {
  rocksdb::ColumnFamilyOptions small;
  small.write_buffer_size = 4 << 20;
  rocksdb::ColumnFamilyOptions blocks;
  blocks.write_buffer_size = options.write_buffer_bytes;
  blocks.max_write_buffer_number = 3;
  blocks.compression = rocksdb::kLZ4Compression;
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 64 << 10;
  table.no_block_cache = true;  // read once, in order; recent blocks have a cache of their own
  blocks.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return {{rocksdb::kDefaultColumnFamilyName, small}, {"blocks", blocks}, {"index", small}, {"schemas", small}};
}

rocksdb::DBOptions database_options() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.bytes_per_sync = 1 << 20;
  options.wal_bytes_per_sync = 1 << 20;
  options.max_total_wal_size = 256 << 20;  // small families would otherwise hold old write-ahead logs
  options.keep_log_file_num = 3;
  options.max_open_files = 512;
  return options;
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(const LogOptions& options) { return open_at(options, false); }
Result<std::unique_ptr<Log>> Log::open_read_only(const LogOptions& options) { return open_at(options, true); }

Result<std::unique_ptr<Log>> Log::open_at(const LogOptions& options, bool read_only) {
  std::unique_ptr<Log> log(new Log);
  log->options_ = options;
  log->clock_ = options.clock ? options.clock : &system_clock();
  log->read_only_ = read_only;
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  auto status = read_only
                    ? rocksdb::DB::OpenForReadOnly(database_options(), options.path, families(options), &handles, &db)
                    : rocksdb::DB::Open(database_options(), options.path, families(options), &handles, &db);
  if (!status.ok()) return log->fail(status, "open");
  log->db_.reset(db);
  log->meta_ = handles[0];
  log->blocks_ = handles[1];
  log->index_ = handles[2];
  log->schemas_ = handles[3];
  SLUICE_TRY(log->load());
  if (!read_only) log->sync_thread_ = std::thread([self = log.get()] { self->sync_loop(); });
  return log;
}

Log::~Log() {
  if (sync_thread_.joinable()) {
    {
      std::lock_guard lock(sync_mutex_);
      stopping_ = true;
    }
    sync_wake_.notify_all();
    sync_thread_.join();
  }
  if (!db_) return;
  if (!read_only_ && dirty_) (void)db_->SyncWAL();
  for (auto* handle : {meta_, blocks_, index_, schemas_})
    if (handle) (void)db_->DestroyColumnFamilyHandle(handle);
}

// Reads the rows and cuts what was not made visible.
Status Log::load() {
  std::string format;
  auto found = db_->Get({}, meta_, slice(kFormatKey), &format);
  if (found.IsNotFound() && !read_only_) {
    auto written = db_->Put({}, meta_, slice(kFormatKey), std::to_string(kLogFormat));
    if (!written.ok()) return fail(written, "write format");
  } else if (!found.ok()) {
    return fail(found, "read format");
  } else if (format != std::to_string(kLogFormat)) {
    return Error(ErrorCode::UNSUPPORTED, "the Store's log has format " + format, options_.path);
  }
  std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator({}, meta_));
  for (rows->Seek("b"); rows->Valid() && rows->key().starts_with("b"); rows->Next()) {
    std::string front, key = rows->key().ToString();
    key[0] = 'f';
    auto status = db_->Get({}, meta_, key, &front);
    if (!status.ok()) return fail(status, "read an incarnation");
    SLUICE_ASSIGN(auto row, Incarnation::decode(front, rows->value().ToStringView()));
    incarnations_[row.id] = row;
  }
  for (rows->Seek("r"); rows->Valid() && rows->key().starts_with("r"); rows->Next()) {
    SLUICE_ASSIGN(auto row, ReaderRow::decode(rows->value().ToStringView()));
    readers_[row.name] = row;
  }
  if (!rows->status().ok()) return fail(rows->status(), "read rows");
  if (read_only_ || incarnations_.empty()) return {};
  return cut_tail(incarnations_.rbegin()->second);
}

Status Log::cut_tail(const Incarnation& row) {
  std::unique_ptr<rocksdb::Iterator> tail(db_->NewIterator({}, index_));
  tail->Seek(block_key(row.id, row.visible + 1));
  if (!tail->status().ok()) return fail(tail->status(), "look for a tail");
  if (!tail->Valid()) return {};
  log::info("store.log", "cut unfinished tail", {{"incarnation", row.id}, {"visible", row.visible}});
  rocksdb::WriteBatch batch;
  for (auto* family : {blocks_, index_})
    batch.DeleteRange(family, block_key(row.id, row.visible + 1), block_key(row.id + 1, 0));
  return write(batch, true);
}

Error Log::fail(const rocksdb::Status& status, std::string_view what) const {
  auto code = ErrorCode::IO_ERROR;
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kNoSpace) code = ErrorCode::DISK_FULL;
  if (status.IsCorruption()) code = ErrorCode::CORRUPTED;
  if (status.IsNotFound()) code = ErrorCode::NOT_FOUND;
  return Error(code, std::string(what) + ": " + status.ToString(), options_.path);
}

Status Log::health() const {
  std::lock_guard lock(mutex_);
  return failure_ ? Status(*failure_) : Status();
}

Status Log::write(rocksdb::WriteBatch& batch, bool sync) {
  if (read_only_) return Error(ErrorCode::WRONG_STATE, "the log is open for reading only", options_.path);
  SLUICE_TRY(health());
  rocksdb::WriteOptions options;
  options.sync = sync;
  auto status = db_->Write(options, &batch);
  if (status.ok()) {
    if (!sync) dirty_ = true;
    return {};
  }
  Error error = fail(status, "write");
  std::lock_guard lock(mutex_);
  if (!failure_) failure_ = error;
  return error;
}

void Log::sync_loop() {
  std::unique_lock lock(sync_mutex_);
  while (!stopping_) {
    sync_wake_.wait_for(lock, options_.sync_every, [this] { return stopping_; });
    if (!dirty_.exchange(false)) continue;
    lock.unlock();
    auto status = db_->SyncWAL();
    if (!status.ok()) {
      Error error = fail(status, "sync");
      log::error("store.log", "sync failed", {{"error", error}});
      std::lock_guard state(mutex_);
      if (!failure_) failure_ = error;
    }
    lock.lock();
  }
}

// ---- writer ----

Status Log::set_start(const StartRow& row) {
  SLUICE_ASSIGN(auto present, start());
  if (present) return Error(ErrorCode::WRONG_STATE, "the start position is recorded already", options_.path);
  rocksdb::WriteBatch batch;
  batch.Put(meta_, slice(kStartKey), row.encode());
  return write(batch, true);
}

Result<std::optional<StartRow>> Log::start() const {
  std::string value;
  auto status = db_->Get({}, meta_, slice(kStartKey), &value);
  if (status.IsNotFound()) return std::optional<StartRow>();
  if (!status.ok()) return fail(status, "read start");
  SLUICE_ASSIGN(auto row, StartRow::decode(value));
  return std::optional<StartRow>(std::move(row));
}

Status Log::begin_incarnation(const Position& begin, int64_t begin_time_us) {
  SLUICE_TRY(discard_open());
  Incarnation row;
  rocksdb::WriteBatch batch;
  {
    std::lock_guard lock(mutex_);
    if (!incarnations_.empty()) {
      const Incarnation& newest = incarnations_.rbegin()->second;
      row.id = newest.id;
      // What a start without any block leaves behind holds nothing; only its continuity data is carried over.
      row.last = newest.last;
      if (newest.visible < newest.first) {
        batch.Delete(meta_, front_key(newest.id));
        batch.Delete(meta_, back_key(newest.id));
      }
    }
    ++row.id;
  }
  row.begin = row.end = begin;
  row.begin_time_us = begin_time_us;
  batch.Put(meta_, front_key(row.id), row.encode_front());
  batch.Put(meta_, back_key(row.id), row.encode_back());
  SLUICE_TRY(write(batch, true));
  current_ = row.id;
  next_sequence_ = row.first;
  {
    std::lock_guard lock(mutex_);
    if (!incarnations_.empty()) {
      auto newest = std::prev(incarnations_.end());
      if (newest->second.visible < newest->second.first) incarnations_.erase(newest);
    }
    incarnations_[row.id] = row;
    recent_.clear();
    recent_bytes_ = 0;
  }
  std::lock_guard lock(listeners_mutex_);
  for (auto& [id, listener] : listeners_) listener();
  return {};
}

// Reads a block's records into its index entry; INTERNAL when the block breaks the rule of append().
Result<BlockInfo> Log::describe(const Batch& batch) const {
  BlockInfo info;
  info.bytes = batch.size();
  info.rows = batch.row_count();
  bool open = open_sequence_ != 0, began_open = open, broken = false;
  uint64_t ends = 0;
  Position end;
  SLUICE_TRY(batch.for_each([&](const RecordView& record) -> Status {
    if (auto* commit = std::get_if<Commit>(&record)) {
      broken |= !open;
      open = false;
      ++ends;
      if (!info.first_commit_us) info.first_commit_us = commit->commit_time_us;
      info.last_commit_us = commit->commit_time_us;
      info.max_commit_us = std::max(info.max_commit_us, commit->commit_time_us);
      end = commit->position();
    } else if (auto* heartbeat = std::get_if<Heartbeat>(&record)) {
      broken |= open;
      ++ends;
      end = heartbeat->position();
    } else if (std::holds_alternative<Begin>(record)) {
      broken |= open || (began_open && ends);
      open = true;
    } else {
      broken |= !open;
      if (auto* rows = std::get_if<Rows>(&record))
        if (std::find(info.schema_ids.begin(), info.schema_ids.end(), rows->schema_id) == info.schema_ids.end())
          info.schema_ids.push_back(rows->schema_id);
    }
    return {};
  }));
  broken |= (open && ends) || (began_open && !open && ends != 1) || batch.record_count() == 0;
  if (broken) return Error(ErrorCode::INTERNAL, "a block must hold whole transactions or a part of exactly one");
  info.complete = !open;
  info.end = end;
  return info;
}

// Definitions are stored at once, as rows of the block refer to them; what tables have at the resume position changes
// with it.
Status Log::take_tables(const std::vector<TableNews>& tables, rocksdb::WriteBatch& batch) {
  for (const TableNews& table : tables) {
    if (table.schema) {
      uint64_t id = table.schema->id();
      if (!known_schemas_.contains(id)) batch.Put(schemas_, schema_key(id), table.schema->encode());
      table_news_[table.schema->qualified_name()] = id;
    } else if (!table.name.table.empty()) {
      table_news_[table.name.to_string()] = std::nullopt;
    } else {
      std::string prefix = table.name.database.empty() ? "" : table.name.database + ".";
      for (auto& [name, schema] : table_news_)
        if (name.starts_with(prefix)) schema = std::nullopt;
      std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator({}, meta_));
      for (rows->Seek("t" + prefix); rows->Valid() && rows->key().starts_with("t" + prefix); rows->Next())
        table_news_[rows->key().ToString().substr(1)] = std::nullopt;
      if (!rows->status().ok()) return fail(rows->status(), "read table definitions");
    }
  }
  return {};
}

Status Log::append(const NewBlock& block) {
  if (!current_) return Error(ErrorCode::WRONG_STATE, "no incarnation was begun", options_.path);
  SLUICE_ASSIGN(auto info, describe(block.batch));
  Incarnation row;
  {
    std::lock_guard lock(mutex_);
    row = incarnations_.at(current_);
  }
  info.incarnation = current_;
  info.sequence = next_sequence_;
  info.transaction_sequence = open_sequence_ ? open_sequence_ : info.sequence;
  info.max_commit_us = std::max(info.max_commit_us, row.max_commit_us);
  info.written_us = clock_->unix_time_us();
  if (!info.complete) info.end = row.end;
  rocksdb::WriteBatch batch;
  SLUICE_TRY(take_tables(block.tables, batch));
  for (const KeptRow& row : block.kept) {
    if (row.bytes)
      batch.Put(meta_, "k" + row.name, *row.bytes);
    else
      batch.Delete(meta_, "k" + row.name);
  }
  std::string key = block_key(info.incarnation, info.sequence);
  batch.Put(blocks_, key, slice(block.batch.bytes()));
  batch.Put(index_, key, info.encode());
  if (info.complete) {
    row.visible = info.sequence;
    row.end = info.end;
    row.last = block.last;
    row.max_commit_us = info.max_commit_us;
    batch.Put(meta_, back_key(current_), row.encode_back());
    for (const auto& [table, schema] : table_news_)
      if (schema)
        batch.Put(meta_, "t" + table, schema_key(*schema));
      else
        batch.Delete(meta_, "t" + table);
  }
  SLUICE_TRY(write(batch, false));
  for (const TableNews& table : block.tables)
    if (table.schema) known_schemas_.insert(table.schema->id());
  if (info.complete) table_news_.clear();
  open_sequence_ = info.complete ? 0 : info.transaction_sequence;
  ++next_sequence_;
  publish(std::make_shared<const StoredBlock>(StoredBlock{std::move(info), block.batch}), row);
  return {};
}

void Log::publish(std::shared_ptr<const StoredBlock> block, const Incarnation& row) {
  bool complete = block->info.complete;
  {
    std::lock_guard lock(mutex_);
    recent_bytes_ += block->batch.size();
    recent_.push_back(std::move(block));
    while (recent_bytes_ > options_.cache_bytes && !recent_.empty()) {
      recent_bytes_ -= recent_.front()->batch.size();
      recent_.pop_front();
    }
    if (complete) {
      // Retention may have moved `first` and `begin` meanwhile; only the newest end is ours to change.
      Incarnation& known = incarnations_.at(row.id);
      known.visible = row.visible;
      known.end = row.end;
      known.last = row.last;
      known.max_commit_us = row.max_commit_us;
    }
  }
  if (!complete) return;
  std::lock_guard lock(listeners_mutex_);
  for (auto& [id, listener] : listeners_) listener();
}

Status Log::discard_open() {
  if (!open_sequence_) return {};
  rocksdb::WriteBatch batch;
  for (auto* family : {blocks_, index_})
    batch.DeleteRange(family, block_key(current_, open_sequence_), block_key(current_ + 1, 0));
  SLUICE_TRY(write(batch, false));
  {
    std::lock_guard lock(mutex_);
    while (!recent_.empty() && recent_.back()->info.sequence >= open_sequence_) {
      recent_bytes_ -= recent_.back()->batch.size();
      recent_.pop_back();
    }
  }
  next_sequence_ = open_sequence_;
  open_sequence_ = 0;
  table_news_.clear();
  return {};
}

}  // namespace sluice::store
