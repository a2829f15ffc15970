// What a reader asks a source before it starts: where to begin, its character sets and time zone. Uses a connection of
// Purpose::kCatalog that is not the one of the dump.
// Blocking, on that connection's thread.
#pragma once

#include <string>

#include "core/position.hpp"
#include "core/result.hpp"
#include "engines/mysql/binlog/charset.hpp"
#include "engines/mysql/binlog/stream.hpp"
#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

struct StartPoint {
  Position position;  // file and offset empty when the start is by GTID
  bool by_gtid = false;
  bool gtids_known = false;  // position.gtids is the whole executed set
};

// BINLOG_DISABLED, POSITION_LOST, or where to begin so that nothing after `from` is missed.
Result<StartPoint> choose_start(Connection& connection, const Position& from);
Status load_collations(Connection& connection, Collations* collations);
Result<StreamSettings> time_zones(Connection& connection);
// Whether the source keeps names in lower case. UNSUPPORTED when it keeps them as they were written and compares them
// without regard to case: nobody could tell then which names of its log are the same.
Result<bool> folds_names(Connection& connection);

// What an error of the dump means: `number` and `text` as the server or the client library gave them.
Error dump_error(unsigned number, const std::string& text, const Endpoint& endpoint);

}  // namespace sluice::mysql
