#include "coordinator/api/admin_service.hpp"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <mutex>

#include "core/metrics.hpp"
#include "core/net/channel.hpp"
#include "sluice/admin/v1/admin.grpc.pb.h"

namespace sluice::coordinator {
namespace {

using namespace admin::v1;

bool contains(const google::protobuf::RepeatedPtrField<std::string>& list, const std::string& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

ProjectBoard::Entry summary(const Project& project) {
  auto out = std::make_shared<Project>(project);
  out->clear_tables();
  out->clear_components();
  out->clear_checks();
  out->clear_decisions();
  out->clear_transfer_mapping();  // as in OMS: DescribeProject has the configuration
  out->clear_common_transfer_config();
  out->clear_struct_transfer_config();
  out->clear_full_transfer_config();
  out->clear_incr_transfer_config();
  out->clear_full_verify_config();
  return out;
}

const char* worker_status(const Component& component) {
  if (component.state() == "FAILED") return "EXCEPTION";
  if (component.state() == "FINISHED") return "FINISHED";
  if (component.state() == "STOPPED") return "STOPPED";
  return "RUNNING";
}

void fill_worker(const Project& project, const Component& component, WorkerComponent& out) {
  out.set_name(component.id());
  out.set_ip(component.node());
  out.set_identity(project.id());
  out.set_status(worker_status(component));
  out.set_checkpoint(component.checkpoint());
  out.set_delay(component.delay());
  if (component.has_error()) *out.add_error_details() = component.error();
}

void fill_components(const Project& project, DescribeProjectComponentsResponse& out) {
  for (const auto& component : project.components()) {
    *out.add_components() = component;
    if (component.kind() == "store") {
      auto& store = *out.add_store_list();
      store.set_name(component.id());
      auto colon = component.address().rfind(':');
      store.set_ip(component.address().substr(0, colon));
      if (colon != std::string::npos) store.set_port(std::atoi(component.address().c_str() + colon + 1));
      std::string status = worker_status(component);
      store.set_status(status == "RUNNING" ? "ACTIVE" : status == "EXCEPTION" ? "EXCEPTION" : "STOP");
      store.set_begin_checkpoint(project.incremental().start());
      store.set_end_checkpoint(component.checkpoint());
      store.set_err_msg(component.error().cause());
    }
    if (component.kind() == "full_import") fill_worker(project, component, *out.add_full_import_components());
    if (component.kind() == "incr_sync") fill_worker(project, component, *out.add_incr_sync_components());
    if (component.kind() == "checker") fill_worker(project, component, *out.add_full_verify_components());
  }
}

class AdminServiceImpl final : public AdminService::Service {
 public:
  AdminServiceImpl(Control& control, Secret token) : control_(control), token_(std::move(token)) {}

  grpc::Status CreateDataSource(grpc::ServerContext* context, const CreateDataSourceRequest* request,
                                CreateDataSourceResponse* response) override {
    return call(*context, [&]() -> Status {
      SLUICE_ASSIGN(*response->mutable_id(), control_.data_sources().create(*request));
      return {};
    });
  }
  grpc::Status CreateMysqlDataSource(grpc::ServerContext* context, const CreateDataSourceRequest* request,
                                     CreateDataSourceResponse* response) override {
    return CreateDataSource(context, request, response);
  }
  grpc::Status ListDataSource(grpc::ServerContext* context, const ListDataSourceRequest* request,
                              ListDataSourceResponse* response) override {
    return call(*context, [&]() -> Status {
      SLUICE_ASSIGN(*response, control_.data_sources().list(*request));
      return {};
    });
  }
  grpc::Status DeleteDataSource(grpc::ServerContext* context, const DeleteDataSourceRequest* request, Empty*) override {
    return call(*context, [&] {
      return control_.data_sources().remove(request->id(), [&](const std::string& id) -> std::string {
        for (const auto& project : control_.board().all())
          if (project->status() != "RELEASED" &&
              (project->source_connect_info().endpoint_id() == id || project->sink_connect_info().endpoint_id() == id))
            return project->name();
        return {};
      });
    });
  }

  grpc::Status CreateProject(grpc::ServerContext* context, const CreateProjectRequest* request,
                             CreateProjectResponse* response) override {
    return call(*context, [&]() -> Status {
      SLUICE_ASSIGN(*response->mutable_id(), control_.create_project(*request));
      return {};
    });
  }
  grpc::Status StartProject(grpc::ServerContext* context, const ProjectRequest* request, Empty*) override {
    return command(*context, request->id(), Verb::kStart);
  }
  grpc::Status StopProject(grpc::ServerContext* context, const ProjectRequest* request, Empty*) override {
    return command(*context, request->id(), Verb::kStop);
  }
  grpc::Status ResumeProject(grpc::ServerContext* context, const ResumeProjectRequest* request, Empty*) override {
    return call(*context, [&] { return control_.command(request->id(), {Verb::kResume, *request, {}}); });
  }
  grpc::Status ReleaseProject(grpc::ServerContext* context, const ProjectRequest* request, Empty*) override {
    return command(*context, request->id(), Verb::kRelease);
  }
  grpc::Status DeleteProject(grpc::ServerContext* context, const ProjectRequest* request, Empty*) override {
    return command(*context, request->id(), Verb::kDelete);
  }
  grpc::Status FinishProject(grpc::ServerContext* context, const ProjectRequest* request, Empty*) override {
    return command(*context, request->id(), Verb::kFinish);
  }

  grpc::Status Decide(grpc::ServerContext* context, const DecideRequest* request, Empty*) override {
    return call(*context, [&] { return control_.command(request->id(), {Verb::kDecide, {}, request->decision()}); });
  }

  grpc::Status ListProjects(grpc::ServerContext* context, const ListProjectsRequest* request,
                            ListProjectsResponse* response) override {
    return call(*context, [&] { return list(*request, *response); });
  }
  grpc::Status DescribeProject(grpc::ServerContext* context, const ProjectRequest* request,
                               Project* response) override {
    return describe(*context, request->id(), [&](const Project& project) { *response = project; });
  }
  grpc::Status DescribeProjectSteps(grpc::ServerContext* context, const ProjectRequest* request,
                                    DescribeProjectStepsResponse* response) override {
    return describe(*context, request->id(),
                    [&](const Project& project) { *response->mutable_data() = project.steps(); });
  }
  grpc::Status DescribeProjectProgress(grpc::ServerContext* context, const ProjectRequest* request,
                                       ProjectProgress* response) override {
    return describe(*context, request->id(), [&](const Project& project) { fill_progress(project, *response); });
  }
  grpc::Status DescribeProjectComponents(grpc::ServerContext* context, const ProjectRequest* request,
                                         DescribeProjectComponentsResponse* response) override {
    return describe(*context, request->id(), [&](const Project& project) { fill_components(project, *response); });
  }

  grpc::Status WatchProject(grpc::ServerContext* context, const WatchProjectRequest* request,
                            grpc::ServerWriter<Project>* writer) override {
    if (auto status = net::check_authorization(*context, token_); !status.ok()) return status;
    std::chrono::milliseconds interval(request->interval_ms() <= 0 ? 500
                                                                   : std::clamp(request->interval_ms(), 50, 60'000));
    auto first = control_.board().get(request->id());
    if (!first) return net::to_grpc(not_found(request->id()));
    std::string id = first->id();
    uint64_t seen = 0;
    auto next_at = std::chrono::steady_clock::now();
    while (!context->IsCancelled() && !control_.stopping()) {
      auto project = control_.board().wait(id, seen, std::chrono::milliseconds(200));
      if (!project) return grpc::Status::OK;  // deleted
      auto now = std::chrono::steady_clock::now();
      if (project->version() <= seen) continue;
      if (now < next_at) {
        std::this_thread::sleep_for(
            std::min<std::chrono::steady_clock::duration>(next_at - now, std::chrono::milliseconds(200)));
        continue;
      }
      if (!writer->Write(*project)) break;
      seen = project->version();
      next_at = now + interval;
    }
    return grpc::Status::OK;
  }

  grpc::Status ListNodes(grpc::ServerContext* context, const Empty*, ListNodesResponse* response) override {
    return call(*context, [&]() -> Status {
      SLUICE_ASSIGN(auto nodes, control_.nodes());
      for (auto& node : nodes) *response->add_data() = std::move(node);
      return {};
    });
  }

 private:
  static Error not_found(const std::string& id) {
    return Error(ErrorCode::NOT_FOUND, "there is no project of this id or name", id);
  }

  template <class Work>
  grpc::Status call(grpc::ServerContext& context, Work work) {
    if (auto status = net::check_authorization(context, token_); !status.ok()) return status;
    calls_.add();
    Status status = work();
    return status.ok() ? grpc::Status::OK : net::to_grpc(status.error());
  }

  grpc::Status command(grpc::ServerContext& context, const std::string& id, Verb verb) {
    return call(context, [&] { return control_.command(id, {verb, {}, {}}); });
  }

  template <class Use>
  grpc::Status describe(grpc::ServerContext& context, const std::string& id, Use use) {
    return call(context, [&]() -> Status {
      auto project = control_.board().get(id);
      if (!project) return not_found(id);
      use(*project);
      return {};
    });
  }

  Status list(const ListProjectsRequest& request, ListProjectsResponse& response) {
    if (request.label_ids_size() > 0)
      return Error(ErrorCode::UNSUPPORTED, "labelIds: labels are not supported", "labelIds");
    if (request.visible_sub_project())
      return Error(ErrorCode::UNSUPPORTED, "visibleSubProject: there are no projects below others",
                   "visibleSubProject");
    std::vector<ProjectBoard::Entry> found;
    for (auto& project : control_.board().all()) {
      if (!request.search_key().empty() && project->id() != request.search_key() &&
          project->name().find(request.search_key()) == std::string::npos)
        continue;
      if (!request.type().empty() && project->type() != request.type()) continue;
      if (!contains(request.status(), project->status())) continue;
      if (!contains(request.source_endpoint_types(), project->source_endpoint_type())) continue;
      if (!contains(request.sink_endpoint_types(), project->sink_endpoint_type())) continue;
      found.push_back(std::move(project));
    }
    bool modified = request.sort_field() == "gmtModified",
         ascending = request.order() == "asc" || request.order() == "ascend";
    std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
      const auto& x = modified ? a->gmt_modified() : a->gmt_create();
      const auto& y = modified ? b->gmt_modified() : b->gmt_create();
      return ascending ? x < y : x > y;
    });
    auto page = page_of(request.page_number(), request.page_size(), found.size());
    response.set_page_number(page.number);
    response.set_page_size(page.size);
    response.set_total_count(found.size());
    for (size_t i = page.from; i < page.from + page.count; ++i) *response.add_data() = *summary(*found[i]);
    return {};
  }

  static void fill_progress(const Project& project, ProjectProgress& out) {
    out.set_project_id(project.id());
    out.set_status(project.status());
    out.set_enable_incr_sync(project.enable_incr_transfer());
    out.set_enable_struct_transfer(project.enable_struct_transfer());
    out.set_enable_full_transfer(project.enable_full_transfer());
    out.set_current_step(project.extra_info().running_step());
    for (const auto& step : project.steps()) {
      if (step.name() == "STRUCT_TRANSFER") out.set_struct_transfer_progress(step.progress());
      if (step.name() == "FULL_TRANSFER") out.set_full_transfer_progress(step.progress());
      if (step.name() == "INCR_TRANSFER") out.set_incr_sync_checkpoint(step.step_info().incr_timestamp_checkpoint());
    }
  }

  Control& control_;
  Secret token_;
  metrics::Counter calls_ =
      metrics::counter("sluice_coordinator_api_calls_total", "Calls of AdminService with a valid token");
};

}  // namespace

std::shared_ptr<grpc::Service> make_admin_service(Control& control, Secret token) {
  return std::make_shared<AdminServiceImpl>(control, std::move(token));
}

void enable_reflection_and_health() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::EnableDefaultHealthCheckService(true);
  });
}

}  // namespace sluice::coordinator
