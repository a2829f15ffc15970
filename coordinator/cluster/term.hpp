// The coordinator's term, and how long leases of earlier coordinators may still last. Blocks for a disk write.
#pragma once

#include <chrono>
#include <memory>

#include "coordinator/metadata/metadata.hpp"

namespace sluice::coordinator {

struct Term {
  uint64_t number = 0;
  std::chrono::milliseconds earlier_ttl{0};  // the longest that a lease granted before this term may last from now on
  // To be committed when that time is over: from then on only this term's own leases count. Null: nothing to change.
  std::shared_ptr<const Txn> settle;
};

// A new term: older coordinators' messages are older than ours. The longest lease that may still last is kept, over any
// number of restarts, until it is over. WRONG_STATE when another coordinator starts at the same time.
Result<Term> begin_term(Metadata& metadata, std::chrono::milliseconds lease_ttl);

}  // namespace sluice::coordinator
