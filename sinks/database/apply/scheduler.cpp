#include "sinks/database/apply/scheduler.hpp"

#include <algorithm>

namespace sluice::database {
namespace {

constexpr size_t kSlotBytes = 72;          // in the map of slots, as full as it is on average
constexpr size_t kTransactionBytes = 700;  // its own parts, its node, its place in the watermark

size_t footprint_of(const Transaction& transaction, const std::vector<Claim>& claims) {
  return kTransactionBytes + transaction.rows.capacity() * sizeof(RowChange) +
         transaction.claims.capacity() * sizeof(Claim) + claims.capacity() * sizeof(Claim) + claims.size() * kSlotBytes;
}

}  // namespace

void Scheduler::depend(uint64_t on, uint64_t sequence) {
  if (on < base_) return;  // 0, or committed long ago
  Node& before = node(on);
  if (before.state == Node::State::kCommitted || before.mark == sequence) return;
  before.mark = sequence;
  before.successors.push_back(sequence);
  ++node(sequence).blocking;
}

void Scheduler::add(TransactionPtr transaction) {
  const uint64_t sequence = base_ + nodes_.size();
  nodes_.emplace_back();
  Node& me = nodes_.back();
  me.claims = transaction->claims;
  normalise_claims(me.claims);
  me.footprint = footprint_of(*transaction, me.claims);
  footprint_ += me.footprint;
  for (const Claim claim : me.claims) {
    Slot& slot = slots_[claim_slot(claim)];
    depend(slot.exclusive, sequence);
    if (claim_is_shared(claim)) {
      slot.shared.push_back(sequence);
      continue;
    }
    for (const uint64_t reader : slot.shared) depend(reader, sequence);
    slot.shared.clear();
    slot.exclusive = sequence;
  }
  ++pending_;
  ++waiting_;
  waiting_rows_ += transaction->rows.size();
  me.transaction = std::move(transaction);
  if (me.blocking == 0) ready_.insert(sequence);
}

bool Scheduler::fits(const Transaction& transaction, size_t count, size_t rows, size_t bytes, size_t rows_limit) const {
  if (count == 0) return true;
  return count < limits_.transactions && rows + transaction.rows.size() <= rows_limit &&
         bytes + transaction.bytes <= limits_.bytes;
}

TransactionGroup Scheduler::next_group(size_t idle) {
  TransactionGroup group;
  ++stamp_;
  size_t rows = 0, bytes = 0;
  const size_t share = waiting_rows_ / std::max<size_t>(idle, 1) + 1;
  const size_t rows_limit = std::clamp<size_t>(share, std::min<size_t>(64, limits_.rows), limits_.rows);
  std::vector<uint64_t> put_back;
  // ready_ also takes those that are eligible for this group only; what is left of them is taken out again.
  std::vector<uint64_t> only_here;
  while (!ready_.empty()) {
    const uint64_t sequence = *ready_.begin();
    Node& next = node(sequence);
    if (next.transaction->alone && !group.empty()) {
      ready_.erase(ready_.begin());
      if (next.blocking == 0) put_back.push_back(sequence);
      continue;
    }
    if (!fits(*next.transaction, group.size(), rows, bytes, rows_limit)) break;
    ready_.erase(ready_.begin());
    next.state = Node::State::kDispatched;
    --waiting_;
    waiting_rows_ -= next.transaction->rows.size();
    rows += next.transaction->rows.size();
    bytes += next.transaction->bytes;
    dispatched_[next.transaction.get()] = sequence;
    group.push_back(next.transaction);
    if (next.transaction->alone) break;
    for (const uint64_t successor : next.successors) {
      Node& after = node(successor);
      if (after.group_stamp != stamp_) {
        after.group_stamp = stamp_;
        after.in_group = 0;
      }
      if (++after.in_group == after.blocking) {
        ready_.insert(successor);
        only_here.push_back(successor);
      }
    }
  }
  for (const uint64_t sequence : only_here) {
    if (node(sequence).state == Node::State::kWaiting) ready_.erase(sequence);
  }
  ready_.insert(put_back.begin(), put_back.end());
  return group;
}

void Scheduler::release(uint64_t sequence) {
  Node& done = node(sequence);
  for (const Claim claim : done.claims) {
    auto found = slots_.find(claim_slot(claim));
    if (found == slots_.end()) continue;
    Slot& slot = found->second;
    if (claim_is_shared(claim)) {
      auto place = std::find(slot.shared.begin(), slot.shared.end(), sequence);
      if (place != slot.shared.end()) {
        *place = slot.shared.back();
        slot.shared.pop_back();
      }
    } else if (slot.exclusive == sequence) {
      slot.exclusive = 0;
    }
    if (slot.exclusive == 0 && slot.shared.empty()) slots_.erase(found);
  }
  done.state = Node::State::kCommitted;
  for (const uint64_t successor : done.successors) {
    Node& after = node(successor);
    if (--after.blocking == 0 && after.state == Node::State::kWaiting) ready_.insert(successor);
  }
  footprint_ -= done.footprint;
  done.transaction.reset();
  done.claims = {};
  done.successors = {};
  --pending_;
}

void Scheduler::committed(const TransactionGroup& group) {
  for (const TransactionPtr& transaction : group) {
    auto found = dispatched_.find(transaction.get());
    if (found == dispatched_.end()) continue;
    const uint64_t sequence = found->second;
    dispatched_.erase(found);
    release(sequence);
  }
  while (!nodes_.empty() && nodes_.front().state == Node::State::kCommitted) {
    nodes_.pop_front();
    ++base_;
  }
}

}  // namespace sluice::database
