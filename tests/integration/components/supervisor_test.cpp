// The agent with real component processes, against a coordinator double. This program is also the agent and the
// component: it starts itself again (see main).
#include "agents/supervisor/supervisor.hpp"

#include <gtest/gtest.h>
#include <httplib.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "agents/components/runtime/component.hpp"
#include "agents/supervisor/agent.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/channel.hpp"
#include "core/net/convert.hpp"
#include "sluice/cluster/v1/cluster.grpc.pb.h"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace sluice::agents {
namespace {

using namespace std::chrono_literals;
using cluster::v1::Assignment;
using cluster::v1::ComponentStatus;
using testing::ChildProcess;
using testing::wait_until;

constexpr char kToken[] = "token-of-this-test";
constexpr char kPassword[] = "password-of-this-test";
constexpr int64_t kTtlMs = 3000, kMarginMs = 700;

// The coordinator: grants leases, tells what is to run, keeps what it hears.
class CoordinatorDouble final : public cluster::v1::ClusterService::Service {
 public:
  explicit CoordinatorDouble(const std::string& address) {
    auto started = net::start_server(address, {this});
    EXPECT_TRUE(started.ok());
    server_ = std::move(*started).server;
  }
  ~CoordinatorDouble() override { server_->Shutdown(std::chrono::system_clock::now() + 100ms); }

  grpc::Status Session(
      grpc::ServerContext* call,
      grpc::ServerReaderWriter<cluster::v1::CoordinatorMessage, cluster::v1::AgentMessage>* stream) override {
    if (auto allowed = net::check_authorization(*call, Secret(kToken)); !allowed.ok()) return allowed;
    std::atomic<bool> over{false};
    std::mutex write;
    std::thread teller([&] {
      uint64_t told = 0;
      while (!over) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, 20ms, [&] { return version_ != told || over; });
        if (version_ == told) continue;
        told = version_;
        cluster::v1::CoordinatorMessage message;
        *message.mutable_desired() = desired_;
        message.mutable_desired()->set_term(term_);
        lock.unlock();
        std::lock_guard writing(write);
        stream->Write(message);
      }
    });
    cluster::v1::AgentMessage message;
    while (stream->Read(&message)) {
      if (message.has_heartbeat() && granting_) {
        cluster::v1::CoordinatorMessage answer;
        answer.mutable_lease()->set_sequence(message.heartbeat().sequence());
        answer.mutable_lease()->set_term(term_);
        answer.mutable_lease()->set_ttl_ms(kTtlMs);
        answer.mutable_lease()->set_margin_ms(kMarginMs);
        std::lock_guard writing(write);
        stream->Write(answer);
      }
      if (message.has_status()) hear(message.status());
      if (message.has_log()) {
        std::lock_guard lock(mutex_);
        log_.push_back(message.log());
      }
      if (message.has_register_()) {
        std::lock_guard lock(mutex_);
        registered_ = message.register_();
        ++registrations_;
      }
    }
    over = true;
    teller.join();
    return grpc::Status::OK;
  }

  void desire(std::vector<Assignment> assignments) {
    std::lock_guard lock(mutex_);
    desired_.clear_assignments();
    for (auto& assignment : assignments) *desired_.add_assignments() = std::move(assignment);
    ++version_;
    changed_.notify_all();
  }
  void grant(bool on) { granting_ = on; }
  void set_term(uint64_t term) { term_ = term; }
  // Lines that a component wrote and that hold this text; an empty id: the agent's own.
  std::vector<cluster::v1::LogLine> log(const std::string& component, const std::string& text) const {
    std::lock_guard lock(mutex_);
    std::vector<cluster::v1::LogLine> found;
    for (const auto& line : log_)
      if (line.component_id() == component && line.line().find(text) != std::string::npos) found.push_back(line);
    return found;
  }
  int registrations() const {
    std::lock_guard lock(mutex_);
    return registrations_;
  }
  cluster::v1::Register registered() const {
    std::lock_guard lock(mutex_);
    return registered_;
  }
  ComponentStatus status(const std::string& id, uint64_t epoch) const {
    std::lock_guard lock(mutex_);
    auto found = statuses_.find({id, epoch});
    return found == statuses_.end() ? ComponentStatus() : found->second;
  }
  bool reaches(const std::string& id, uint64_t epoch, cluster::v1::ComponentState state,
               std::chrono::milliseconds patience = 15s) const {
    return wait_until([&] { return status(id, epoch).state() == state; }, patience);
  }

 private:
  void hear(const ComponentStatus& status) {
    std::lock_guard lock(mutex_);
    merge_status(statuses_[{status.component_id(), status.epoch()}], status);
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  cluster::v1::NodeDesired desired_;
  uint64_t version_ = 1;
  std::atomic<bool> granting_{true};
  std::atomic<uint64_t> term_{0};
  std::vector<cluster::v1::LogLine> log_;
  std::map<std::pair<std::string, uint64_t>, ComponentStatus> statuses_;
  cluster::v1::Register registered_;
  int registrations_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() { coordinator_ = std::make_unique<CoordinatorDouble>(address()); }

  std::string address() const { return "unix:" + folder_.file("c.sock"); }
  std::string data_dir() const { return folder_.file(agent_folder_); }

  void start_agent() { start_agent(address()); }
  void start_agent(const std::string& coordinators) {
    agent_ = ChildProcess::start({.program = std::filesystem::read_symlink("/proc/self/exe").string(),
                                  .args = {"agent", data_dir(), coordinators},
                                  .env = {{"SLUICE_SOURCE_PASSWORD", kPassword}},
                                  .stdout_file = folder_.file("agent.out"),
                                  .stderr_file = folder_.file("agent.out")});
  }

  // `behaviour` is what the probe component does (see probe()).
  static Assignment assignment(const std::string& id, uint64_t epoch, const std::string& behaviour) {
    Assignment result;
    auto& spec = *result.mutable_spec();
    spec.set_component_id(id);
    spec.set_kind(cluster::v1::STORE);
    spec.set_epoch(epoch);
    spec.add_skip_checks(behaviour);
    spec.mutable_source()->set_password(kPassword);
    result.mutable_desired()->set_revision(1);
    return result;
  }

  ProcessId process_of(const std::string& id, uint64_t epoch) const {
    auto record = read_record(data_dir() + "/components/" + id);
    return record && record->epoch == epoch ? record->process : ProcessId{};
  }
  bool is_gone(const ProcessId& process, std::chrono::milliseconds patience = 15s) const {
    return wait_until([&] { return !is_alive(process); }, patience);
  }

  void TearDown() override {
    if (agent_.running()) EXPECT_EQ(agent_.terminate(), 0);
    if (HasFailure()) std::cerr << testing::read_text_file(folder_.file("agent.out"));
  }

  testing::TempDir folder_{"sluice-supervisor"};
  std::string agent_folder_ = "agent";
  std::unique_ptr<CoordinatorDouble> coordinator_;
  ChildProcess agent_;
};

TEST_F(SupervisorTest, RegistersAndRunsAComponentToItsEnd) {
  start_agent();
  coordinator_->desire({assignment("p.finish", 1, "finish")});
  ASSERT_TRUE(coordinator_->reaches("p.finish", 1, cluster::v1::FINISHED));
  const ComponentStatus status = coordinator_->status("p.finish", 1);
  EXPECT_EQ(status.rows(), 42u);
  ASSERT_EQ(status.tables_size(), 1);  // appended twice by the component, told once
  EXPECT_EQ(status.tables(0).rows(), 2u);
  EXPECT_GT(status.resident_bytes(), 0u);
  EXPECT_GT(status.sampled_at_us(), 0);
  EXPECT_TRUE(is_gone(process_of("p.finish", 1)));
  EXPECT_EQ(coordinator_->registered().node_id(), "node-of-test");
  EXPECT_GT(coordinator_->registered().memory_bytes(), 0u);
}

TEST_F(SupervisorTest, TellsErrorsAndCrashesApart) {
  start_agent();
  coordinator_->desire({assignment("p.fail", 1, "fail"), assignment("p.retry", 1, "retry"),
                        assignment("p.exit", 1, "exit"), assignment("../p", 1, "finish")});
  ASSERT_TRUE(coordinator_->reaches("p.fail", 1, cluster::v1::FAILED));
  EXPECT_EQ(coordinator_->status("p.fail", 1).error().code(), "ACCESS_DENIED");
  ASSERT_TRUE(coordinator_->reaches("p.retry", 1, cluster::v1::FAILED));
  EXPECT_EQ(coordinator_->status("p.retry", 1).error().code(), "CONNECTION_LOST");
  ASSERT_TRUE(coordinator_->reaches("p.exit", 1, cluster::v1::FAILED));
  EXPECT_EQ(coordinator_->status("p.exit", 1).error().code(), "PROCESS_CRASHED");
  ASSERT_TRUE(coordinator_->reaches("../p", 1, cluster::v1::FAILED));
  EXPECT_EQ(coordinator_->status("../p", 1).error().code(), "INVALID_ARGUMENT");
}

TEST_F(SupervisorTest, StopsWhatIsToStop) {
  start_agent();
  auto run = assignment("p.run", 1, "run");
  coordinator_->desire({run});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  run.mutable_desired()->set_revision(2);
  run.mutable_desired()->set_stop(true);
  coordinator_->desire({run});
  EXPECT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::STOPPED));
  EXPECT_EQ(coordinator_->status("p.run", 1).desired_revision(), 2u);
}

TEST_F(SupervisorTest, KilledProcessIsReportedAndRunsAgainUnderTheNextEpoch) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId first = process_of("p.run", 1);
  testing::send_signal(static_cast<pid_t>(first.pid), SIGKILL);
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::FAILED));
  EXPECT_EQ(coordinator_->status("p.run", 1).error().code(), "PROCESS_CRASHED");
  EXPECT_NE(coordinator_->status("p.run", 1).error().cause().find("signal 9"), std::string::npos);
  // The same epoch is not started again, however often it is desired.
  coordinator_->desire({assignment("p.run", 1, "run")});
  coordinator_->desire({assignment("p.run", 2, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 2, cluster::v1::RUNNING, 15s));
  EXPECT_TRUE(is_alive(process_of("p.run", 2)));
  EXPECT_FALSE(is_alive(first));
}

TEST_F(SupervisorTest, ReplacementKillsAFrozenProcessFirst) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId frozen = process_of("p.run", 1);
  testing::send_signal(static_cast<pid_t>(frozen.pid), SIGSTOP);
  coordinator_->desire({assignment("p.run", 2, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 2, cluster::v1::RUNNING));
  EXPECT_FALSE(is_alive(frozen));
}

TEST_F(SupervisorTest, FrozenProcessIsFoundAndKilled) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId frozen = process_of("p.run", 1);
  testing::send_signal(static_cast<pid_t>(frozen.pid), SIGSTOP);
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::FAILED));
  EXPECT_FALSE(is_alive(frozen));
}

TEST_F(SupervisorTest, ProcessThatSleptBeyondItsLeaseEndsByItself) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId process = process_of("p.run", 1);
  testing::send_signal(static_cast<pid_t>(process.pid), SIGSTOP);
  agent_.kill9();  // nobody is left who could kill the process
  const BootTime lease_end = system_clock().boot_time() + std::chrono::milliseconds(kTtlMs);
  ASSERT_TRUE(wait_until([&] { return system_clock().boot_time() > lease_end; }));
  ASSERT_TRUE(is_alive(process));
  testing::send_signal(static_cast<pid_t>(process.pid), SIGCONT);
  EXPECT_TRUE(is_gone(process, 5s));
}

TEST_F(SupervisorTest, ProcessWithoutAgentEndsAtItsDeadline) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId process = process_of("p.run", 1);
  agent_.kill9();
  EXPECT_TRUE(is_gone(process, std::chrono::milliseconds(3 * kTtlMs)));
}

TEST_F(SupervisorTest, RestartedAgentAdoptsWhatIsAssignedAndKillsTheRest) {
  start_agent();
  coordinator_->desire({assignment("p.stays", 1, "run"), assignment("p.goes", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.stays", 1, cluster::v1::RUNNING));
  ASSERT_TRUE(coordinator_->reaches("p.goes", 1, cluster::v1::RUNNING));
  const ProcessId stays = process_of("p.stays", 1), goes = process_of("p.goes", 1);
  agent_.kill9();
  coordinator_->desire({assignment("p.stays", 1, "run"), assignment("p.goes", 2, "run")});
  const int before = coordinator_->registrations();
  start_agent();
  ASSERT_TRUE(coordinator_->reaches("p.goes", 2, cluster::v1::RUNNING));
  EXPECT_GT(coordinator_->registrations(), before);
  EXPECT_FALSE(is_alive(goes));
  // Adopted: the same process lives on beyond the lease that the first agent had given it.
  const BootTime old_lease_end = system_clock().boot_time() + std::chrono::milliseconds(kTtlMs);
  ASSERT_TRUE(wait_until([&] { return system_clock().boot_time() > old_lease_end; }));
  EXPECT_TRUE(is_alive(stays));
  // It hears and is heard again, and its end is seen although it is no child of this agent.
  auto stop = assignment("p.stays", 1, "run");
  stop.mutable_desired()->set_revision(2);
  stop.mutable_desired()->set_stop(true);
  coordinator_->desire({stop});
  EXPECT_TRUE(coordinator_->reaches("p.stays", 1, cluster::v1::STOPPED));
  EXPECT_TRUE(is_gone(stays));
}

TEST_F(SupervisorTest, EndWhileNoAgentWatchedIsReportedByTheNext) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId process = process_of("p.run", 1);
  agent_.kill9();
  testing::send_signal(static_cast<pid_t>(process.pid), SIGKILL);
  ASSERT_TRUE(is_gone(process));
  start_agent();
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::FAILED));
  EXPECT_EQ(coordinator_->status("p.run", 1).error().code(), "LEASE_EXPIRED") << "no agent renewed it";
}

TEST_F(SupervisorTest, FinishedComponentIsNotStartedAgainByTheNextAgent) {
  start_agent();
  coordinator_->desire({assignment("p.finish", 1, "finish")});
  ASSERT_TRUE(coordinator_->reaches("p.finish", 1, cluster::v1::FINISHED));
  const ProcessId process = process_of("p.finish", 1);
  agent_.kill9();
  coordinator_ = nullptr;
  coordinator_ = std::make_unique<CoordinatorDouble>(address());
  coordinator_->desire({assignment("p.finish", 1, "finish")});
  start_agent();
  ASSERT_TRUE(coordinator_->reaches("p.finish", 1, cluster::v1::FINISHED));
  EXPECT_EQ(coordinator_->status("p.finish", 1).rows(), 42u);
  EXPECT_EQ(process_of("p.finish", 1), process);
}

TEST_F(SupervisorTest, LostLeaseKillsComponentsBeforeItsEnd) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId process = process_of("p.run", 1);
  testing::send_signal(static_cast<pid_t>(process.pid), SIGSTOP);  // cannot end by itself
  coordinator_->grant(false);
  const BootTime lease_end = system_clock().boot_time() + std::chrono::milliseconds(kTtlMs);
  EXPECT_TRUE(is_gone(process, std::chrono::milliseconds(3 * kTtlMs)));
  EXPECT_LT(system_clock().boot_time(), lease_end);
  // With a lease the node is whole again.
  coordinator_->grant(true);
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::FAILED));
  coordinator_->desire({assignment("p.run", 2, "run")});
  EXPECT_TRUE(coordinator_->reaches("p.run", 2, cluster::v1::RUNNING));
}

TEST_F(SupervisorTest, RestartedCoordinatorHearsEverythingAgain) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId process = process_of("p.run", 1);
  coordinator_ = nullptr;
  coordinator_ = std::make_unique<CoordinatorDouble>(address());
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(wait_until([&] { return coordinator_->registrations() > 0; }));
  ASSERT_EQ(coordinator_->registered().components_size(), 1);
  EXPECT_EQ(coordinator_->registered().components(0).state(), cluster::v1::RUNNING);
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  EXPECT_TRUE(is_alive(process));
}

TEST_F(SupervisorTest, LargeSpecsArriveAndSecretsShowNowhere) {
  start_agent();
  auto large = assignment("p.large", 1, "run");
  for (int i = 0; i < 60'000; ++i)
    large.mutable_spec()->add_includes("database.table_with_a_long_name_" + std::to_string(i));
  ASSERT_GT(large.spec().ByteSizeLong(), size_t{2} << 20);  // more than a pipe holds
  coordinator_->desire({large});
  ASSERT_TRUE(coordinator_->reaches("p.large", 1, cluster::v1::RUNNING));
  EXPECT_EQ(coordinator_->status("p.large", 1).rows(), 60'000u);
  const std::string proc = "/proc/" + std::to_string(process_of("p.large", 1).pid);
  for (const char* file : {"/cmdline", "/environ"}) {
    const std::string text = testing::read_text_file(proc + file);
    EXPECT_EQ(text.find(kPassword), std::string::npos) << file;
    EXPECT_EQ(text.find(kToken), std::string::npos) << file;
  }
}

TEST_F(SupervisorTest, WorksInADeepDirectory) {
  agent_folder_ = std::string(120, 'd');  // longer than a socket's name may be
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
}

TEST_F(SupervisorTest, EndingAgentStopsItsComponents) {
  start_agent();
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING));
  const ProcessId process = process_of("p.run", 1);
  EXPECT_EQ(agent_.terminate(), 0);
  EXPECT_FALSE(is_alive(process));
  // The stop was not desired by the coordinator: it places the component again.
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::FAILED));
  EXPECT_EQ(coordinator_->status("p.run", 1).error().code(), "CANCELLED");
}

TEST_F(SupervisorTest, GoesToTheCoordinatorThatGrants) {
  const std::string other = "unix:" + folder_.file("d.sock");
  CoordinatorDouble silent(other);
  silent.grant(false);
  start_agent("unix:" + folder_.file("nobody.sock") + "," + other + "," + address());
  coordinator_->desire({assignment("p.run", 1, "run")});
  ASSERT_TRUE(coordinator_->reaches("p.run", 1, cluster::v1::RUNNING, 30s));
  EXPECT_GT(silent.registrations(), 0);
}

TEST_F(SupervisorTest, TellsItsHealth) {
  AgentOptions options{.data_dir = data_dir(),
                       .coordinators = {address()},
                       .token = Secret(kToken),
                       .listen = "127.0.0.1:0",
                       .heartbeat = 100ms};
  coordinator_->grant(false);
  auto agent = Agent::start(options);
  ASSERT_TRUE(agent.ok());
  httplib::Client client("127.0.0.1", (*agent)->http_port());
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  EXPECT_EQ(client.Get("/readyz")->status, 503);
  coordinator_->grant(true);
  EXPECT_TRUE(wait_until([&] { return client.Get("/readyz")->status == 200; }));
  EXPECT_TRUE(wait_until([&] {
    const std::string text = client.Get("/metrics")->body;
    return text.find("sluice_agent_lease_seconds 2") != std::string::npos;
  }));
  options.data_dir = folder_.file("other");
  options.listen = "0.0.0.0:0";
  EXPECT_EQ(Agent::start(options).error().code(), ErrorCode::UNSUPPORTED);
}

TEST_F(SupervisorTest, ShowsWhatItsComponentsMeasure) {
  auto agent = Agent::start({.data_dir = data_dir(),
                             .coordinators = {address()},
                             .token = Secret(kToken),
                             .listen = "127.0.0.1:0",
                             .heartbeat = 100ms});
  ASSERT_TRUE(agent.ok());
  coordinator_->desire({assignment("p.measure", 1, "measure")});
  httplib::Client client("127.0.0.1", (*agent)->http_port());
  const auto shows = [&](const std::string& text) {
    return client.Get("/metrics")->body.find(text) != std::string::npos;
  };
  const std::string labels = R"(project="p",component="p.measure",kind="store")";
  EXPECT_TRUE(wait_until([&] { return shows("sluice_probe_bytes{" + labels + R"(,stage="first"} 7)"); }, 15s));
  EXPECT_TRUE(shows("# TYPE sluice_probe_bytes gauge"));
  EXPECT_TRUE(shows("sluice_component_resident_bytes{" + labels + "}"));
  coordinator_->desire({});
  EXPECT_TRUE(wait_until([&] { return !shows("p.measure"); }));
  (*agent)->stop();
}

// An operator reads one log. A component that complains without end neither floods it nor waits for it.
TEST_F(SupervisorTest, WarningsOfComponentsAndAgentReachTheCoordinator) {
  start_agent();
  coordinator_->desire({assignment("p.complain", 1, "complain")});
  ASSERT_TRUE(wait_until([&] { return !coordinator_->log("p.complain", "still").empty(); }, 15s));
  const auto first = coordinator_->log("p.complain", "disk is slow");
  ASSERT_FALSE(first.empty());
  EXPECT_LT(first.size(), 100u);
  EXPECT_EQ(first[0].level(), "WARN");
  EXPECT_EQ(first[0].line(), "probe: disk is slow n=0");
  const auto still = coordinator_->log("p.complain", "still");
  EXPECT_EQ(still[0].level(), "ERROR");
  // What was left out is counted; the first of the other lines may be among it.
  EXPECT_GE(first.size() + still[0].dropped(), 1000u);
  EXPECT_LE(first.size() + still[0].dropped(), 1010u);
  coordinator_->desire({assignment("p.complain", 1, "complain"), assignment("../p", 1, "finish")});
  std::filesystem::remove_all(data_dir() + "/components");  // the next record cannot be written
  std::ofstream(data_dir() + "/components") << "no folder";
  coordinator_->desire({assignment("p.other", 1, "run")});
  EXPECT_TRUE(wait_until([&] { return !coordinator_->log("", "cannot start a component").empty(); }, 15s));
}

TEST_F(SupervisorTest, ACoordinatorOfAnOlderTermGrantsNothing) {
  coordinator_->set_term(7);
  AgentOptions options{
      .data_dir = data_dir(), .coordinators = {address()}, .token = Secret(kToken), .listen = "", .heartbeat = 100ms};
  auto agent = Agent::start(options);
  ASSERT_TRUE(agent.ok());
  ASSERT_TRUE(wait_until([&] { return (*agent)->not_ready().empty(); }));
  coordinator_->set_term(3);  // restored from a backup
  EXPECT_TRUE(wait_until([&] { return (*agent)->not_ready().find("older than term 7") != std::string::npos; }));
  EXPECT_TRUE(wait_until([&] { return coordinator_->registered().term() == 7; })) << "so the coordinator can tell too";
  coordinator_->set_term(8);
  EXPECT_TRUE(wait_until([&] { return (*agent)->not_ready().empty(); }, 15s));
}

TEST_F(SupervisorTest, RefusesAWrongTokenAndASharedDirectory) {
  start_agent();
  ASSERT_TRUE(wait_until([&] { return coordinator_->registrations() > 0; }));
  AgentOptions options{.data_dir = data_dir(), .coordinators = {address()}, .token = Secret(kToken), .listen = ""};
  auto second = Agent::start(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::WORK_DIR_IN_USE);
  options.data_dir = folder_.file("other");
  options.token = Secret("wrong");
  auto stranger = Agent::start(options);
  ASSERT_TRUE(stranger.ok());
  EXPECT_TRUE(wait_until([&] { return (*stranger)->not_ready().find("UNAUTHENTICATED") != std::string::npos; }));
}

// ---- the other roles of this program
// ---------------------------------------------------------------------------------

Status probe(ComponentContext& context) {
  const std::string behaviour = context.spec().skip_checks(0);
  context.update([&](ComponentStatus& status) {
    status.set_state(cluster::v1::RUNNING);
    status.set_rows(static_cast<uint64_t>(context.spec().includes_size()));
  });
  if (behaviour == "fail") return Error(ErrorCode::ACCESS_DENIED, "as asked");
  if (behaviour == "retry") return Error(ErrorCode::CONNECTION_LOST, "as asked");
  if (behaviour == "exit") ::_exit(9);
  if (behaviour == "finish") {
    context.update([](ComponentStatus& status) {
      status.set_rows(42);
      for (const uint64_t rows : {1, 2}) {
        auto& table = *status.add_tables();
        table.set_source("a.b");
        table.set_rows(rows);
      }
    });
    return {};
  }
  if (behaviour == "measure") metrics::gauge("sluice_probe_bytes", "Of the test", {{"stage", "first"}}).set(7);
  if (behaviour == "complain")
    for (int n = 0; n < 1000; ++n) log::warn("probe", "disk is slow", {{"n", n}});
  uint64_t seen = 0;
  for (;;) {
    const auto desired = context.wait_desired(seen, 1s);
    if (behaviour == "complain") log::error("probe", "still");
    if (desired.stop()) return {};
    seen = desired.revision();
  }
}

int agent_main(char** argv) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  log::init({});
  std::vector<std::string> coordinators;
  std::stringstream list(argv[3]);
  for (std::string address; std::getline(list, address, ',');) coordinators.push_back(address);
  auto agent = Agent::start({.data_dir = argv[2],
                             .coordinators = coordinators,
                             .token = Secret(kToken),
                             .node_id = "node-of-test",
                             .listen = "",
                             .heartbeat = 200ms});
  if (!agent.ok()) return 4;
  int signal = 0;
  ::sigwait(&ends, &signal);
  (*agent)->stop();
  return 0;
}

}  // namespace
}  // namespace sluice::agents

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  if (role == "component") return sluice::agents::run_component(sluice::agents::probe);
  if (role == "agent" && argc == 4) return sluice::agents::agent_main(argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
