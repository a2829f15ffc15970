// A coordinator in this process, its API over gRPC, and agents that the test plays.
#pragma once

#include <grpcpp/impl/client_unary_call.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "coordinator/coordinator.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/channel.hpp"
#include "sluice/admin/v1/admin.grpc.pb.h"
#include "tests/integration/components/fake_agent.hpp"

namespace sluice::coordinator {

class CoordinatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (getenv("SLUICE_TEST_LOG")) log::init({});
    char pattern[] = "/tmp/sluice-coordinator-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    options_.data_dir = directory_ + "/data";
    options_.grpc = "unix:" + directory_ + "/grpc.sock";
    options_.http = "127.0.0.1:0";
    options_.limits.lease_ttl = std::chrono::milliseconds(1000);
    options_.limits.grace = std::chrono::milliseconds(200);
    start();
  }
  void TearDown() override {
    coordinator_.reset();
    std::filesystem::remove_all(directory_);
  }
  void start() {
    auto started = Coordinator::start(options_);
    ASSERT_TRUE(started.ok()) << started.error().to_string();
    coordinator_ = std::move(started).value();
    stub_ = admin::v1::AdminService::NewStub(net::make_channel(coordinator_->grpc_address()));
  }
  std::unique_ptr<FakeAgent> agent(const std::string& node, FakeAgent::Behave behave = behave_well) {
    return std::make_unique<FakeAgent>(coordinator_->grpc_address(), coordinator_->token(), node, std::move(behave));
  }

  template <class Method, class Request, class Response>
  grpc::Status call(Method method, const Request& request, Response& response) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    net::authorize(context, coordinator_->token());
    return (stub_.get()->*method)(&context, request, &response);
  }
  using Stub = admin::v1::AdminService::Stub;

  void data_source(const std::string& name) {
    admin::v1::CreateDataSourceRequest request;
    request.set_name(name);
    request.set_ip("127.0.0.1");
    request.set_port(3306);
    request.set_username("root");
    request.set_password("s3cret-" + name);
    admin::v1::CreateDataSourceResponse response;
    auto status = call(&Stub::CreateDataSource, request, response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  admin::v1::CreateProjectRequest body(const std::string& name, const std::string& mode = "ONCE") {
    admin::v1::CreateProjectRequest request;
    request.set_name(name);
    request.set_type("MIGRATION");
    request.set_source_endpoint_id("from");
    request.set_sink_endpoint_id("to");
    request.set_enable_struct_transfer(true);
    request.set_enable_full_transfer(true);
    request.set_enable_incr_transfer(true);
    request.set_enable_full_verify(true);
    request.set_run_mode(mode);
    request.add_include("shop.*");
    return request;
  }
  std::string create(const admin::v1::CreateProjectRequest& request) {
    admin::v1::CreateProjectResponse response;
    auto status = call(&Stub::CreateProject, request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.id();
  }
  std::string begin(const std::string& mode = "ONCE") {
    data_source("from");
    data_source("to");
    auto id = create(body("move", mode));
    auto started = tell(&Stub::StartProject, id);
    EXPECT_TRUE(started.ok()) << started.error_message();
    return id;
  }
  template <class Method>
  grpc::Status tell(Method method, const std::string& id) {
    admin::v1::ProjectRequest request;
    request.set_id(id);
    admin::v1::Empty empty;
    return call(method, request, empty);
  }
  admin::v1::Project describe(const std::string& id) {
    admin::v1::ProjectRequest request;
    request.set_id(id);
    admin::v1::Project project;
    call(&Stub::DescribeProject, request, project);
    return project;
  }
  admin::v1::Project wait_for(const std::string& id, const std::function<bool(const admin::v1::Project&)>& reached,
                              std::chrono::seconds patience = std::chrono::seconds(20)) {
    auto deadline = std::chrono::steady_clock::now() + patience;
    auto project = describe(id);
    while (!reached(project) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      project = describe(id);
    }
    EXPECT_TRUE(reached(project)) << project.DebugString();
    return project;
  }
  admin::v1::Project wait_status(const std::string& id, const std::string& status) {
    return wait_for(id, [&](const auto& project) { return project.status() == status; });
  }
  static std::string step(const admin::v1::Project& project, const std::string& name) {
    for (const auto& step : project.steps())
      if (step.name() == name) return step.status();
    return "absent";
  }

  std::string directory_;
  CoordinatorOptions options_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<Stub> stub_;
};

}  // namespace sluice::coordinator
