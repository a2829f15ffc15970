// The coordinator as its clients and agents see it: gRPC in process, with agents that are played by the test. They
// follow the protocol of cluster.proto and report what real components would.
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
#include "core/net/channel.hpp"
#include "sluice/admin/v1/admin.grpc.pb.h"
#include "tests/integration/components/fake_agent.hpp"

namespace sluice::coordinator {
namespace {

using namespace std::chrono_literals;

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
    options_.limits.lease_ttl = 1000ms;
    options_.limits.grace = 200ms;
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
    context.set_deadline(std::chrono::system_clock::now() + 20s);
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
                              std::chrono::seconds patience = 20s) {
    auto deadline = std::chrono::steady_clock::now() + patience;
    auto project = describe(id);
    while (!reached(project) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(20ms);
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

TEST_F(CoordinatorTest, RunsAMigrationOnceThroughAllSteps) {
  auto node = agent("n1");
  auto id = begin();
  auto project = wait_status(id, "FINISHED");
  for (const auto& step : project.steps()) EXPECT_EQ(step.status(), "FINISHED") << step.name();
  ASSERT_EQ(project.steps_size(), 6);
  EXPECT_EQ(project.steps(1).name(), "STRUCT_TRANSFER");
  EXPECT_EQ(project.verification(), "EQUAL");
  ASSERT_EQ(project.tables_size(), 1);
  EXPECT_EQ(project.tables(0).rows(), 10u);
  EXPECT_EQ(project.tables(0).verify(), "EQUAL");
  EXPECT_EQ(project.incremental().start(), "binlog.000001:100");
  EXPECT_EQ(project.incremental().end(), "binlog.000001:900");
  EXPECT_EQ(project.incremental().transactions(), 7u);
  EXPECT_EQ(node->spec(id + ".store").source().password(), "s3cret-from");
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!node->running().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(node->running().empty()) << "the Store is stopped at the end";
}

TEST_F(CoordinatorTest, SpreadsOverTwoEqualAgents) {
  auto a = agent("a"), b = agent("b");
  auto deadline = std::chrono::steady_clock::now() + 10s;
  admin::v1::ListNodesResponse nodes;
  while (nodes.data_size() < 2 && std::chrono::steady_clock::now() < deadline)
    call(&Stub::ListNodes, admin::v1::Empty(), nodes);
  auto id = begin("FOLLOW");
  wait_for(id, [](const auto& project) { return step(project, "INCR_TRANSFER") == "MONITORING"; });
  EXPECT_NE(a->running().contains(id + ".store"), b->running().contains(id + ".store"));
  EXPECT_NE(a->running().contains(id + ".store"), a->running().contains(id + ".incr"));
}

TEST_F(CoordinatorTest, FollowsUntilItIsFinished) {
  auto node = agent("n1");
  auto id = begin("FOLLOW");
  wait_for(id, [](const auto& project) { return step(project, "FULL_VERIFIER") == "FINISHED"; });
  EXPECT_EQ(describe(id).status(), "RUNNING");
  EXPECT_TRUE(tell(&Stub::FinishProject, id).ok());
  wait_status(id, "FINISHED");
  // Once more: catches up and verifies again.
  admin::v1::ResumeProjectRequest again;
  again.set_id(id);
  admin::v1::Empty empty;
  EXPECT_EQ(call(&Stub::ResumeProject, again, empty).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  again.set_again(true);
  again.set_run_mode("ONCE");
  ASSERT_TRUE(call(&Stub::ResumeProject, again, empty).ok());
  EXPECT_EQ(wait_status(id, "FINISHED").verification(), "EQUAL");
}

TEST_F(CoordinatorTest, StopsAndResumesAtAnyMomentAndRepeatedly) {
  auto node = agent("n1");
  auto id = begin("FOLLOW");
  admin::v1::ResumeProjectRequest resume;
  resume.set_id(id);
  admin::v1::Empty empty;
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(tell(&Stub::StopProject, id).ok());
    EXPECT_TRUE(tell(&Stub::StopProject, id).ok());
    if (i % 2 == 0) wait_status(id, "SUSPEND");
    EXPECT_TRUE(call(&Stub::ResumeProject, resume, empty).ok());
    EXPECT_TRUE(call(&Stub::ResumeProject, resume, empty).ok());
  }
  wait_for(id, [](const auto& project) { return step(project, "INCR_TRANSFER") == "MONITORING"; });
  EXPECT_TRUE(tell(&Stub::ReleaseProject, id).ok());
  wait_status(id, "RELEASED");
  EXPECT_TRUE(node->running().empty());
  EXPECT_TRUE(tell(&Stub::DeleteProject, id).ok());
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!describe(id).id().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(describe(id).id().empty());
}

TEST_F(CoordinatorTest, ACrashedProcessGetsANewEpochOnItsNode) {
  auto node = agent("n1");
  auto id = begin("FOLLOW");
  wait_for(id, [](const auto& project) { return step(project, "INCR_TRANSFER") == "MONITORING"; });
  uint64_t before = node->running()[id + ".incr"];
  node->crash(id + ".incr");
  auto deadline = std::chrono::steady_clock::now() + 15s;
  while (node->running()[id + ".incr"] <= before && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(node->running()[id + ".incr"], before + 1);
  EXPECT_EQ(describe(id).status(), "RUNNING");
}

TEST_F(CoordinatorTest, ALostNodesComponentsRunElsewhereAfterItsLease) {
  auto a = agent("a");
  auto id = begin("FOLLOW");
  wait_for(id, [](const auto& project) { return step(project, "INCR_TRANSFER") == "MONITORING"; });
  auto before = a->running();
  auto b = agent("b");
  std::this_thread::sleep_for(200ms);
  EXPECT_FALSE(b->running().contains(id + ".store")) << "nothing moves while its node lives";
  auto cut_at = std::chrono::steady_clock::now();
  a->cut();
  auto deadline = cut_at + 15s;
  while (!b->running().contains(id + ".incr") && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(10ms);
  EXPECT_GE(std::chrono::steady_clock::now() - cut_at, 1100ms) << "not before lease and grace are over";
  EXPECT_GT(b->running()[id + ".incr"], before[id + ".incr"]);
  EXPECT_GT(b->running()[id + ".store"], before[id + ".store"]);
}

TEST_F(CoordinatorTest, ARestartedCoordinatorGoesOnWithTheSameEpochs) {
  auto node = agent("n1");
  auto id = begin("FOLLOW");
  wait_for(id, [&](const auto& project) {
    return step(project, "FULL_VERIFIER") == "FINISHED" && node->running().size() == 2;
  });
  auto before = node->running();
  coordinator_.reset();
  start();
  auto project = wait_for(id, [](const auto& project) {
    return project.components_size() == 2 && project.components(0).state() == "RUNNING" &&
           project.components(1).state() == "RUNNING";
  });
  EXPECT_EQ(node->running(), before);
  EXPECT_EQ(project.status(), "RUNNING");
  EXPECT_EQ(project.tables_size(), 1);
  EXPECT_EQ(project.incremental().transactions(), 7u) << "nothing is counted twice";
}

TEST_F(CoordinatorTest, AnErrorThatIsNotRetryableFailsItsStepAndResumeGoesOn) {
  std::atomic<bool> cured{false};
  auto node = agent("n1", [&](const cluster::v1::Assignment& assignment, ComponentStatus& status) {
    behave_well(assignment, status);
    if (assignment.spec().kind() != cluster::v1::FULL_IMPORT || cured) return;
    status.set_state(cluster::v1::FAILED);
    status.mutable_error()->set_code("TARGET_NOT_EMPTY");
    status.mutable_error()->set_object("shop.orders");
    status.mutable_error()->set_cause("3 rows");
  });
  auto id = begin();
  auto project = wait_status(id, "FAILED");
  EXPECT_EQ(step(project, "FULL_TRANSFER"), "FAILED");
  ASSERT_EQ(project.errors_size(), 1);
  EXPECT_EQ(project.errors(0).code(), "TARGET_NOT_EMPTY");
  EXPECT_EQ(project.errors(0).object(), "shop.orders");
  EXPECT_FALSE(project.errors(0).action().empty());
  EXPECT_FALSE(node->ever_ran(id + ".incr"));
  cured = true;
  admin::v1::ResumeProjectRequest resume;
  resume.set_id(id);
  admin::v1::Empty empty;
  ASSERT_TRUE(call(&Stub::ResumeProject, resume, empty).ok());
  wait_status(id, "FINISHED");
}

TEST_F(CoordinatorTest, TablesAreCopiedAgainInRounds) {
  auto node = agent("n1", [](const cluster::v1::Assignment& assignment, ComponentStatus& status) {
    behave_well(assignment, status);
    if (assignment.spec().kind() != cluster::v1::INCR_SYNC || assignment.desired().recopied_tables_size() > 0) return;
    status.set_state(cluster::v1::RUNNING);
    status.mutable_incr_sync()->set_window_closed(false);
    status.mutable_incr_sync()->add_needs_copy("shop.orders#1");
  });
  auto id = begin();
  wait_status(id, "FINISHED");
  ASSERT_TRUE(node->ever_ran(id + ".full.r1"));
  ASSERT_EQ(node->spec(id + ".full.r1").tables_size(), 1);
  EXPECT_EQ(node->spec(id + ".full.r1").tables(0), "shop.orders");
  EXPECT_TRUE(node->ever_ran(id + ".struct.fk.1"));
}

TEST_F(CoordinatorTest, WatchShowsTheEnd) {
  auto id = begin();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 20s);
  net::authorize(context, coordinator_->token());
  admin::v1::WatchProjectRequest request;
  request.set_id(id);
  request.set_interval_ms(50);
  auto reader = stub_->WatchProject(&context, request);
  auto node = agent("n1");
  admin::v1::Project project;
  uint64_t version = 0;
  while (reader->Read(&project) && project.status() != "FINISHED") {
    EXPECT_GT(project.version(), version);
    version = project.version();
  }
  EXPECT_EQ(project.status(), "FINISHED");
  context.TryCancel();
}

TEST_F(CoordinatorTest, RefusesWhatItCannotDo) {
  data_source("from");
  data_source("to");
  auto refused = [&](admin::v1::CreateProjectRequest request) {
    admin::v1::CreateProjectResponse response;
    auto status = call(&Stub::CreateProject, request, response);
    EXPECT_FALSE(status.ok());
    return net::from_grpc(status, "");
  };
  auto request = body("p");
  request.set_type("SYNC");
  EXPECT_EQ(refused(request).code(), ErrorCode::UNSUPPORTED);
  request = body("p");
  request.mutable_common_transfer_config()->set_mq_serializer_type("CANAL");
  EXPECT_EQ(refused(request).object(), "commonTransferConfig.mqSerializerType");
  request = body("p");
  request.set_source_endpoint_id("nobody");
  EXPECT_EQ(refused(request).code(), ErrorCode::NOT_FOUND);
  create(body("p"));
  EXPECT_EQ(refused(body("p")).code(), ErrorCode::ALREADY_EXISTS);
  grpc::ClientContext context;
  admin::v1::ListNodesResponse nodes;
  EXPECT_EQ(stub_->ListNodes(&context, admin::v1::Empty(), &nodes).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  admin::v1::DeleteDataSourceRequest remove;
  remove.set_id("from");
  admin::v1::Empty empty;
  EXPECT_EQ(net::from_grpc(call(&Stub::DeleteDataSource, remove, empty), "").code(), ErrorCode::WRONG_STATE);
  auto options = options_;
  options.data_dir = directory_ + "/other";
  options.grpc = "0.0.0.0:0";
  EXPECT_EQ(Coordinator::start(options).error().code(), ErrorCode::UNSUPPORTED);
}

TEST_F(CoordinatorTest, NoSecretLiesInClearInTheDataDirectory) {
  auto node = agent("n1");
  auto id = begin();
  wait_status(id, "FINISHED");
  coordinator_.reset();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options_.data_dir)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(content.find("s3cret"), std::string::npos) << entry.path();
  }
  EXPECT_EQ(std::filesystem::status(options_.data_dir + "/admin.token").permissions(), std::filesystem::perms(0600));
  EXPECT_EQ(std::filesystem::status(options_.data_dir + "/master.key").permissions(), std::filesystem::perms(0600));
  start();
}

TEST_F(CoordinatorTest, AnswersTheStandardHealthCheck) {
  auto channel = net::make_channel(coordinator_->grpc_address());
  grpc::internal::RpcMethod check("/grpc.health.v1.Health/Check", grpc::internal::RpcMethod::NORMAL_RPC);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 10s);
  admin::v1::Empty request, response;  // read as unknown fields: status 1 is SERVING
  auto status = grpc::internal::BlockingUnaryCall<google::protobuf::MessageLite, google::protobuf::MessageLite>(
      channel.get(), check, &context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.SerializeAsString(), std::string("\x08\x01"));
}

// Operators, crashes and restarts of the coordinator in any order: afterwards the project still comes to its end.
TEST_F(CoordinatorTest, RandomCommandsCrashesAndRestartsEndInALegalState) {
  const char* given = getenv("SLUICE_TEST_SEED");
  unsigned seed = given ? std::atoi(given) : std::random_device()();
  std::mt19937 random(seed);
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  auto a = agent("a"), b = agent("b");
  auto id = begin("FOLLOW");
  admin::v1::ResumeProjectRequest resume;
  resume.set_id(id);
  resume.set_again(true);
  admin::v1::Empty empty;
  std::map<std::string, uint64_t> epochs;
  for (int round = 0; round < 60; ++round) {
    switch (random() % 7) {
      case 0:
        tell(&Stub::StopProject, id);
        break;
      case 1:
      case 2:
        call(&Stub::ResumeProject, resume, empty);
        break;
      case 3:
        tell(&Stub::FinishProject, id);
        break;
      case 4:
        for (auto* agent : {a.get(), b.get()})
          if (auto running = agent->running(); !running.empty())
            agent->crash(std::next(running.begin(), random() % running.size())->first);
        break;
      case 5:
        if (random() % 3 != 0) break;
        coordinator_.reset();
        start();
        break;
      default:
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
    }
    for (auto* agent : {a.get(), b.get()})
      for (const auto& [component, epoch] : agent->running()) {
        EXPECT_GE(epoch, epochs[component]) << component << ": an epoch never goes back";
        epochs[component] = std::max(epochs[component], epoch);
      }
    const auto status = describe(id).status();
    EXPECT_TRUE(status == "RUNNING" || status == "SUSPEND" || status == "FINISHED" || status == "FAILED") << status;
  }
  wait_for(
      id,
      [&](const auto& project) {
        if (!project.stopping() && (project.status() == "SUSPEND" || project.status() == "FAILED"))
          call(&Stub::ResumeProject, resume, empty);
        if (project.status() == "RUNNING") tell(&Stub::FinishProject, id);
        return project.status() == "FINISHED";
      },
      30s);
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while ((!a->running().empty() || !b->running().empty()) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(a->running().empty() && b->running().empty());
}

// One project, many hands: every call is answered, and the project ends released.
TEST_F(CoordinatorTest, TwentyClientsAtOnceLeaveOneLegalState) {
  auto node = agent("n1");
  auto id = begin("FOLLOW");
  std::vector<std::thread> clients;
  std::atomic<int> answered{0};
  for (int client = 0; client < 20; ++client)
    clients.emplace_back([&, client] {
      admin::v1::ResumeProjectRequest resume;
      resume.set_id(id);
      admin::v1::Empty empty;
      for (int i = 0; i < 10; ++i) {
        auto status = (client + i) % 3 == 0   ? tell(&Stub::StopProject, id)
                      : (client + i) % 3 == 1 ? call(&Stub::ResumeProject, resume, empty)
                                              : tell(&Stub::StartProject, id);
        if (status.ok() || status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) ++answered;
      }
    });
  for (auto& client : clients) client.join();
  EXPECT_EQ(answered, 200);
  EXPECT_TRUE(tell(&Stub::ReleaseProject, id).ok());
  wait_status(id, "RELEASED");
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!node->running().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(node->running().empty());
}

}  // namespace
}  // namespace sluice::coordinator
