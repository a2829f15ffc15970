// The record codec: a batch of records in one contiguous, checksummed piece of bytes.
//
// The same bytes are stored in RocksDB, streamed over gRPC and read by sinks. Rows are read in place; decoding
// allocates nothing per row. A batch refers to table definitions by TableSchema::id(); who hands out batches hands out
// the definitions they name first.
//
// Layout, little-endian. Header (32 bytes): magic "SLB1", version u16, flags u16, record count u32, body length u32,
// XXH3-64 of the body u64, row count u32, reserved u32. Body: records, each kind u8, length u32 (of what follows),
// data:
//   kBegin     Begin: gtid, commit time, server id
//   kRows      schema id u64, op u8, flags u16, row count u32, then the images: per row one (insert, delete) or two
//              (update: before, after), each length u32 + null bitmap ((columns+7)/8) + the values that are not NULL in
//              column order: kInt/kUInt/kDouble 8 bytes, kFloat 4, kBytes length u32 + bytes
//   kDdl       Ddl
//   kCommit    Commit: position after the transaction, commit time, rows in the transaction
//   kHeartbeat Heartbeat: position reached, source's end position and time
// A transaction is kBegin, kRows.../kDdl..., kCommit; it may span batches. Foreign bytes never cause reads outside the
// buffer: every accessor checks bounds and turns damage into CORRUPTED.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/position.hpp"
#include "core/result.hpp"
#include "core/schema.hpp"
#include "core/value.hpp"

namespace sluice {

enum class RecordKind : uint8_t { kBegin = 1, kRows = 2, kDdl = 3, kCommit = 4, kHeartbeat = 5 };
enum class RowOp : uint8_t { kInsert = 1, kUpdate = 2, kDelete = 3 };

// Bits of Rows::flags.
inline constexpr uint16_t kRowsNoForeignKeyChecks = 1;  // the source ran the statement with foreign_key_checks=0
inline constexpr uint16_t kRowsNoUniqueChecks = 2;
inline constexpr uint16_t kRowsCascadesLogged = 4;  // the log also holds what foreign keys did to child rows

struct Begin {
  std::string_view gtid;       // identity of the transaction: GTID; empty when the source has none
  int64_t commit_time_us = 0;  // source's clock, Unix time in microseconds
  uint32_t server_id = 0;
};

struct Ddl {
  std::string_view database;  // default database of the statement
  std::string_view sql;       // in UTF-8 (converted from the client's charset by the reader of the log)
  uint64_t sql_mode = 0;
  int64_t timestamp_us = 0;  // @@timestamp of the statement
  std::string_view character_set_client, collation_connection, collation_server, default_collation_utf8mb4;
  std::string_view time_zone;  // SYSTEM already replaced by the source's system zone
  uint8_t foreign_key_checks = 1;
  uint8_t explicit_defaults_for_timestamp = 2;  // 0, 1 or 2 = not known
};

struct Commit {
  std::string_view gtid;
  std::string_view file;
  uint64_t offset = 0;
  std::string_view gtids;  // executed set after this transaction
  int64_t commit_time_us = 0;
  uint64_t row_count = 0;
  Position position() const { return {std::string(file), offset, std::string(gtids)}; }
};

struct Heartbeat {
  std::string_view file;
  uint64_t offset = 0;
  std::string_view gtids;      // the log was read up to here, nothing is open
  int64_t source_time_us = 0;  // source's clock when it was asked
  std::string_view end_file;   // source's end position at that time
  uint64_t end_offset = 0;
  Position position() const { return {std::string(file), offset, std::string(gtids)}; }
};

// One row image in place.
class RowView {
 public:
  RowView() = default;
  explicit RowView(std::string_view image) : image_(image) {}
  // Fills `values` (size = columns of the schema). CORRUPTED when the bytes do not fit the schema.
  Status decode(const TableSchema& schema, std::span<ValueView> values) const;
  std::string_view bytes() const { return image_; }
  bool operator==(const RowView&) const = default;

 private:
  std::string_view image_;
};

struct Rows {
  uint64_t schema_id = 0;
  RowOp op = RowOp::kInsert;
  uint16_t flags = 0;
  uint32_t row_count = 0;
  std::string_view images;

  // Calls visit(before, after) per row; for kInsert `before` and for kDelete `after` is empty. Stops at the first
  // error.
  Status for_each(const std::function<Status(RowView before, RowView after)>& visit) const;
};

using RecordView = std::variant<Begin, Rows, Ddl, Commit, Heartbeat>;

// Owns a batch's bytes; immutable and shared between threads.
class Batch {
 public:
  // Checks header, length and checksum.
  static Result<Batch> open(std::string bytes);

  std::string_view bytes() const { return *bytes_; }
  size_t size() const { return bytes_->size(); }
  uint32_t record_count() const;
  uint32_t row_count() const;
  // Calls visit(record) in order. Views point into this batch. Stops at the first error.
  Status for_each(const std::function<Status(const RecordView&)>& visit) const;

 private:
  explicit Batch(std::string bytes) : bytes_(std::make_shared<const std::string>(std::move(bytes))) {}
  std::shared_ptr<const std::string> bytes_;
};

// Builds batches. Not thread safe. Reusable after finish().
class BatchBuilder {
 public:
  void add(const Begin& begin);
  void add(const Ddl& ddl);
  void add(const Commit& commit);
  void add(const Heartbeat& heartbeat);

  // Rows of one schema, op and flags are collected into one kRows record: consecutive add_row calls with the same
  // schema, op and flags extend it. `before` for update and delete, `after` for insert and update.
  void add_row(const TableSchema& schema, uint64_t schema_id, RowOp op, uint16_t flags,
               std::span<const ValueView> before, std::span<const ValueView> after);
  // The same for images that are encoded already (from another batch).
  void add_row(uint64_t schema_id, RowOp op, uint16_t flags, RowView before, RowView after);

  bool empty() const { return record_count_ == 0; }
  size_t size() const;  // bytes that finish() would return now
  uint32_t row_count() const { return row_count_; }
  const std::vector<uint64_t>& schema_ids() const { return schema_ids_; }  // distinct, in order of first use
  std::string finish();  // header + body; the builder is empty afterwards

 private:
  struct OpenRows {
    uint64_t schema_id;
    RowOp op;
    uint16_t flags;
    size_t start;  // of the record in body_
    uint32_t rows;
  };
  void open_rows(uint64_t schema_id, RowOp op, uint16_t flags);
  void close_rows();
  size_t begin_record(RecordKind kind);
  void end_record(size_t start);
  void append_image(const TableSchema& schema, std::span<const ValueView> values);
  void append_image(std::string_view image);

  std::string body_;
  std::vector<uint64_t> schema_ids_;
  uint32_t record_count_ = 0;
  uint32_t row_count_ = 0;
  std::optional<OpenRows> open_;
};

// Encodes one row image on its own, as it stands in a batch.
std::string encode_row(const TableSchema& schema, std::span<const ValueView> values);

}  // namespace sluice
