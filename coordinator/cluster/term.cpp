#include "coordinator/cluster/term.hpp"

#include <algorithm>

#include "coordinator/metadata/metadata_keys.hpp"
#include "sluice/coordinator/v1/state.pb.h"

namespace sluice::coordinator {

Result<Term> begin_term(Metadata& metadata, std::chrono::milliseconds lease_ttl) {
  SLUICE_ASSIGN(auto found, metadata.get(kClusterKey));
  v1::StoredCluster stored;
  if (found && !stored.ParseFromString(found->value)) return Error(ErrorCode::CORRUPTED, "cannot be read", kClusterKey);
  const int64_t longest = std::max<int64_t>(stored.lease_ttl_ms(), lease_ttl.count());
  stored.set_term(stored.term() + 1);
  stored.set_lease_ttl_ms(longest);
  Txn txn;
  txn.compares.push_back({kClusterKey, found ? found->mod_revision : 0});
  txn.puts.push_back({kClusterKey, stored.SerializeAsString()});
  SLUICE_ASSIGN(auto result, metadata.txn(txn));
  if (!result.committed)
    return Error(ErrorCode::WRONG_STATE, "another coordinator started at the same time", kClusterKey);
  Term term{stored.term(), std::chrono::milliseconds(longest), nullptr};
  if (longest == lease_ttl.count()) return term;
  stored.set_lease_ttl_ms(lease_ttl.count());
  auto settle = std::make_shared<Txn>();
  settle->compares.push_back({kClusterKey, result.revision});
  settle->puts.push_back({kClusterKey, stored.SerializeAsString()});
  term.settle = std::move(settle);
  return term;
}

}  // namespace sluice::coordinator
