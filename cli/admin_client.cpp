#include "cli/admin_client.hpp"

#include "core/net/channel.hpp"
#include "sluice/admin/v1/admin.grpc.pb.h"

namespace sluice::cli {
namespace {

admin::v1::ProjectRequest named(const std::string& id) {
  admin::v1::ProjectRequest request;
  request.set_id(id);
  return request;
}

}  // namespace

struct AdminClient::Impl {
  std::string address;
  Secret token;
  std::unique_ptr<admin::v1::AdminService::Stub> stub;

  template <class Request, class Response>
  Result<Response> call(grpc::Status (admin::v1::AdminService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                              Response*),
                        const Request& request, std::chrono::seconds deadline = kDeadline) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    net::authorize(context, token);
    Response response;
    const grpc::Status status = (stub.get()->*method)(&context, request, &response);
    if (!status.ok()) return net::from_grpc(status, address);
    return response;
  }

  Status act(grpc::Status (admin::v1::AdminService::Stub::*method)(grpc::ClientContext*,
                                                                   const admin::v1::ProjectRequest&, admin::v1::Empty*),
             const std::string& id) {
    auto result = call(method, named(id));
    return result.ok() ? Status() : Status(result.error());
  }
};

using Stub = admin::v1::AdminService::Stub;

AdminClient::AdminClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminClient::~AdminClient() = default;

Result<std::unique_ptr<AdminClient>> AdminClient::open(const std::string& address, const Secret& token) {
  auto impl = std::make_unique<Impl>();
  impl->address = address;
  impl->token = token;
  impl->stub = admin::v1::AdminService::NewStub(net::make_channel(address));
  std::unique_ptr<AdminClient> client(new AdminClient(std::move(impl)));
  if (auto nodes = client->list_nodes(); !nodes.ok()) return nodes.error();
  return client;
}

Result<std::string> AdminClient::create_data_source(const admin::v1::CreateDataSourceRequest& request) {
  SLUICE_ASSIGN(auto response, impl_->call(&Stub::CreateDataSource, request));
  return response.id();
}

Result<admin::v1::ListDataSourceResponse> AdminClient::list_data_sources(
    const admin::v1::ListDataSourceRequest& request) {
  return impl_->call(&Stub::ListDataSource, request);
}

Status AdminClient::delete_data_source(const std::string& id) {
  admin::v1::DeleteDataSourceRequest request;
  request.set_id(id);
  auto result = impl_->call(&Stub::DeleteDataSource, request);
  return result.ok() ? Status() : Status(result.error());
}

Result<std::string> AdminClient::create_project(const admin::v1::CreateProjectRequest& request) {
  SLUICE_ASSIGN(auto response, impl_->call(&Stub::CreateProject, request));
  return response.id();
}

Status AdminClient::start_project(const std::string& id) { return impl_->act(&Stub::StartProject, id); }
Status AdminClient::stop_project(const std::string& id) { return impl_->act(&Stub::StopProject, id); }
Status AdminClient::finish_project(const std::string& id) { return impl_->act(&Stub::FinishProject, id); }
Status AdminClient::release_project(const std::string& id) { return impl_->act(&Stub::ReleaseProject, id); }
Status AdminClient::delete_project(const std::string& id) { return impl_->act(&Stub::DeleteProject, id); }

Status AdminClient::resume_project(const admin::v1::ResumeProjectRequest& request) {
  auto result = impl_->call(&Stub::ResumeProject, request);
  return result.ok() ? Status() : Status(result.error());
}

Status AdminClient::decide(const admin::v1::DecideRequest& request) {
  auto result = impl_->call(&Stub::Decide, request);
  return result.ok() ? Status() : Status(result.error());
}

Result<admin::v1::Project> AdminClient::describe(const std::string& id, std::chrono::seconds deadline) {
  return impl_->call(&Stub::DescribeProject, named(id), deadline);
}

Result<admin::v1::ListProjectsResponse> AdminClient::list_projects(const admin::v1::ListProjectsRequest& request) {
  return impl_->call(&Stub::ListProjects, request);
}

Result<admin::v1::DescribeProjectStepsResponse> AdminClient::steps(const std::string& id) {
  return impl_->call(&Stub::DescribeProjectSteps, named(id));
}

Result<admin::v1::DescribeProjectComponentsResponse> AdminClient::components(const std::string& id) {
  return impl_->call(&Stub::DescribeProjectComponents, named(id));
}

Result<admin::v1::ListNodesResponse> AdminClient::list_nodes() {
  return impl_->call(&Stub::ListNodes, admin::v1::Empty());
}

}  // namespace sluice::cli
