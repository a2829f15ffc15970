// The coordinator as its clients and agents see it: gRPC in process, with agents that are played by the test. They
// follow the protocol of cluster.proto and report what real components would.
#include "core/net/convert.hpp"
#include "tests/integration/components/coordinator_fixture.hpp"

namespace sluice::coordinator {
namespace {

using namespace std::chrono_literals;

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

// A statement stops the project; the operator decides; the decision outlives the coordinator and reaches Incr-Sync.
TEST_F(CoordinatorTest, AnOperatorsDecisionCuresWhatStoppedTheProject) {
  auto node = agent("n1", [&](const cluster::v1::Assignment& assignment, ComponentStatus& status) {
    behave_well(assignment, status);
    if (assignment.spec().kind() != cluster::v1::INCR_SYNC) return;
    for (const auto& decision : assignment.desired().decisions())
      if (decision.position() == "0-1-7#0" && decision.decision() == "DONE") return;
    status.set_state(cluster::v1::FAILED);
    status.mutable_error()->set_code("DDL_FAILED");
    status.mutable_error()->set_position("0-1-7#0");
  });
  auto id = begin();
  EXPECT_EQ(wait_status(id, "FAILED").errors(0).position(), "0-1-7#0");
  admin::v1::DecideRequest wish;
  admin::v1::Empty empty;
  wish.set_id("move");
  wish.mutable_decision()->set_position("0-1-7#0");
  wish.mutable_decision()->set_decision("PERHAPS");
  EXPECT_EQ(call(&Stub::Decide, wish, empty).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  wish.mutable_decision()->set_decision("DONE");
  ASSERT_TRUE(call(&Stub::Decide, wish, empty).ok());
  ASSERT_TRUE(call(&Stub::Decide, wish, empty).ok());
  coordinator_.reset();
  start();
  auto project = describe(id);
  EXPECT_EQ(project.status(), "FAILED");
  ASSERT_EQ(project.decisions_size(), 1);
  EXPECT_EQ(project.decisions(0).decision(), "DONE");
  admin::v1::ResumeProjectRequest resume;
  resume.set_id(id);
  ASSERT_TRUE(call(&Stub::ResumeProject, resume, empty).ok());
  wait_status(id, "FINISHED");
  wish.set_id("nobody");
  EXPECT_EQ(call(&Stub::Decide, wish, empty).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(CoordinatorTest, TablesAreCopiedAgainInRounds) {
  auto node = agent("n1", [](const cluster::v1::Assignment& assignment, ComponentStatus& status) {
    behave_well(assignment, status);
    if (assignment.spec().kind() != cluster::v1::INCR_SYNC || assignment.desired().recopied_tables_size() > 0) return;
    status.set_state(cluster::v1::RUNNING);
    status.mutable_incr_sync()->set_window_closed(false);
    *status.mutable_incr_sync()->add_needs_copy() = net::to_proto(TableCopy{{"shop", "orders"}, 1});
  });
  auto id = begin();
  wait_status(id, "FINISHED");
  ASSERT_TRUE(node->ever_ran(id + ".full.r1"));
  ASSERT_EQ(node->spec(id + ".full.r1").tables_size(), 1);
  EXPECT_EQ(node->spec(id + ".full.r1").tables(0).table(), "orders");
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
  admin::v1::ListProjectsRequest list;
  admin::v1::ListProjectsResponse listed;
  list.set_visible_sub_project(true);
  EXPECT_EQ(net::from_grpc(call(&Stub::ListProjects, list, listed), "").object(), "visibleSubProject");
  admin::v1::DeleteDataSourceRequest remove;
  remove.set_id("from");
  admin::v1::Empty empty;
  EXPECT_EQ(net::from_grpc(call(&Stub::DeleteDataSource, remove, empty), "").code(), ErrorCode::WRONG_STATE);
  auto options = options_;
  options.data_dir = directory_ + "/other";
  options.grpc = "0.0.0.0:0";
  EXPECT_EQ(Coordinator::start(options).error().code(), ErrorCode::UNSUPPORTED);
  options.grpc = "127.0.0.1.example.com:0";
  EXPECT_EQ(Coordinator::start(options).error().code(), ErrorCode::UNSUPPORTED);
  options.grpc = "127.0.0.1:0";
  options.http = "localhost:99999";
  EXPECT_EQ(Coordinator::start(options).error().code(), ErrorCode::INVALID_ARGUMENT);
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

// With another master key the passwords cannot be opened: nothing is placed, and the step says why.
TEST_F(CoordinatorTest, NothingIsPlacedWithoutTheMasterKey) {
  std::atomic<bool> nameless{false};
  auto node = agent("n1", [&](const cluster::v1::Assignment& assignment, ComponentStatus& status) {
    if (assignment.spec().source().host().empty() || assignment.spec().source().password().empty()) nameless = true;
    behave_well(assignment, status);
  });
  auto id = begin("FOLLOW");
  wait_for(id, [](const auto& project) { return step(project, "INCR_TRANSFER") == "MONITORING"; });
  const std::string key = options_.data_dir + "/master.key";
  std::string good;
  std::ifstream(key) >> good;
  coordinator_.reset();
  std::filesystem::remove(key);
  auto lost = Coordinator::start(options_);
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), ErrorCode::NOT_FOUND);
  EXPECT_FALSE(std::filesystem::exists(key)) << "a new key would hide that the old one is lost";

  std::ofstream(key) << std::string(64, 'a');
  chmod(key.c_str(), 0600);
  start();
  auto project = wait_status(id, "FAILED");
  ASSERT_EQ(project.errors_size(), 1);
  EXPECT_EQ(project.errors(0).code(), "CORRUPTED");
  EXPECT_EQ(project.errors(0).object(), "from");
  EXPECT_EQ(step(project, "INCR_TRANSFER"), "FAILED");
  admin::v1::ResumeProjectRequest resume;
  resume.set_id(id);
  admin::v1::Empty empty;
  EXPECT_FALSE(call(&Stub::ResumeProject, resume, empty).ok());
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!node->running().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(node->running().empty());
  EXPECT_FALSE(nameless);

  coordinator_.reset();
  std::ofstream(key, std::ios::trunc) << good;
  start();
  ASSERT_TRUE(call(&Stub::ResumeProject, resume, empty).ok());
  wait_for(id, [](const auto& project) { return step(project, "INCR_TRANSFER") == "MONITORING"; });
  EXPECT_FALSE(nameless);
}

// An agent that was away when its project was deleted removes the folders when it comes back, whatever was restarted.
TEST_F(CoordinatorTest, NothingIsLeftOfADeletedProject) {
  auto a = agent("a"), b = agent("b");
  admin::v1::ListNodesResponse nodes;
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (nodes.data_size() < 2 && std::chrono::steady_clock::now() < deadline)
    call(&Stub::ListNodes, admin::v1::Empty(), nodes);
  auto id = begin("FOLLOW");
  wait_for(id, [](const auto& project) { return step(project, "INCR_TRANSFER") == "MONITORING"; });
  EXPECT_NE(metrics::exposition().find(id), std::string::npos);
  ASSERT_FALSE(a->folders().empty());
  ASSERT_FALSE(b->folders().empty());
  const auto kept = b->folders();
  b->cut();
  EXPECT_TRUE(tell(&Stub::DeleteProject, id).ok());
  deadline = std::chrono::steady_clock::now() + 20s;
  while (!describe(id).id().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  ASSERT_TRUE(describe(id).id().empty());
  EXPECT_EQ(metrics::exposition().find(id), std::string::npos);
  while (!a->folders().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(a->folders().empty());
  EXPECT_TRUE(a->ever_ran(id + ".struct.release") || b->ever_ran(id + ".struct.release"));

  coordinator_.reset();
  start();
  auto back = agent("b");
  back->keep_folders(kept);
  deadline = std::chrono::steady_clock::now() + 20s;
  while (!back->folders().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(back->folders().empty());
}

TEST_F(CoordinatorTest, LinesOfComponentsAreInTheCoordinatorsLog) {
  const std::string file = directory_ + "/coordinator.log";
  log::init({.file = file});
  auto node = agent("n1");
  cluster::v1::LogLine line;
  line.set_component_id("np_1.store");
  line.set_line("store.capture: slow disk\nforged line");
  line.set_level("WARN");
  line.set_dropped(12);
  node->say(line);
  line.Clear();
  line.set_line("agent.supervisor: cannot start a component");
  line.set_level("ERROR");
  node->say(line);
  const auto text = [&] {
    std::ifstream in(file);
    return std::string((std::istreambuf_iterator<char>(in)), {});
  };
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (text().find("cannot start") == std::string::npos && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(10ms);
  const std::string all = text();
  log::init({.level = log::Level::kWarn});
  EXPECT_NE(
      all.find("warning coordinator.remote: store.capture: slow disk forged line node=n1 from=np_1.store dropped=12"),
      std::string::npos)
      << all;
  EXPECT_NE(all.find("error coordinator.remote: agent.supervisor: cannot start a component node=n1 from=agent"),
            std::string::npos)
      << all;
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

}  // namespace
}  // namespace sluice::coordinator
