// DdlBarrier: which tables a DDL statement holds up, and what is under way on them (exactness.md section 4, DDL 2).
// Pure; one thread. Tables are those of the target, told apart by hashes that may collide but never miss: then a
// statement or an event waits for one that it need not wait for.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <set>
#include <vector>

#include "core/table_mapping.hpp"
#include "sinks/database/apply/transaction.hpp"

namespace sluice::agents::incr_sync {

// The tables that a statement concerns.
struct Concerned {
  bool everything = false;      // they cannot be told
  std::set<TableName> named;    // by the statement; a database has no table name
  std::set<TableName> related;  // by foreign keys, or in a database that is named
};

class DdlBarrier {
 public:
  // A transaction is under way from when it is given to the scheduler until it is committed.
  void opened(const database::Transaction& transaction) { count(transaction, 1); }
  void committed(const database::Transaction& transaction) { count(transaction, -1); }
  // Whether something under way touches these tables, itself or by cascades.
  bool touched(const Concerned& concerned) const;

  // From here to lift() a statement runs.
  void raise(const Concerned& concerned);
  void lift();
  bool raised() const { return raised_; }
  bool bars(const TableName& table) const;
  // The table, or one that changes of its rows can change.
  bool bars(const database::TablePlan& plan) const;

 private:
  void count(const database::Transaction& transaction, int by);
  absl::flat_hash_map<uint64_t, size_t> under_way_;  // transactions per table and per database
  size_t transactions_ = 0;
  absl::flat_hash_set<uint64_t> barred_;
  bool raised_ = false, everything_ = false;
};

}  // namespace sluice::agents::incr_sync
