// CheckPlan: hands out the chunks of all tables, one after another, and remembers what did not come out equal. Owned
// and used by one thread (the planner's); asks the source for borders of chunks, so next() blocks.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agents/components/checker/check_journal.hpp"
#include "agents/components/checker/compare.hpp"
#include "agents/components/checker/table_pair.hpp"
#include "agents/components/runtime/component.hpp"

namespace sluice::agents::checker {

struct CheckJob {
  size_t table = 0;  // index in the pairs
  mysql::Chunk chunk;
};

struct CheckOutcome {
  CheckJob job;
  ChunkComparison comparison;
  double seconds = 0;
  std::optional<Error> error;
};

// What is still open of a table.
struct Pending {
  std::set<RowKey> keys;
  std::vector<mysql::Chunk> chunks;  // with more differing rows than are kept one by one
  bool whole = false;                // to be compared as a whole, at a hold
  bool changed = false;              // its definition is no longer the one that was read
  bool empty() const { return keys.empty() && chunks.empty() && !whole; }
};
using PendingTables = std::map<size_t, Pending>;

inline constexpr size_t kKeysPerChunk = 1000;  // more differing rows of a chunk than this are not kept one by one

// Errors that belong to one table (its definition changed, a value cannot be digested) and end no verification.
bool is_about_table(const Error& error);

class CheckPlan {
 public:
  struct Options {
    bool following = false;           // tables without a key are left for a hold: two looks at them prove nothing
    CheckJournal* journal = nullptr;  // may be null
  };
  CheckPlan(ComponentContext& context, TablePairs pairs, Endpoint source, Options options);

  // The next job; empty when all were handed out.
  Result<std::optional<CheckJob>> next();
  // An error that ends the verification is returned.
  Status take(const CheckOutcome& outcome);

  PendingTables& pending() { return pending_; }

 private:
  struct TableState {
    uint64_t rows = 0, chunks_out = 0;
    double seconds = 0;
    bool planned = false;
    bool resumed = false;  // what the journal holds was taken over
  };
  Result<std::optional<CheckJob>> plan_chunk(size_t table);
  void give_up(size_t table, const Error& error);
  void resume(size_t table);
  CheckJournal::Outcome remember(size_t table, const mysql::Chunk& chunk, uint64_t difference_count,
                                 const std::vector<RowKey>& keys);
  void finish_if_done(size_t table);
  void report(const CheckOutcome& outcome);

  ComponentContext& context_;
  TablePairs pairs_;
  Endpoint source_;
  Options options_;
  std::unique_ptr<mysql::Connection> connection_;
  size_t current_ = 0;
  std::vector<std::string> after_;  // last border of the current table
  uint64_t number_ = 0;
  double chunk_rows_ = 0;
  std::vector<TableState> tables_;
  PendingTables pending_;
  size_t keys_kept_ = 0;
};

}  // namespace sluice::agents::checker
