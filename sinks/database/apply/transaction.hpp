// Transactions of the source's log as the appliers get them. Built by one thread, then shared read-only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/position.hpp"
#include "core/record.hpp"
#include "sinks/database/apply/write_set.hpp"

namespace sluice::database {

struct TablePlan;

struct RowChange {
  const TablePlan* plan = nullptr;  // kept by Transaction::plans
  RowOp op = RowOp::kInsert;
  bool make_it_so = false;         // inside a copy's window: the end state counts, not what was there before
  bool foreign_key_checks = true;  // as the source ran it; always off inside a window
  bool plain = false;              // an update that changes no column of any key
  bool recheck = false;            // made children change on the source, which its log does not tell (window only)
  // Brings a key that a cascade may have taken away before: what refers to it already is to be read again (window
  // only).
  bool new_key = false;
  bool observe = false;  // the copy holds the change itself; only its children are to be read again
  RowView before, after;
  uint32_t first_claim = 0, end_claim = 0;  // in Transaction::claims
};

struct Transaction {
  std::string id;  // GTID; "file:offset" of its end where there are none
  Position end;
  int64_t commit_time_us = 0;
  uint64_t bytes = 0;
  // Runs in a target transaction of its own, statement by statement as logged (cascading parents).
  bool alone = false;
  bool recheck = false;  // a row of it has RowChange::recheck
  uint64_t number = 0;   // given by the watermark, in log order
  std::vector<RowChange> rows;
  std::vector<Claim> claims;  // per row, in order; not sorted
  std::vector<std::shared_ptr<const TablePlan>> plans;
  std::vector<std::shared_ptr<const void>> pins;  // the batches that the row images point into
};

using TransactionPtr = std::shared_ptr<const Transaction>;
using TransactionGroup = std::vector<TransactionPtr>;

}  // namespace sluice::database
