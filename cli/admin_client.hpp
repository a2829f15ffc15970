// AdminClient: the public API as the command line uses it. Blocking calls with deadlines, each on the caller's thread;
// one object may be used by several threads. Errors are those of the coordinator, or PEER_UNREACHABLE / TIMED_OUT.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/result.hpp"
#include "core/secret.hpp"
#include "sluice/admin/v1/admin.pb.h"

namespace sluice::cli {

class AdminClient {
 public:
  static constexpr std::chrono::seconds kDeadline{15};  // of a call
  // Checks that the coordinator answers. `address`: "host:port" or "unix:path".
  static Result<std::unique_ptr<AdminClient>> open(const std::string& address, const Secret& token);
  ~AdminClient();

  Result<std::string> create_data_source(const admin::v1::CreateDataSourceRequest& request);  // its id
  Result<admin::v1::ListDataSourceResponse> list_data_sources(const admin::v1::ListDataSourceRequest& request);
  Status delete_data_source(const std::string& id);

  // Projects are named by id or name.
  Result<std::string> create_project(const admin::v1::CreateProjectRequest& request);  // its id
  Status start_project(const std::string& id);
  Status stop_project(const std::string& id);
  Status finish_project(const std::string& id);
  Status release_project(const std::string& id);
  Status delete_project(const std::string& id);
  Status resume_project(const admin::v1::ResumeProjectRequest& request);
  Status decide(const admin::v1::DecideRequest& request);
  Result<admin::v1::Project> describe(const std::string& id, std::chrono::seconds deadline = kDeadline);
  Result<admin::v1::ListProjectsResponse> list_projects(const admin::v1::ListProjectsRequest& request);
  Result<admin::v1::DescribeProjectStepsResponse> steps(const std::string& id);
  Result<admin::v1::DescribeProjectComponentsResponse> components(const std::string& id);
  Result<admin::v1::ListNodesResponse> list_nodes();

 private:
  struct Impl;
  explicit AdminClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::cli
