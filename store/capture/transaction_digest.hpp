// TransactionDigest: a checksum over one transaction's records that does not depend on how they were cut into batches.
#pragma once

#include <memory>

#include "core/record.hpp"

struct XXH3_state_s;

namespace sluice::store {

class TransactionDigest {
 public:
  TransactionDigest();
  ~TransactionDigest();

  // Records in log order; a Begin starts anew.
  void add(const RecordView& record);
  // After a Commit was added.
  uint64_t value() const { return value_; }

 private:
  void add_text(std::string_view text);
  XXH3_state_s* state_;
  uint64_t shape_ = 0;  // op and flags of the rows added last
  uint64_t value_ = 0;
};

}  // namespace sluice::store
