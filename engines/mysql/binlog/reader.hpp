// BinlogReader: a source's binlog as a sequence of decoded events. Owned and used by one thread (blocking reads).
//
// It opens its own connection, announces itself as a replica, decodes events (reference: MySQL/MariaDB binlog v4) and
// calls the handler. Values come out in canonical form (core/schema.hpp Physical).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/endpoint.hpp"
#include "core/position.hpp"
#include "core/record.hpp"
#include "core/result.hpp"
#include "core/schema.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/binlog/stopper.hpp"
#include "engines/mysql/binlog/xa_branches.hpp"

namespace sluice::mysql {

// Gives the definition of a table at the point the log has reached. The log's own metadata (binlog_row_metadata=FULL)
// needs it only for what TABLE_MAP does not name (MariaDB uuid, inet; BINARY's length is in the map).
class SchemaSource {
 public:
  virtual ~SchemaSource() = default;
  virtual Result<SchemaPtr> table(const TableName& name) = 0;
  // Of a column that the log shows as BINARY(16) or BINARY(4), and table() does not tell of: kBinary, kUuid, kInet4 or
  // kInet6. Nothing when it is not known; then the table's rows are refused.
  virtual std::optional<ColumnType> type_of(const TableName& /*table*/, const std::string& /*column*/) {
    return std::nullopt;
  }
};

// Calls come in log order, from the thread that runs read(). Views live until the call returns. A transaction is
// on_begin, then on_rows/on_ddl, then on_commit; a rolled back one ends with on_rollback. A DDL outside a transaction
// is framed likewise. Prepared XA branches are delivered as a transaction when they are committed, in the position of
// their XA COMMIT.
class BinlogHandler {
 public:
  virtual ~BinlogHandler() = default;
  virtual Status on_begin(const Begin&) = 0;
  // `schema` is stable until the table's definition changes. `before` for update and delete, `after` for insert and
  // update; sizes equal schema->columns.
  virtual Status on_row(const SchemaPtr& schema, uint64_t schema_id, RowOp op, uint16_t flags,
                        std::span<const ValueView> before, std::span<const ValueView> after) = 0;
  virtual Status on_ddl(const Ddl&) = 0;
  // A statement whose text cannot be converted to UTF-8: `why` says so. What cannot stands as U+FFFD in ddl.sql, which
  // is enough to see what it is about, and too little to run it.
  virtual Status on_unreadable_ddl(const Ddl& /*ddl*/, const Error& why) { return why; }
  virtual Status on_commit(const Commit&) = 0;
  virtual Status on_rollback() = 0;
  // An XA branch is prepared, or its end has come: before the on_commit of its XA COMMIT, which ends at `end`. A reader
  // that starts in between needs the branch (BinlogOptions::branches).
  virtual Status on_prepared(const XaBranchPtr&) { return {}; }
  virtual Status on_branch_end(const XaBranch&, const Position& /*end*/) { return {}; }
  // The server is idle, or sends nothing of interest: the log was read up to here.
  virtual Status on_heartbeat(const Position&) = 0;
  // No more bytes are waiting in the socket's buffers: a good moment to flush.
  virtual Status on_idle() = 0;
  // Whether rows of this table are wanted; false skips decoding.
  virtual bool wants(std::string_view database, std::string_view table) = 0;
};

struct BinlogOptions {
  uint32_t server_id = 0;  // unique among the source's replicas
  std::chrono::milliseconds heartbeat_period{1000};
  std::chrono::milliseconds read_timeout{10'000};  // no byte for so long: CONNECTION_LOST
  // Branches that are prepared at the start, as an earlier reader told of them. Others are looked for in the older part
  // of the log when their XA COMMIT comes; POSITION_LOST when that is gone.
  std::vector<XaBranchPtr> branches;
  bool pass_unknown_branches = false;  // their rows are of no interest: nothing is looked for
  bool branches_only = false;          // nothing but XA branches is decoded and told of
  std::shared_ptr<Stopper> stopper;    // ends open() and read() with CANCELLED; not set: stop() alone does
};

// A server_id for one reading of a log: random, at least 2^30.
uint32_t random_server_id();

class BinlogReader {
 public:
  // Starts after `from`: at file:offset when this server has that file and, as far as it can tell, wrote from.gtids up
  // to there; else by from.gtids. POSITION_LOST when neither is possible.
  static Result<std::unique_ptr<BinlogReader>> open(const Endpoint&, const Position& from, const BinlogOptions&,
                                                    SchemaSource&);
  virtual ~BinlogReader() = default;
  // Reads until an error (always returns one; CANCELLED after stop(), or when the stopper was used).
  virtual Status read(BinlogHandler&) = 0;
  virtual void stop() = 0;  // from any thread
};

}  // namespace sluice::mysql
