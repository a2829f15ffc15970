// The jobs of a full import: what the planner asks of a worker, and what comes back. Plain data; once sent, immutable.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "engines/mysql/scan.hpp"
#include "sinks/database/bookkeeping.hpp"
#include "sinks/database/loader.hpp"

namespace sluice::agents::full_import {

// A table in one round of its copy.
struct OpenTable {
  SchemaPtr definition;    // of the source, at A
  database::TableRow row;  // as persisted: round, A, state COPYING
  database::LoadPlan plan;
};
using OpenTablePtr = std::shared_ptr<const OpenTable>;

struct ImportJob {
  enum class Kind : uint8_t {
    kOpen,   // start a round, or continue the one that a crash cut short; copies a table without a key whole
    kPlan,   // ask the source for the next chunks
    kLoad,   // copy one chunk
    kClose,  // after the last chunk: take B, look whether the definition is still the same
  };
  Kind kind = Kind::kOpen;
  size_t table = 0;  // index in the plan
  TableName source, target;
  OpenTablePtr open;             // kPlan, kLoad, kClose
  bool new_round = false;        // kOpen: whatever was copied is void
  mysql::Chunk chunk;            // kLoad; kPlan: `upto` and `number` of the last planned chunk
  uint64_t chunk_rows = 0;       // kPlan
  size_t chunk_count = 0;        // kPlan: at most so many
  uint64_t rows = 0, bytes = 0;  // kClose: totals of the round
  double seconds = 0;
};
using ImportJobPtr = std::shared_ptr<const ImportJob>;

struct ImportOutcome {
  ImportJobPtr job;
  std::optional<Error> error;                // ends the import
  bool stopped = false;                      // a stop was desired: the job is not done
  bool needs_copy = false;                   // the definition changed: this round is void
  OpenTablePtr open;                         // kOpen: chunks follow
  std::optional<database::TableRow> closed;  // kOpen, kClose: nothing more to do, B is set
  std::vector<mysql::Chunk> chunks;          // kPlan; kOpen: the gaps that a crash left
  std::optional<mysql::Chunk> last;          // kOpen: the chunk after which planning goes on; empty: from the start
  bool planned_all = false;                  // kPlan, kOpen
  uint64_t rows = 0, bytes = 0;              // kLoad; kOpen: of chunks that were finished before
  double seconds = 0;                        // kLoad: how long it took, without throttling
  std::vector<std::string> conflicts;
  uint64_t duplicates = 0;
};
using ImportOutcomePtr = std::shared_ptr<const ImportOutcome>;

}  // namespace sluice::agents::full_import
