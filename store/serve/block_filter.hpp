// BlockFilter: leaves in a reader's stream only the tables it asked for. Used by one thread, in stream order.
//
// A batch from which nothing has to go passes untouched. Transactions of which nothing is left vanish; when the last
// one of a batch does, a heartbeat with its position takes its place, so the reader advances.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "core/record.hpp"
#include "core/table_mapping.hpp"

namespace sluice::store {

class BlockFilter {
 public:
  using Schemas = std::function<Result<SchemaPtr>(uint64_t id)>;
  BlockFilter(TableMapping scope, bool everything, Schemas schemas)
      : scope_(std::move(scope)), everything_(everything), schemas_(std::move(schemas)) {}

  // Nothing when no record is left.
  Result<std::optional<Batch>> apply(const Batch& batch);

 private:
  Result<bool> wanted(uint64_t schema_id);
  Result<bool> unchanged(const Batch& batch);

  TableMapping scope_;
  bool everything_;
  Schemas schemas_;
  std::map<uint64_t, bool> wanted_;
  bool in_transaction_ = false;  // the stream is inside a transaction whose Begin was passed on
};

}  // namespace sluice::store
