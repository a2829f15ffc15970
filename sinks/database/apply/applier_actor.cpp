#include "sinks/database/apply/applier_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace sluice::database {
namespace {

applier_actor::behavior_type behavior(applier_actor::pointer self, std::shared_ptr<Applier> applier,
                                      group_listener_actor listener) {
  return {
      [self, applier, listener](const ApplyGroup& message) {
        auto result = std::make_shared<const Result<GroupResult>>(applier->apply(*message.group));
        self->send(listener, GroupApplied{applier->number(), message.group, std::move(result)});
      },
  };
}

}  // namespace

applier_actor spawn_applier(caf::actor_system& system, std::shared_ptr<Applier> applier,
                            group_listener_actor listener) {
  return system.spawn<caf::detached>(behavior, std::move(applier), std::move(listener));
}

}  // namespace sluice::database
