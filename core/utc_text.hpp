// Times for people and reports.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// "2026-11-21T07:23:15" of a time in microseconds since 1970, UTC.
std::string utc_text(int64_t unix_us);

}  // namespace sluice
