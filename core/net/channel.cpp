#include "core/net/channel.hpp"

#include <sodium.h>

#include "core/net/convert.hpp"

namespace sluice::net {
namespace {

constexpr char kAuthorization[] = "authorization";
constexpr std::string_view kBearer = "Bearer ";

ErrorCode code_of(grpc::StatusCode status) {
  switch (status) {
    case grpc::StatusCode::UNAVAILABLE:
      return ErrorCode::PEER_UNREACHABLE;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return ErrorCode::TIMED_OUT;
    case grpc::StatusCode::CANCELLED:
      return ErrorCode::CANCELLED;
    case grpc::StatusCode::UNAUTHENTICATED:
      return ErrorCode::UNAUTHENTICATED;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return ErrorCode::INVALID_ARGUMENT;
    case grpc::StatusCode::NOT_FOUND:
      return ErrorCode::NOT_FOUND;
    case grpc::StatusCode::UNIMPLEMENTED:
      return ErrorCode::UNSUPPORTED;
    default:
      return ErrorCode::PEER_UNREACHABLE;
  }
}

grpc::StatusCode status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::INVALID_ARGUMENT:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case ErrorCode::NOT_FOUND:
      return grpc::StatusCode::NOT_FOUND;
    case ErrorCode::ALREADY_EXISTS:
      return grpc::StatusCode::ALREADY_EXISTS;
    case ErrorCode::UNSUPPORTED:
      return grpc::StatusCode::UNIMPLEMENTED;
    case ErrorCode::UNAUTHENTICATED:
      return grpc::StatusCode::UNAUTHENTICATED;
    case ErrorCode::TIMED_OUT:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case ErrorCode::CANCELLED:
      return grpc::StatusCode::CANCELLED;
    case ErrorCode::PEER_UNREACHABLE:
      return grpc::StatusCode::UNAVAILABLE;
    case ErrorCode::INTERNAL:
      return grpc::StatusCode::INTERNAL;
    default:
      return grpc::StatusCode::FAILED_PRECONDITION;
  }
}

}  // namespace

std::shared_ptr<grpc::Channel> make_channel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 5'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // gRPC takes the "minimal" back-off as the time that an attempt to connect is given, the handshake included; the
  // pause between two attempts follows from the other two alone.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 3'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void authorize(grpc::ClientContext& context, const Secret& token) {
  context.AddMetadata(kAuthorization, std::string(kBearer) + token.reveal());
}

grpc::Status check_authorization(const grpc::ServerContextBase& context, const Secret& token) {
  const auto& metadata = context.client_metadata();
  auto entry = metadata.find(kAuthorization);
  if (entry != metadata.end()) {
    const std::string_view value(entry->second.data(), entry->second.size());
    const std::string& wanted = token.reveal();
    if (value.size() == kBearer.size() + wanted.size() && value.starts_with(kBearer) &&
        sodium_memcmp(value.data() + kBearer.size(), wanted.data(), wanted.size()) == 0)
      return grpc::Status::OK;
  }
  return to_grpc(Error(ErrorCode::UNAUTHENTICATED, "the call carries no valid token"));
}

Result<Server> start_server(const std::string& address, const std::vector<grpc::Service*>& services) {
  grpc::ServerBuilder builder;
  Server result;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &result.port);
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.SetMaxSendMessageSize(kMessageBytesMax);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  for (grpc::Service* service : services) builder.RegisterService(service);
  result.server = builder.BuildAndStart();
  if (!result.server) return Error(ErrorCode::IO_ERROR, "cannot listen on " + address, address);
  return result;
}

grpc::Status to_grpc(const Error& error) {
  return grpc::Status(status_of(error.code()), error.to_string(), to_proto(error).SerializeAsString());
}

Error from_grpc(const grpc::Status& status, const std::string& peer) {
  cluster::v1::Error details;
  if (!status.error_details().empty() && details.ParseFromString(status.error_details()) && !details.code().empty())
    return from_proto(details);
  return Error(code_of(status.error_code()), status.error_message(), peer);
}

}  // namespace sluice::net
