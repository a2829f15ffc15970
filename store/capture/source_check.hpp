// Whether a source still holds what was read from it (exactness.md section 5).
#pragma once

#include "core/endpoint.hpp"
#include "core/position.hpp"
#include "core/result.hpp"

namespace sluice::store {

// SOURCE_DIVERGED when the source's log does not reach the position, or (`with_gtids`) other transactions lead up to
// it. A log file that was purged is no contradiction. Costs a connection; with_gtids lets the server read the
// position's log file.
Status check_source_log(const Endpoint& source, const Position& position, bool with_gtids);

}  // namespace sluice::store
