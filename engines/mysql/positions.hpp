// Positions of a source (exactness.md section 2).
// Each function runs on the given connection, on the thread that owns it, and blocks until the server has answered.
#pragma once

#include "core/position.hpp"
#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

// Nothing read so far is newer: the end of the binlog now.
Result<Position> end_position(Connection&);
// The same without the GTIDs of a MariaDB source, which a busy server would read its log file for: for what is asked
// every second and compared by file and offset.
Result<Position> end_in_file(Connection&);

// A consistent snapshot tied to its position, without a lock (MariaDB): opens the transaction on this connection.
// The caller ends it with COMMIT. XA_PENDING names the xids when prepared transactions are open.
Result<Position> open_snapshot(Connection&);
// Everything up to it is seen by a SELECT that starts now. Opens and closes a snapshot of its own. Waits up to
// `patience` while XA transactions are prepared.
Result<Position> visible_position(Connection&, std::chrono::milliseconds patience);
// Returns when a SELECT that starts now sees everything that was in the log at the call: transactions can be read from
// the log, and be applied elsewhere, a moment before they are visible. TIMED_OUT after `patience`.
Status wait_until_visible(Connection&, std::chrono::milliseconds patience);
Result<int64_t> server_time_us(Connection&);  // the server's clock

}  // namespace sluice::mysql
