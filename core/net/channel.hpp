// gRPC channels, servers and credentials, in one place. Addresses: "host:port" or "unix:/path". Every call carries the
// cluster's token in the metadata key `authorization` ("Bearer …"); every unary call has a deadline.
// All of it may be used from any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "core/result.hpp"
#include "core/secret.hpp"

namespace sluice::net {

inline constexpr int kMessageBytesMax = 80 << 20;  // a batch holds at least one row, and a row may be 64 MiB

std::shared_ptr<grpc::Channel> make_channel(const std::string& address);
void authorize(grpc::ClientContext& context, const Secret& token);
// UNAUTHENTICATED unless the call carries the token (compared in constant time).
grpc::Status check_authorization(const grpc::ServerContextBase& context, const Secret& token);

struct Server {
  std::unique_ptr<grpc::Server> server;
  int port = 0;  // the one that was picked when the address had port 0
};
// Starts a server for these services. `address` may be "host:0".
Result<Server> start_server(const std::string& address, const std::vector<grpc::Service*>& services);

// An Error as gRPC status and back: code, object, position and cause survive (details = cluster.v1.Error).
grpc::Status to_grpc(const Error& error);
Error from_grpc(const grpc::Status& status, const std::string& peer);

}  // namespace sluice::net
