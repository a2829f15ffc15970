// LocalService: serves cluster.v1.ComponentService to the component processes of this agent, on a unix socket that only
// this user can reach. Thread safe; handlers are called on gRPC's threads.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/result.hpp"
#include "core/secret.hpp"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents {

class LocalService {
 public:
  struct Handlers {
    // Answers through `verdict`, soon and once, from any thread; an error ends the stream with it.
    std::function<void(const cluster::v1::ComponentHello&, std::function<void(Status)> verdict)> on_hello;
    std::function<void(cluster::v1::ComponentStatus)> on_status;
    std::function<void(cluster::v1::LogLine)> on_log;  // with the component's id
  };

  LocalService(Secret token, Handlers handlers);
  ~LocalService();

  Status start(const std::string& address);  // "unix:/path"
  void stop();
  // To the component's stream, if it has one with this epoch. Of several leases or desired states that wait, the newest
  // is sent: a frozen component costs no memory.
  void command(const std::string& component, uint64_t epoch, const cluster::v1::ComponentCommand& command);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Where the agent of this data directory and its Stores have their sockets: the data directory itself, or, where its
// name is too long for a socket's, a directory of this user under /tmp that is derived from it (made with mode 0700).
Result<std::string> socket_directory(const std::string& data_dir);

}  // namespace sluice::agents
