// Scan: reading a table in chunks whose borders the server chooses and compares (exactness.md section 3). Borders are
// SQL conditions; our code never compares keys. Thread: a plan is made on one connection, chunks are read on any.
// Errors: those of the connection, and whatever `visit` answers, which ends the reading.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "core/value.hpp"
#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

// A key range (after, upto] of a table's range key. Key values are SQL literals of the server's own making, so that the
// same chunk reads the same rows on source and target. Empty = open end.
struct Chunk {
  uint64_t number = 0;
  std::vector<std::string> after;  // literals of the key columns, exclusive
  std::vector<std::string> upto;   // inclusive
  // The WHERE condition: "1" when both ends are open. `qualifier` as "t." when needed.
  std::string condition(const TableSchema& schema, std::string_view qualifier = {}) const;
  std::string encode() const;  // for the chunk table; decode() reads it
  static Result<Chunk> decode(std::string_view text);
};

// Walks a table's key: next() returns the chunk that follows `after` with about `rows` rows, by asking the server for
// the range_key of the row that many ahead. Empty when `after` was the last. Tables without a range_key() are one
// chunk, read in the order in which the server has it: nothing is sorted.
Result<std::optional<Chunk>> next_chunk(Connection&, const TableSchema&, const std::vector<std::string>& after,
                                        uint64_t number, uint64_t rows);

// Streams the rows of a chunk in key order, in canonical form, all columns (generated ones included). The views live
// until `visit` returns.
Status scan_chunk(Connection&, const TableSchema&, const Chunk&,
                  const std::function<Status(std::span<const ValueView>)>& visit);

// "(`a`=1 AND `b`='x')" for a row key given as literals.
std::string key_condition(const TableSchema&, const std::vector<std::string>& literals);
// Streams the rows that satisfy an SQL condition, in any order.
Status scan_where(Connection&, const TableSchema&, std::string_view condition,
                  const std::function<Status(std::span<const ValueView>)>& visit);

}  // namespace sluice::mysql
