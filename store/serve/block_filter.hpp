// BlockFilter: leaves in a reader's stream only the tables and kinds of records it asked for. Used by one thread, in
// stream order.
//
// A batch from which nothing has to go passes untouched. Transactions of which nothing is left vanish; when the last
// one of a batch does, a heartbeat with its position takes its place, so the reader advances.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "core/record.hpp"
#include "core/table_mapping.hpp"
#include "store/ddl_scope.hpp"
#include "store/wanted_types.hpp"

namespace sluice::store {

class BlockFilter {
 public:
  using Schemas = std::function<Result<SchemaPtr>(uint64_t id)>;
  BlockFilter(TableMapping scope, WantedTypes types, Schemas schemas)
      : scope_(std::move(scope)),
        types_(types),
        everything_(scope_.include_patterns().empty() && scope_.exclude_patterns().empty() && types.all()),
        schemas_(std::move(schemas)) {}

  // Nothing when no record is left.
  Result<std::optional<Batch>> apply(const Batch& batch);

 private:
  Result<bool> wanted(const Rows& rows);
  bool wanted(const Ddl& ddl) const { return types_.ddl && ddl_in_scope(ddl, scope_); }
  Result<bool> unchanged(const Batch& batch);

  const TableMapping scope_;
  const WantedTypes types_;
  const bool everything_;
  Schemas schemas_;
  std::map<uint64_t, bool> wanted_;
  bool in_transaction_ = false;  // the stream is inside a transaction whose Begin was passed on
};

}  // namespace sluice::store
