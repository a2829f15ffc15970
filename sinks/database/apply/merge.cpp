#include "sinks/database/apply/merge.hpp"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <tuple>

namespace sluice::database {
namespace {

struct Touch {
  int32_t exclusive = -1;  // bucket
  uint32_t index = 0;      // of the change in that bucket
  int32_t shared = -1;
};

class Merger {
 public:
  Merger(bool plainly, const MergeLimits& limits) : plainly_(plainly), limits_(limits) {}

  Status add(const Transaction& transaction) {
    for (const RowChange& row : transaction.rows) {
      SLUICE_TRY(row.make_it_so || row.observe ? add_make_it_so(transaction, row) : add_strict(transaction, row));
    }
    return {};
  }
  std::vector<Bucket> take() { return std::move(buckets_); }

 private:
  std::span<const Claim> claims(const Transaction& transaction, const RowChange& row) const {
    return std::span(transaction.claims).subspan(row.first_claim, row.end_claim - row.first_claim);
  }

  Status add_strict(const Transaction& transaction, const RowChange& row) {
    const Action action = row.op == RowOp::kInsert   ? Action::kInsert
                          : row.op == RowOp::kUpdate ? Action::kUpdate
                                                     : Action::kDelete;
    if (row.plain) {
      SLUICE_ASSIGN(const bool folded, fold(transaction, row));
      if (folded) return {};
    }
    place(transaction, row, action, row.before, row.after);
    return {};
  }

  Status add_make_it_so(const Transaction& transaction, const RowChange& row) {
    if (row.observe) {
      if (row.recheck) place(transaction, row, Action::kObserve, row.before, {});
      return {};
    }
    if (row.op == RowOp::kDelete) {
      place(transaction, row, Action::kRemove, row.before, {});
      return {};
    }
    if (row.op == RowOp::kUpdate) {
      if (row.plain) {
        SLUICE_ASSIGN(const bool folded, fold(transaction, row));
        if (folded) return {};
      } else {
        place(transaction, row, Action::kRemove, row.before, {});
      }
    }
    place(transaction, row, Action::kReplace, {}, row.after);
    return {};
  }

  // The last bucket that holds something which must stay before this change.
  int32_t last_conflict(std::span<const Claim> claims) const {
    int32_t last = -1;
    for (const Claim claim : claims) {
      const auto found = touched_.find(claim_slot(claim));
      if (found == touched_.end()) continue;
      last = std::max(last, found->second.exclusive);
      if (!claim_is_shared(claim)) last = std::max(last, found->second.shared);
    }
    return last;
  }

  Result<bool> same_key(const TablePlan& plan, RowView a, RowView b) const {
    std::vector<ValueView> left(plan.event->columns.size()), right(plan.event->columns.size());
    SLUICE_TRY(a.decode(*plan.event, left));
    SLUICE_TRY(b.decode(*plan.event, right));
    return std::all_of(plan.key.begin(), plan.key.end(),
                       [&](const PlanColumn& column) { return left[column.event] == right[column.event]; });
  }

  // Writes the newer image into the change that last touched the same row, if nothing came between.
  Result<bool> fold(const Transaction& transaction, const RowChange& row) {
    if (plainly_) return false;
    const auto touches = claims(transaction, row);
    const int32_t last = last_conflict(touches);
    if (last < 0) return false;
    Bucket& bucket = buckets_[static_cast<size_t>(last)];
    const bool has_image =
        bucket.action == Action::kInsert || bucket.action == Action::kUpdate || bucket.action == Action::kReplace;
    if (!has_image || bucket.plan != row.plan || bucket.foreign_key_checks != row.foreign_key_checks) return false;
    if ((bucket.action == Action::kReplace) != row.make_it_so) return false;
    uint32_t index = 0;
    bool found_exclusive = false;
    for (const Claim claim : touches) {
      if (claim_is_shared(claim)) continue;
      const auto found = touched_.find(claim_slot(claim));
      if (found == touched_.end() || found->second.exclusive != last) return false;
      if (found_exclusive && found->second.index != index) return false;
      index = found->second.index;
      found_exclusive = true;
    }
    if (!found_exclusive) return false;
    Change& change = bucket.changes[index];
    SLUICE_ASSIGN(const bool same, same_key(*row.plan, change.after, row.before));
    if (!same) return false;
    bucket.bytes += row.after.bytes().size();
    change.after = row.after;
    return true;
  }

  bool has_room(const Bucket& bucket) const {
    return !bucket.closed && bucket.changes.size() < limits_.rows && bucket.bytes < limits_.bytes;
  }

  void place(const Transaction& transaction, const RowChange& row, Action action, RowView before, RowView after) {
    const auto touches = claims(transaction, row);
    const auto kind = std::tuple(row.plan, action, row.foreign_key_checks);
    // Rows of a table without a key all claim the table, but rows that are only added do not get in each other's way.
    const bool added_only = row.plan->keyless() && action == Action::kInsert;
    int32_t target = -1;
    if (!plainly_) {
      const int32_t last = last_conflict(touches);
      const auto open = open_.find(kind);
      if (open != open_.end() && has_room(buckets_[static_cast<size_t>(open->second)]) &&
          (open->second > last || (added_only && open->second == last)))
        target = open->second;
    }
    if (target < 0) {
      target = static_cast<int32_t>(buckets_.size());
      Bucket& bucket = buckets_.emplace_back();
      bucket.plan = row.plan;
      bucket.action = action;
      bucket.foreign_key_checks = row.foreign_key_checks;
      bucket.closed =
          plainly_ || (action == Action::kUpdate && !row.plain) || (row.plan->keyless() && action != Action::kInsert);
      open_[kind] = target;
    }
    Bucket& bucket = buckets_[static_cast<size_t>(target)];
    const auto index = static_cast<uint32_t>(bucket.changes.size());
    bucket.bytes += before.bytes().size() + after.bytes().size();
    bucket.changes.push_back({before, after, &row, &transaction});
    for (const Claim claim : touches) {
      Touch& touch = touched_[claim_slot(claim)];
      if (claim_is_shared(claim)) {
        touch.shared = std::max(touch.shared, target);
      } else {
        touch.exclusive = target;
        touch.index = index;
      }
    }
  }

  const bool plainly_;
  const MergeLimits limits_;
  std::vector<Bucket> buckets_;
  absl::flat_hash_map<uint64_t, Touch> touched_;
  absl::flat_hash_map<std::tuple<const TablePlan*, Action, bool>, int32_t> open_;
};

}  // namespace

Result<std::vector<Bucket>> merge(const TransactionGroup& group, bool plainly, const MergeLimits& limits) {
  Merger merger(plainly, limits);
  for (const TransactionPtr& transaction : group) SLUICE_TRY(merger.add(*transaction));
  return merger.take();
}

}  // namespace sluice::database
