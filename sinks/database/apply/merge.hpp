// Merging: the row changes of a group of transactions as few statements. Pure.
//
// A change goes into an open bucket of its table and action if no later bucket touches a value that it touches; else a
// new bucket starts. So every pair of changes that have something in common (a key, a unique value, a foreign key)
// keeps its order, and everything else is collected. Updates that change no key column are folded into the bucket that
// last touched the row: a hot row is written once per group.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sinks/database/apply/table_plan.hpp"
#include "sinks/database/apply/transaction.hpp"

namespace sluice::database {

// kReplace, kRemove: make it so, uncounted. kObserve: nothing is written; only what hangs below the row is recorded.
enum class Action : uint8_t { kInsert, kUpdate, kDelete, kReplace, kRemove, kObserve };

struct Change {
  RowView before, after;  // key image (update, delete) and new image
  const RowChange* row = nullptr;
  const Transaction* transaction = nullptr;
};

struct Bucket {
  const TablePlan* plan = nullptr;
  Action action = Action::kInsert;
  bool foreign_key_checks = true;
  bool closed = false;  // takes no second change
  size_t bytes = 0;
  std::vector<Change> changes;
};

struct MergeLimits {
  size_t rows = 512;
  size_t bytes = 256 << 10;
};

// `plainly`: one bucket per change, in the order of the log, nothing folded.
Result<std::vector<Bucket>> merge(const TransactionGroup& group, bool plainly, const MergeLimits& limits = {});

struct Statement {
  std::string sql;
  uint64_t rows = 0;
  bool counted = true;  // exactly `rows` rows must have matched
  bool foreign_key_checks = true;
  uint64_t empty_enums = 0;  // values with index 0 that it stores (mysql::kLenientMode)
  const Bucket* bucket = nullptr;
};
// The statements point to the buckets.
Result<std::vector<Statement>> write_statements(std::span<const Bucket> buckets);

// Single statements, for conflicts.
Result<Statement> replace_statement(const TablePlan& plan, RowView after);
Result<Statement> delete_statement(const TablePlan& plan, RowView key);
// The condition that finds the row by its key, on either side; empty for a table without a key.
Result<std::string> key_condition(const TablePlan& plan, RowView key);

}  // namespace sluice::database
