// Whether a source still holds what was read from it (exactness.md section 5).
// Blocking, on the thread that owns the connection.
#pragma once

#include "core/endpoint.hpp"
#include "core/position.hpp"
#include "core/result.hpp"
#include "engines/mysql/binlog/stopper.hpp"

namespace sluice::store {

enum class SourceCheck : uint8_t {
  kReach,    // the source's log reaches the position; a log file that was purged is no contradiction
  kGtids,    // and the same transactions lead up to it: lets the server read the position's log file
  kPresent,  // and the log file is there: POSITION_LOST when it was purged, or the position has no GTIDs to tell by
};

// SOURCE_DIVERGED when the source contradicts. Costs a connection, which the stopper cuts.
Status check_source_log(const Endpoint& source, const Position& position, SourceCheck check,
                        mysql::Stopper* stopper = nullptr);

}  // namespace sluice::store
