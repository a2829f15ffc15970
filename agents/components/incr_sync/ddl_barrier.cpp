#include "agents/components/incr_sync/ddl_barrier.hpp"

#include <algorithm>

#include "sinks/database/apply/table_plan.hpp"

namespace sluice::agents::incr_sync {
namespace {

// As a plan has them.
uint64_t slot_of(const TableName& table) { return database::claim_slot(database::slot_of_table(table)); }
uint64_t slot_of_database(const TableName& table) { return slot_of({table.database, {}}); }

absl::flat_hash_set<uint64_t> slots_of(const Concerned& concerned) {
  absl::flat_hash_set<uint64_t> slots;
  for (const auto* tables : {&concerned.named, &concerned.related}) {
    for (const TableName& table : *tables) slots.insert(slot_of(table));
  }
  return slots;
}

}  // namespace

void DdlBarrier::count(const database::Transaction& transaction, int by) {
  absl::flat_hash_set<uint64_t> slots;
  const database::TablePlan* last = nullptr;
  for (const auto& plan : transaction.plans) {
    if (plan.get() == last) continue;
    last = plan.get();
    slots.insert(plan->table_slot);
    slots.insert(slot_of_database(plan->target_name));
    for (const uint64_t slot : plan->barrier) slots.insert(database::claim_slot(slot));
  }
  for (const uint64_t slot : slots) {
    if (by > 0) {
      ++under_way_[slot];
    } else if (const auto found = under_way_.find(slot); found != under_way_.end() && --found->second == 0) {
      under_way_.erase(found);
    }
  }
  transactions_ += static_cast<size_t>(by);
}

bool DdlBarrier::touched(const Concerned& concerned) const {
  if (concerned.everything) return transactions_ > 0;
  const auto slots = slots_of(concerned);
  return std::any_of(slots.begin(), slots.end(), [&](uint64_t slot) { return under_way_.contains(slot); });
}

void DdlBarrier::raise(const Concerned& concerned) {
  raised_ = true;
  everything_ = concerned.everything;
  barred_ = slots_of(concerned);
}

void DdlBarrier::lift() {
  raised_ = everything_ = false;
  barred_.clear();
}

bool DdlBarrier::bars(const TableName& table) const {
  return raised_ && (everything_ || barred_.contains(slot_of(table)) || barred_.contains(slot_of_database(table)));
}

bool DdlBarrier::bars(const database::TablePlan& plan) const {
  return bars(plan.target_name) || std::any_of(plan.barrier.begin(), plan.barrier.end(), [&](uint64_t slot) {
           return barred_.contains(database::claim_slot(slot));
         });
}

}  // namespace sluice::agents::incr_sync
