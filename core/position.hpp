// Position: a place in a source's log. Plain value.
//
// MySQL family: `file` and `offset` name the end of an event group in the binlog; `gtids` is the set executed up to
// there: MariaDB "0-1-100,5-2-7" (one GTID per domain), MySQL "uuid:1-5,uuid2:1-9"; empty when the source has none.
// Two positions of one server's log are ordered by (file number, offset). Comparing GTID sequence numbers is never
// used for order (exactness.md section 1).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sluice {

struct Position {
  std::string file;
  uint64_t offset = 0;
  std::string gtids;

  bool empty() const { return file.empty() && gtids.empty(); }
  // "binlog.000003:1234" or "binlog.000003:1234;0-1-100"; parse() reads the same.
  std::string to_string() const;
  static Result<Position> parse(std::string_view text);
  bool operator==(const Position&) const = default;
};

// Order in one server's log: by the number at the end of the file name, then offset. An empty position is the least.
std::strong_ordering compare_in_log(const Position& a, const Position& b);

// The position's GTID list after one more transaction: MariaDB replaces the domain's GTID, MySQL adds the number to
// the set. `gtid` is "domain-server-seq" or "uuid:number".
std::string gtids_after(std::string_view gtids, std::string_view gtid);

}  // namespace sluice
