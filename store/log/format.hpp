// What the log keeps beside the blocks themselves, and how it is laid out in RocksDB. Plain values and pure functions.
//
// Column families:
//   * default: "b" + incarnation and "f" + incarnation: an Incarnation's back and front; "r" + name: ReaderRow;
//     "s": StartRow; "t" + table: the schema id it had last; "k" + name: KeptRow; "v": format version
//   * blocks: incarnation | sequence (8 bytes each, big endian): a record batch
//   * index: the same key: BlockInfo
//   * schemas: content id (8 bytes, big endian): TableSchema::encode()
//
// Sequences of an incarnation start at 1 and have no holes, so a binary search needs no other index.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/position.hpp"
#include "core/record.hpp"
#include "core/result.hpp"
#include "engines/mysql/binlog/xa_branches.hpp"

namespace sluice::store {

inline constexpr uint32_t kLogFormat = 1;

struct BlockInfo {
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  // The block in which the transaction that is open at this block's start began; `sequence` itself when none is open.
  uint64_t transaction_sequence = 0;
  bool complete = true;  // nothing is open at the block's end
  Position end;          // the last position between transactions up to the block's end; never falls with the sequence
  int64_t first_commit_us = 0, last_commit_us = 0;  // of the block's own commits; 0 when it has none
  int64_t max_commit_us = 0;  // of all commits of the incarnation so far; never falls with the sequence
  int64_t written_us = 0;     // this machine's clock, for retention
  uint64_t bytes = 0;
  uint32_t rows = 0;
  std::vector<uint64_t> schema_ids;

  std::string encode() const;
  static Result<BlockInfo> decode(std::string_view bytes);
  bool operator==(const BlockInfo&) const = default;
};

struct StoredBlock {
  BlockInfo info;
  Batch batch;
};

// The last transaction that was read from the source, wanted or not, by which a new connection is checked.
struct LastTransaction {
  Position before, end;
  uint64_t digest = 0;
  bool known() const { return !end.empty(); }
  bool operator==(const LastTransaction&) const = default;
};

// One start of capture.
struct Incarnation {
  uint64_t id = 0;
  uint64_t first = 1;         // oldest retained sequence
  uint64_t visible = 0;       // newest sequence that readers may see; first - 1 when there is none
  Position begin;             // position before `first`
  int64_t begin_time_us = 0;  // every commit before `begin` is older; 0 = not known
  Position end;               // resume position: position after `visible`
  LastTransaction last;
  int64_t max_commit_us = 0;

  // Two rows, as two threads write them: retention the front (first, begin), the writer the back.
  std::string encode_front() const;
  std::string encode_back() const;
  static Result<Incarnation> decode(std::string_view front, std::string_view back);
};

struct ReaderRow {
  std::string name;
  uint64_t epoch = 0;
  Position durable;  // the reader will never ask for anything at or before this
  std::string encode() const;
  static Result<ReaderRow> decode(std::string_view bytes);
};

struct StartRow {
  Position position;  // visible position from which the project starts
  int64_t time_us = 0;
  std::string encode() const;
  static Result<StartRow> decode(std::string_view bytes);
};

// What capture keeps beside the blocks, by a name of its own.
struct KeptRow {
  std::string name;
  std::optional<std::string> bytes;  // nothing: the row is over
};

std::string encode_branch(const mysql::XaBranch& branch);
Result<mysql::XaBranch> decode_branch(std::string_view bytes);

std::string block_key(uint64_t incarnation, uint64_t sequence);
std::string front_key(uint64_t incarnation);
std::string back_key(uint64_t incarnation);
std::string schema_key(uint64_t id);

}  // namespace sluice::store
