// LogEvents: the batches of a Store cut into transactions, in log order. Pure; one thread.
//
// A transaction that grows beyond the limit is handed out in pieces, so that the batches it came in can be given back
// while it is still arriving.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/record.hpp"
#include "sinks/database/apply/ddl_runner.hpp"

namespace sluice::agents::incr_sync {

struct LoggedRow {
  uint64_t schema_id = 0;
  RowOp op = RowOp::kInsert;
  uint16_t flags = 0;
  RowView before, after;
};

struct LogEvent {
  bool heartbeat = false;  // only `end` counts
  bool first_piece = true, last_piece = true;
  std::string id;  // GTID, else "file:offset" of the end; of a piece that is not the last the GTID or nothing
  Position end;    // of a piece that is not the last: empty
  int64_t commit_time_us = 0;
  uint64_t bytes = 0;
  std::vector<LoggedRow> rows;
  std::vector<database::DdlEvent> ddl;            // stand before the rows
  std::vector<std::shared_ptr<const void>> pins;  // the batches that the rows point into
  bool whole() const { return first_piece && last_piece; }
};

class LogEvents {
 public:
  // Of images and what is kept beside them.
  explicit LogEvents(uint64_t piece_bytes) : piece_bytes_(piece_bytes) {}
  // `pin` keeps the batch alive, and gives its bytes back to the Store when it is let go.
  Status add(const Batch& batch, const std::shared_ptr<const void>& pin);
  std::deque<LogEvent> take() { return std::exchange(ready_, {}); }

 private:
  Status add(const Begin& begin);
  Status add(const Rows& rows);
  Status add(const Ddl& ddl);
  Status add(const Commit& commit);
  Status add(const Heartbeat& heartbeat);
  void pin_batch();
  void name_ddl();
  void cut();

  const uint64_t piece_bytes_;
  std::deque<LogEvent> ready_;
  LogEvent open_;
  bool in_transaction_ = false;
  std::shared_ptr<const void> pin_;
};

}  // namespace sluice::agents::incr_sync
