#include "coordinator/metadata/metadata_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace sluice::coordinator {
namespace {

using Values = std::vector<std::optional<KeyValue>>;

Result<Values> read(Metadata& metadata, const std::vector<std::string>& keys) {
  Values values;
  for (const auto& key : keys) {
    SLUICE_ASSIGN(auto value, metadata.get(key));
    values.push_back(std::move(value));
  }
  return values;
}

metadata_actor::behavior_type behavior(metadata_actor::pointer, std::shared_ptr<Metadata> metadata) {
  return {
      [metadata](const CommitRequest& request) {
        return CommitReply{std::make_shared<const Result<TxnResult>>(metadata->txn(*request.txn))};
      },
      [metadata](const ReadRequest& request) {
        return ReadReply{std::make_shared<const Result<Values>>(read(*metadata, request.keys))};
      },
  };
}

}  // namespace

metadata_actor spawn_metadata(caf::actor_system& system, std::shared_ptr<Metadata> metadata) {
  return system.spawn<caf::detached>(behavior, std::move(metadata));
}

}  // namespace sluice::coordinator
