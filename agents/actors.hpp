// Typed actor interfaces of the agents, and the messages that they exchange. One line per message; new interfaces are
// appended. Messages travel inside one process only and share their heavy parts.
#pragma once

#include <caf/all.hpp>

#include <functional>
#include <memory>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents::full_import {
struct ImportJob;  // components/full_import/import_job.hpp
struct ImportOutcome;
}  // namespace sluice::agents::full_import

namespace sluice::agents {

// ---- supervisor ----
// A node and its component processes.

struct NodeDesiredMessage {
  std::shared_ptr<const cluster::v1::NodeDesired> desired;
};
struct LeaseMessage {
  BootTime sent;  // when the heartbeat was sent that this grant answers
  cluster::v1::LeaseGrant grant;
};
struct HelloMessage {
  cluster::v1::ComponentHello hello;
  std::function<void(Status)> verdict;  // called once, from the actor's thread
};
struct StatusMessage {
  std::shared_ptr<const cluster::v1::ComponentStatus> status;
};
struct SnapshotQuery {
  std::function<void(std::vector<cluster::v1::ComponentStatus>)> answer;  // called once, from the actor's thread
};
struct StopMessage {
  std::function<void()> stopped;  // called when no component process is left
};
struct CommandMessage {
  std::string component;
  uint64_t epoch;
  cluster::v1::ComponentCommand command;
};

using tick_atom = caf::atom_constant<caf::atom("sl_tick")>;

// Owner of the node's process table (supervisor/supervisor.hpp). Detached: it starts processes and writes their
// records.
using supervisor_actor =
    caf::typed_actor<caf::reacts_to<NodeDesiredMessage>,  // from the coordinator: everything this node is to run
                     caf::reacts_to<LeaseMessage>,        // from the coordinator: the node's lease was renewed
                     caf::reacts_to<HelloMessage>,   // from a component: it has linked; is it the one that is to run?
                     caf::reacts_to<StatusMessage>,  // from a component
                     caf::reacts_to<SnapshotQuery>,  // for a registration: all components
                     caf::reacts_to<StopMessage>,    // the agent ends: stop all components
                     caf::reacts_to<tick_atom>>;     // to itself: look at processes, lease and deadlines

// Carries statuses to the coordinator. Never blocks: the stream has threads of its own.
using coordinator_link_actor = caf::typed_actor<caf::reacts_to<StatusMessage>>;

// Carries leases and desired states to the components. Never blocks: the streams have threads of their own.
using local_service_actor = caf::typed_actor<caf::reacts_to<CommandMessage>>;

// ---- full import ----
// Copying tables.

struct ImportJobMessage {
  std::shared_ptr<const full_import::ImportJob> job;
};
struct ImportOutcomeMessage {
  std::shared_ptr<const full_import::ImportOutcome> outcome;
};
using import_begin_atom = caf::atom_constant<caf::atom("sl_impbeg")>;
using import_stop_atom = caf::atom_constant<caf::atom("sl_impstop")>;

// Does one job at a time over its own connections. Detached: it blocks. The answer gives back the planner's credit.
using import_worker_actor = caf::typed_actor<caf::replies_to<ImportJobMessage>::with<ImportOutcomeMessage>>;

// Owner of the ImportPlan. Its credit is one job per worker. Never blocks.
using import_planner_actor = caf::typed_actor<caf::reacts_to<import_begin_atom>,  // start the workers
                                              caf::reacts_to<import_stop_atom>>;  // hand out no more jobs

// ---- checker ----
// Comparing tables.

namespace checker {

struct CheckJob;
struct CheckOutcome;

struct CheckRequest {
  std::shared_ptr<const CheckOutcome> outcome;  // of the comparer's last job; null with its first request
};
struct CheckReply {
  std::shared_ptr<const CheckJob> job;  // null: nothing is left
};

// Hands out chunks and takes their results. Detached: it asks the source for borders of chunks.
using check_planner_actor = caf::typed_actor<caf::replies_to<CheckRequest>::with<CheckReply>>;  // give me a job

// Compares chunks. Detached: it waits for both databases.
using check_comparer_actor = caf::typed_actor<caf::reacts_to<CheckReply>>;  // do this job, then ask for the next

}  // namespace checker

}  // namespace sluice::agents

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::ImportJobMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::ImportOutcomeMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::NodeDesiredMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::LeaseMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::HelloMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::StatusMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::SnapshotQuery)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::StopMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::CommandMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::checker::CheckRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::agents::checker::CheckReply)
