#include "coordinator/cluster/cluster_service.hpp"

#include <thread>

#include "core/log.hpp"
#include "core/net/channel.hpp"
#include "sluice/cluster/v1/cluster.grpc.pb.h"

namespace sluice::coordinator {
namespace {

class ClusterServiceImpl final : public cluster::v1::ClusterService::Service {
 public:
  ClusterServiceImpl(AgentEvents& events, Secret token) : events_(events), token_(std::move(token)) {}

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<cluster::v1::CoordinatorMessage, cluster::v1::AgentMessage>* stream) override {
    if (auto status = net::check_authorization(*context, token_); !status.ok()) return status;
    auto session = std::make_shared<coordinator::Session>(++last_session_);
    events_.opened(session);
    std::thread writer([&] {
      while (auto message = session->pop())
        if (!stream->Write(*message)) break;
      context->TryCancel();  // ends the reader too; everything that waited has been written
    });
    bool first = true;
    auto message = std::make_shared<cluster::v1::AgentMessage>();
    while (stream->Read(message.get())) {
      if (first && (!message->has_register_() || message->register_().node_id().empty())) {
        log::warn("coordinator.cluster", "a stream did not begin with a registration", {{"peer", context->peer()}});
        break;
      }
      first = false;
      events_.received(session->id(), std::move(message));
      message = std::make_shared<cluster::v1::AgentMessage>();
    }
    events_.closed(session->id());
    session->close();
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
