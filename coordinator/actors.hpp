// The coordinator's actors and their messages. Payloads are immutable and shared; a message replaces the one before it.
// The coordinator (coordinator_actor.cpp) spawns and ends all of them. The metadata actor has a thread of its own,
// because it waits for the disk; the others share CAF's threads and never block.
#pragma once

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cluster/agent_outbox.hpp"
#include "coordinator/cluster/types.hpp"
#include "coordinator/metadata/metadata.hpp"
#include "coordinator/projects/project_commands.hpp"
#include "sluice/admin/v1/admin.pb.h"

namespace sluice::coordinator {

struct CommitRequest {
  std::shared_ptr<const Txn> txn;
};
struct CommitReply {
  std::shared_ptr<const Result<TxnResult>> result;
};
struct ReadRequest {
  std::vector<std::string> keys;
};
struct ReadReply {
  std::shared_ptr<const Result<std::vector<std::optional<KeyValue>>>> values;
};

struct SessionOpened {
  std::shared_ptr<AgentOutbox> outbox;
};
struct SessionMessage {
  uint64_t session;
  std::shared_ptr<const cluster::v1::AgentMessage> message;
};
struct SessionClosed {
  uint64_t session;
};
struct NodesRequest {};
struct NodesReply {
  std::shared_ptr<const std::vector<admin::v1::Node>> nodes;
};
struct Wanted;
struct Forget {
  std::string project;
};
struct ViewsChanged {
  std::shared_ptr<const ComponentViews> views;
};
struct Tick {};

struct Command {
  std::shared_ptr<const ProjectCommand> wish;
};
struct CommandReply {
  std::shared_ptr<const Status> status;
};

// Reads and writes metadata; detached, because a write waits for the disk.
using metadata_actor = caf::typed_actor<
    // Carries out a transaction.
    caf::replies_to<CommitRequest>::with<CommitReply>,
    // Values of keys, in their order.
    caf::replies_to<ReadRequest>::with<ReadReply>>;

// One project: runs the state machine, persists before it acts.
using project_actor = caf::typed_actor<
    // What the cluster shows of the project's components, whole.
    caf::reacts_to<ViewsChanged>,
    // Time has passed.
    caf::reacts_to<Tick>,
    // An operator's wish; answered when it is persisted.
    caf::replies_to<Command>::with<CommandReply>>;

// The cluster manager: nodes, leases, epochs, placement.
using cm_actor = caf::typed_actor<
    // An agent's stream, its messages in order, and its end.
    caf::reacts_to<SessionOpened>, caf::reacts_to<SessionMessage>, caf::reacts_to<SessionClosed>,
    // All that a project wants to run.
    caf::reacts_to<Wanted>,
    // The project is deleted: its placements are of no use any more.
    caf::reacts_to<Forget>,
    // Time has passed: leases may have run out.
    caf::reacts_to<Tick>,
    // The nodes and what is placed on them.
    caf::replies_to<NodesRequest>::with<NodesReply>>;

struct Wanted {
  std::shared_ptr<const WantedProject> project;
  project_actor sender;  // is told what the cluster shows
};

}  // namespace sluice::coordinator

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::CommitRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::CommitReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::ReadRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::ReadReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::SessionOpened)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::SessionMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::SessionClosed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::NodesRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::NodesReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::Wanted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::Forget)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::ViewsChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::Tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::Command)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::coordinator::CommandReply)
