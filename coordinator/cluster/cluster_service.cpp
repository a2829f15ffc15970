#include "coordinator/cluster/cluster_service.hpp"

#include <thread>

#include "core/log.hpp"
#include "core/net/channel.hpp"
#include "sluice/cluster/v1/cluster.grpc.pb.h"

namespace sluice::coordinator {
namespace {

// Of a component, or of the agent itself.
void write_log(const std::string& node, const cluster::v1::LogLine& line) {
  std::string text = line.line();
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  const std::string who = line.component_id().empty() ? std::string("agent") : line.component_id();
  const auto level = line.level() == "ERROR" ? log::Level::kError : log::Level::kWarn;
  if (line.dropped() > 0)
    log::write(level, "coordinator.remote", text, {{"node", node}, {"from", who}, {"dropped", line.dropped()}});
  else
    log::write(level, "coordinator.remote", text, {{"node", node}, {"from", who}});
}

class ClusterServiceImpl final : public cluster::v1::ClusterService::Service {
 public:
  ClusterServiceImpl(AgentEvents& events, Secret token) : events_(events), token_(std::move(token)) {}

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<cluster::v1::CoordinatorMessage, cluster::v1::AgentMessage>* stream) override {
    if (auto status = net::check_authorization(*context, token_); !status.ok()) return status;
    auto outbox = std::make_shared<AgentOutbox>(++last_session_);
    events_.opened(outbox);
    std::thread writer([&] {
      while (auto message = outbox->pop())
        if (!stream->Write(*message)) break;
      context->TryCancel();  // ends the reader too; everything that waited has been written
    });
    bool first = true;
    std::string node;
    auto message = std::make_shared<cluster::v1::AgentMessage>();
    while (stream->Read(message.get())) {
      if (first && (!message->has_register_() || message->register_().node_id().empty())) {
        log::warn("coordinator.cluster", "a stream did not begin with a registration", {{"peer", context->peer()}});
        break;
      }
      if (first) node = message->register_().node_id();
      first = false;
      if (message->has_log()) {
        write_log(node, message->log());
        continue;
      }
      events_.received(outbox->session(), std::move(message));
      message = std::make_shared<cluster::v1::AgentMessage>();
    }
    events_.closed(outbox->session());
    outbox->close();
    writer.join();
    return grpc::Status::OK;
  }

 private:
  AgentEvents& events_;
  Secret token_;
  std::atomic<uint64_t> last_session_{0};
};

}  // namespace

std::shared_ptr<grpc::Service> make_cluster_service(AgentEvents& events, Secret token) {
  return std::make_shared<ClusterServiceImpl>(events, std::move(token));
}

}  // namespace sluice::coordinator
