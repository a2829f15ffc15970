#include "agents/supervisor/supervisor_actor.hpp"

namespace sluice::agents {
namespace {

constexpr std::chrono::milliseconds kTick{50};

}  // namespace

supervisor_actor::behavior_type supervisor(supervisor_actor::stateful_pointer<supervisor_state> self,
                                           SupervisorFactory make) {
  self->state.table = make();
  self->state.table->recover();
  self->delayed_send(self, kTick, tick_atom::value);
  return {
      [=](const NodeDesiredMessage& message) { self->state.table->set_desired(*message.desired); },
      [=](const LeaseMessage& message) { self->state.table->set_lease(message.sent, message.grant); },
      [=](const HelloMessage& message) { message.verdict(self->state.table->hello(message.hello)); },
      [=](const StatusMessage& message) { self->state.table->take_status(*message.status); },
      [=](const SnapshotQuery& message) { message.answer(self->state.table->snapshot()); },
      [=](const StopMessage& message) {
        self->state.stopped = message.stopped;
        self->state.table->begin_stop();
      },
      [=](tick_atom) {
        self->state.table->tick();
        if (self->state.stopped && self->state.table->stopped()) std::exchange(self->state.stopped, nullptr)();
        self->delayed_send(self, kTick, tick_atom::value);
      },
  };
}

coordinator_link_actor::behavior_type coordinator_link(coordinator_link_actor::pointer,
                                                       std::shared_ptr<CoordinatorClient> client) {
  return {[=](const StatusMessage& message) { client->send(*message.status); }};
}

local_service_actor::behavior_type local_service(local_service_actor::pointer, std::shared_ptr<LocalService> service) {
  return {[=](const CommandMessage& message) { service->command(message.component, message.epoch, message.command); }};
}

}  // namespace sluice::agents
