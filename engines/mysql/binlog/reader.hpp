// BinlogReader: a source's binlog as a sequence of decoded events. Owned and used by one thread (blocking reads).
//
// It opens its own connection, announces itself as a replica, decodes events (reference: MySQL/MariaDB binlog v4) and
// calls the handler. Values come out in canonical form (core/schema.hpp Physical).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/endpoint.hpp"
#include "core/position.hpp"
#include "core/record.hpp"
#include "core/result.hpp"
#include "core/schema.hpp"
#include "core/table_mapping.hpp"

namespace sluice::mysql {

// Gives the definition of a table at the point the log has reached. The log's own metadata (binlog_row_metadata=FULL)
// needs it only for what TABLE_MAP does not name (MariaDB uuid, inet; BINARY's length is in the map).
class SchemaSource {
 public:
  virtual ~SchemaSource() = default;
  virtual Result<SchemaPtr> table(const TableName& name) = 0;
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
  virtual Status on_commit(const Commit&) = 0;
  virtual Status on_rollback() = 0;
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
};

class BinlogReader {
 public:
  // Starts after `from`: at file:offset when this server has that file and, as far as it can tell, wrote from.gtids up
  // to there; else by from.gtids. POSITION_LOST when neither is possible.
  static Result<std::unique_ptr<BinlogReader>> open(const Endpoint&, const Position& from, const BinlogOptions&,
                                                    SchemaSource&);
  virtual ~BinlogReader() = default;
  // Reads until an error (always returns one; CANCELLED after stop()).
  virtual Status read(BinlogHandler&) = 0;
  virtual void stop() = 0;  // from any thread
  // Where a later reader may start and miss nothing: the end of what was delivered, or, while XA branches are
  // prepared, the end of the group before the oldest of them. From the thread of read(), also inside its calls.
  virtual Position safe_resume() const = 0;
};

}  // namespace sluice::mysql
