// Comparing parts of one table on two servers. Functions run on the two connections that they are given and block.
// Memory is bounded by constants and by the limits that are passed, however large a chunk has become.
//
// The target is read first, then the source when it shows everything that the target can have been sent: an equality
// that is found so stays one, however the rows move (exactness.md section 7).
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agents/components/checker/table_pair.hpp"
#include "core/lease.hpp"
#include "core/position.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/digest.hpp"
#include "engines/mysql/scan.hpp"
#include "engines/mysql/server_watch.hpp"

namespace sluice::agents::checker {

using RowKey = std::vector<std::string>;  // literals of the row key's columns

// The two servers as one thread sees them.
struct Sides {
  mysql::WatchedConnection source, target;
  mysql::DigestMethod method = mysql::DigestMethod::kSha1Sum;
  bool following = false;  // the target follows the source: it is read first
  Position held_at;        // both are snapshots of this position
};
struct SideEndpoints {
  Endpoint source, target;
  std::shared_ptr<Lease> lease;
  bool following = false;
  // Without them a statement may be silent for minutes only.
  std::shared_ptr<mysql::ServerWatch> source_watch, target_watch;
};
Result<Sides> open_sides(const SideEndpoints& endpoints);

enum class DifferenceKind : uint8_t { kMissing, kExtra, kDifferent };  // as the target has it

struct KeyDifference {
  DifferenceKind kind = DifferenceKind::kDifferent;
  RowKey key;
};

struct ChunkComparison {
  uint64_t source_rows = 0, target_rows = 0;
  uint64_t difference_count = 0;
  std::vector<KeyDifference> differences;  // at most the given number of them
};

// Digests the chunk on both sides; rows are looked at only when the digests differ.
Result<ChunkComparison> compare_chunk(Sides&, const TablePair&, const mysql::Chunk&, size_t differences_max);
// The keys of the rows that satisfy this condition on either side.
Status add_keys_where(Sides&, const TablePair&, const std::string& condition, std::set<RowKey>& keys);
// Compares the rows with these keys.
Result<ChunkComparison> compare_keys(Sides&, const TablePair&, const std::set<RowKey>& keys);

// A row, as a multiset has it: `surplus` > 0: so many more on the source; < 0: on the target.
struct RowSurplus {
  uint64_t digest = 0;
  int64_t surplus = 0;
};
struct MultisetComparison {
  uint64_t source_rows = 0, target_rows = 0;
  uint64_t difference_count = 0;      // sum of all surpluses
  std::vector<RowSurplus> surpluses;  // at most the given number of them
};
// Compares whole tables as multisets of rows, in as many passes as `memory_bytes` asks for.
Result<MultisetComparison> compare_multisets(Sides&, const TablePair&, uint64_t memory_bytes, size_t surpluses_max);

}  // namespace sluice::agents::checker
