// Coordinator: decides. Owns metadata, the CM, the projects and the servers of AdminService and ClusterService. start()
// returns when it answers; the destructor stops everything, keeping what is persisted. Agents go on under their leases.
// The interface may be called from any thread.
#pragma once

#include <memory>
#include <string>

#include "coordinator/cluster/cluster_manager.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"

namespace sluice::coordinator {

struct CoordinatorOptions {
  std::string data_dir;                 // made when missing, mode 0700
  std::string http = "127.0.0.1:8089";  // "none": no HTTP; "host:0" picks a port
  std::string grpc = "127.0.0.1:8090";  // or "unix:/path"
  std::string master_key_file;          // "": master.key in data_dir
  std::string region;                   // preferred for components whose data source names none
  ClusterLimits limits;
};

class Coordinator {
 public:
  virtual ~Coordinator() = default;
  // UNSUPPORTED for an address that is not loopback: without TLS nobody else may connect.
  static Result<std::unique_ptr<Coordinator>> start(const CoordinatorOptions& options);

  virtual std::string grpc_address() const = 0;  // with the port that was picked
  virtual int http_port() const = 0;             // 0: none
  virtual const Secret& token() const = 0;       // content of admin.token
};

}  // namespace sluice::coordinator
