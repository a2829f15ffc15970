// The Supervisor's rules with processes and time in the test's hand.
#include "agents/supervisor/supervisor.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agents/components/runtime/boot.hpp"
#include "agents/supervisor/component_metrics.hpp"
#include "agents/supervisor/folder_bin.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace sluice::agents {
namespace {

using namespace std::chrono_literals;
using cluster::v1::ComponentStatus;

class FakeLauncher final : public Launcher {
 public:
  struct Process {
    LaunchRequest request;
    cluster::v1::ComponentBoot boot;
    bool booted = false;
    std::vector<int> signals;
    std::optional<ProcessExit> exit;
  };
  Result<ProcessId> launch(const LaunchRequest& request) override {
    if (fail_next) return fail_next = false, Error(ErrorCode::IO_ERROR, "no more processes");
    processes.push_back({request});
    return ProcessId{1'000'000'000 + static_cast<int64_t>(processes.size()), 7};
  }
  Status send_boot(const ProcessId& id, std::string message) override {
    EXPECT_TRUE(at(id).boot.ParseFromString(message));
    at(id).booted = true;
    return {};
  }
  void signal(const ProcessId& id, int number) override {
    Process& process = at(id);
    process.signals.push_back(number);
    if (number == SIGKILL && !unkillable) process.exit = ProcessExit{ProcessExit::Kind::kSignalled, SIGKILL};
  }
  std::optional<ProcessExit> poll(const ProcessId& id) override { return at(id).exit; }
  Process& at(const ProcessId& id) { return processes.at(static_cast<size_t>(id.pid - 1'000'000'001)); }

  std::deque<Process> processes;
  bool fail_next = false, unkillable = false;
};

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() { make(); }
  void make() {
    supervisor_ = std::make_unique<Supervisor>(
        SupervisorOptions{
            .data_dir = folder_.path().string(), .socket = "unix:/s", .listen_host = "127.0.0.1", .token = Secret("t")},
        clock_, launcher_,
        SupervisorPorts{.report = [this](const ComponentStatus& status) { reports_.push_back(status); },
                        .command =
                            [this](const std::string&, uint64_t epoch, const cluster::v1::ComponentCommand& command) {
                              commands_.push_back({epoch, command});
                            },
                        .measured =
                            [this](const cluster::v1::ComponentSpec& spec, const ComponentStatus* status) {
                              status ? metrics_.take(spec, *status) : metrics_.remove(spec.component_id());
                            },
                        .discard =
                            [this](const std::string& folder) {
                              discarded_.push_back(folder);
                              std::filesystem::remove_all(folder);
                              return Status();
                            }});
  }
  void lease(std::chrono::milliseconds ttl = 10s) {
    cluster::v1::LeaseGrant grant;
    grant.set_ttl_ms(ttl.count());
    grant.set_margin_ms(2000);
    grant.set_term(1);
    supervisor_->set_lease(clock_.boot_time(), grant);
  }
  void desire(std::vector<std::pair<std::string, uint64_t>> assigned, uint64_t revision = 1, uint64_t term = 1) {
    cluster::v1::NodeDesired desired;
    desired.set_term(term);
    for (const auto& [id, epoch] : assigned) {
      auto& assignment = *desired.add_assignments();
      assignment.mutable_spec()->set_component_id(id);
      assignment.mutable_spec()->set_epoch(epoch);
      assignment.mutable_spec()->set_kind(cluster::v1::INCR_SYNC);
      assignment.mutable_desired()->set_revision(revision);
    }
    supervisor_->set_desired(desired);
  }
  Status hello(const std::string& id, uint64_t epoch, size_t process) {
    cluster::v1::ComponentHello hello;
    hello.set_component_id(id);
    hello.set_epoch(epoch);
    hello.set_pid(1'000'000'000 + static_cast<int64_t>(process));
    return supervisor_->hello(hello);
  }
  void status(const std::string& id, uint64_t epoch, cluster::v1::ComponentState state, uint64_t rows = 0) {
    ComponentStatus status;
    status.set_component_id(id);
    status.set_epoch(epoch);
    status.set_state(state);
    status.set_rows(rows);
    supervisor_->take_status(status);
  }

  testing::TempDir folder_{"sluice-supervisor-unit"};
  testing::ManualClock clock_;
  FakeLauncher launcher_;
  std::vector<ComponentStatus> reports_;
  std::vector<std::string> discarded_;
  ComponentMetrics metrics_;
  std::vector<std::pair<uint64_t, cluster::v1::ComponentCommand>> commands_;
  std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(SupervisorTest, StartsNothingWithoutALease) {
  desire({{"c", 1}});
  supervisor_->tick();
  EXPECT_TRUE(launcher_.processes.empty());
  lease();
  ASSERT_EQ(launcher_.processes.size(), 1u);
  EXPECT_EQ(launcher_.processes[0].request.kind, "incr_sync");
  EXPECT_EQ(launcher_.processes[0].boot.lease_deadline_boot_ns(), (clock_.boot_time() + 10s).count());
  EXPECT_EQ(launcher_.processes[0].boot.token(), "t");
}

TEST_F(SupervisorTest, TheLimitOfAProcessIsItsBudgetAndALittle) {
  lease();
  cluster::v1::NodeDesired desired;
  desired.set_term(1);
  for (uint64_t budget : {uint64_t(0), uint64_t(512) << 20}) {
    auto& spec = *desired.add_assignments()->mutable_spec();
    spec.set_component_id("c" + std::to_string(budget));
    spec.set_epoch(1);
    spec.set_kind(cluster::v1::STORE);
    spec.set_memory_bytes(budget);
  }
  supervisor_->set_desired(desired);
  ASSERT_EQ(launcher_.processes.size(), 2u);
  EXPECT_EQ(launcher_.processes[0].request.memory_limit, 0u);
  EXPECT_EQ(launcher_.processes[1].request.memory_limit, uint64_t(768) << 20);
}

TEST_F(SupervisorTest, StartsNothingWhenTheLeaseIsNearlyOver) {
  lease();
  clock_.advance(8s);
  desire({{"c", 1}});
  supervisor_->tick();
  EXPECT_TRUE(launcher_.processes.empty());
}

TEST_F(SupervisorTest, AnEpochIsStartedOnce) {
  lease();
  desire({{"c", 1}});
  launcher_.processes[0].exit = ProcessExit{ProcessExit::Kind::kExited, kExitRetry};
  supervisor_->tick();
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].state(), cluster::v1::FAILED);
  EXPECT_EQ(reports_[0].error().code(), "PROCESS_CRASHED");
  desire({{"c", 1}});
  supervisor_->tick();
  EXPECT_EQ(launcher_.processes.size(), 1u);
  // Not by the agent's next life either.
  make();
  supervisor_->recover();
  lease();
  desire({{"c", 1}});
  EXPECT_EQ(launcher_.processes.size(), 1u);
  EXPECT_EQ(reports_.back().state(), cluster::v1::FAILED);
  desire({{"c", 2}});
  EXPECT_EQ(launcher_.processes.size(), 2u);
  desire({{"c", 1}});  // late message
  EXPECT_EQ(launcher_.processes.size(), 2u);
  EXPECT_EQ(supervisor_->running(), 1u);
}

TEST_F(SupervisorTest, RetryableErrorOfTheComponentIsItsReport) {
  lease();
  desire({{"c", 1}});
  ASSERT_TRUE(hello("c", 1, 1).ok());
  ComponentStatus retrying;
  retrying.set_component_id("c");
  retrying.set_epoch(1);
  retrying.set_state(cluster::v1::RETRYING);
  retrying.mutable_error()->set_code("CONNECTION_LOST");
  supervisor_->take_status(retrying);
  launcher_.processes[0].exit = ProcessExit{ProcessExit::Kind::kExited, kExitRetry};
  supervisor_->tick();
  EXPECT_EQ(reports_.back().state(), cluster::v1::FAILED);
  EXPECT_EQ(reports_.back().error().code(), "CONNECTION_LOST");
}

TEST_F(SupervisorTest, ReplacementWaitsUntilTheOldProcessIsGone) {
  lease();
  desire({{"c", 1}});
  launcher_.unkillable = true;
  desire({{"c", 2}});
  supervisor_->tick();
  EXPECT_EQ(launcher_.processes.size(), 1u);
  EXPECT_EQ(launcher_.processes[0].signals.front(), SIGKILL);
  EXPECT_FALSE(hello("c", 1, 1).ok());  // woken: it may not work any more
  launcher_.processes[0].exit = ProcessExit{};
  supervisor_->tick();
  ASSERT_EQ(launcher_.processes.size(), 2u);
  EXPECT_EQ(launcher_.processes[1].boot.spec().epoch(), 2u);
}

TEST_F(SupervisorTest, UnnamedIsKilledAndForgotten) {
  lease();
  desire({{"a", 1}, {"b", 1}});
  desire({{"b", 1}});
  supervisor_->tick();
  EXPECT_EQ(launcher_.processes[0].signals, std::vector<int>{SIGKILL});
  EXPECT_TRUE(launcher_.processes[1].signals.empty());
  EXPECT_EQ(supervisor_->snapshot().size(), 1u);
}

TEST_F(SupervisorTest, UnnamedThatHasToldItsEndMayExitByItself) {
  lease();
  desire({{"a", 1}});
  ASSERT_TRUE(hello("a", 1, 1).ok());
  status("a", 1, cluster::v1::FINISHED);
  desire({});
  supervisor_->tick();
  EXPECT_TRUE(launcher_.processes[0].signals.empty());
  // But not for ever, and a new epoch does not wait for it.
  for (int second = 0; second < 12; ++second) {
    clock_.advance(1s);
    lease();
    supervisor_->tick();
  }
  EXPECT_EQ(launcher_.processes[0].signals.front(), SIGKILL);
  EXPECT_EQ(reports_.back().state(), cluster::v1::FINISHED);
  EXPECT_TRUE(supervisor_->snapshot().empty());
}

TEST_F(SupervisorTest, OldTermsDecideNothing) {
  lease();
  desire({{"c", 1}}, 1, 5);
  desire({}, 1, 4);
  supervisor_->tick();
  EXPECT_EQ(supervisor_->running(), 1u);
}

TEST_F(SupervisorTest, LeaseAndDesiredStateReachTheComponent) {
  lease();
  desire({{"c", 1}}, 3);
  ASSERT_TRUE(hello("c", 1, 1).ok());
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_TRUE(commands_[0].second.has_lease());
  EXPECT_EQ(commands_[1].second.desired().revision(), 3u);
  clock_.advance(1s);
  lease();
  EXPECT_EQ(commands_.back().second.lease().deadline_boot_ns(), (clock_.boot_time() + 10s).count());
  desire({{"c", 1}}, 4);
  EXPECT_EQ(commands_.back().second.desired().revision(), 4u);
  const size_t before = commands_.size();
  desire({{"c", 1}}, 4);  // level-triggered: nothing new
  EXPECT_EQ(commands_.size(), before);
}

TEST_F(SupervisorTest, StrangersAreRefused) {
  lease();
  desire({{"c", 2}});
  EXPECT_EQ(hello("c", 1, 1).error().code(), ErrorCode::STALE_EPOCH);
  EXPECT_EQ(hello("d", 1, 1).error().code(), ErrorCode::STALE_EPOCH);
  EXPECT_EQ(hello("c", 2, 9).error().code(), ErrorCode::STALE_EPOCH);  // another process of this epoch
  EXPECT_TRUE(hello("c", 2, 1).ok());
}

TEST_F(SupervisorTest, LeaseThatIsNotRenewedKillsAtTheMargin) {
  lease();
  desire({{"c", 1}});
  clock_.advance(7999ms);
  supervisor_->tick();
  EXPECT_TRUE(launcher_.processes[0].signals.empty());
  clock_.advance(1ms);
  supervisor_->tick();
  EXPECT_EQ(launcher_.processes[0].signals.front(), SIGKILL);
  supervisor_->tick();
  EXPECT_EQ(reports_.back().error().code(), "LEASE_EXPIRED") << "it costs no restart";
}

TEST_F(SupervisorTest, WhatEndsByItsLeaseIsNotCalledACrash) {
  lease();
  desire({{"a", 1}, {"b", 1}});
  launcher_.processes[0].exit = ProcessExit{ProcessExit::Kind::kExited, kExitLeaseOver};  // its own watchdog
  launcher_.processes[1].exit = ProcessExit{ProcessExit::Kind::kSignalled, SIGSEGV};
  supervisor_->tick();
  ASSERT_EQ(reports_.size(), 2u);
  EXPECT_EQ(reports_[0].error().code(), "LEASE_EXPIRED");
  EXPECT_EQ(reports_[1].error().code(), "PROCESS_CRASHED");
}

TEST_F(SupervisorTest, AnEpochOlderThanTheLastOneIsAnsweredNotStarted) {
  lease();
  desire({{"c", 7}});
  launcher_.processes[0].exit = ProcessExit{ProcessExit::Kind::kSignalled, SIGSEGV};
  supervisor_->tick();
  desire({});
  reports_.clear();
  desire({{"c", 3}});
  EXPECT_EQ(launcher_.processes.size(), 1u);
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].epoch(), 3u);
  EXPECT_EQ(reports_[0].error().code(), "STALE_EPOCH");
}

TEST_F(SupervisorTest, FoldersOfProjectsThatAreOverAreRemovedOnceNothingRunsThere) {
  lease();
  desire({{"p.store", 1}, {"q.store", 1}});
  const auto folder = folder_.path() / "components" / "p.store";
  ASSERT_TRUE(std::filesystem::exists(folder));
  EXPECT_EQ(component_folders((folder_.path() / "components").string()).size(), 2u);
  auto over = [&] {
    cluster::v1::NodeDesired desired;
    desired.set_term(1);
    auto& assignment = *desired.add_assignments();
    assignment.mutable_spec()->set_component_id("q.store");
    assignment.mutable_spec()->set_epoch(1);
    for (const char* id : {"p.store", "nowhere.store", "../q.store"}) desired.add_removals(id);
    supervisor_->set_desired(desired);
  };
  launcher_.unkillable = true;
  over();
  supervisor_->tick();
  EXPECT_TRUE(discarded_.empty()) << "its process still ends";
  launcher_.processes[0].exit = ProcessExit{};
  supervisor_->tick();
  supervisor_->tick();
  EXPECT_EQ(discarded_, std::vector<std::string>{folder.string()});
  over();  // level-triggered: nothing is left to do
  supervisor_->tick();
  EXPECT_EQ(discarded_.size(), 1u);
  EXPECT_EQ(component_folders((folder_.path() / "components").string()), std::vector<std::string>{"q.store"});
}

TEST_F(SupervisorTest, ShowsWhatComponentsMeasureAsLongAsTheyAreHere) {
  lease();
  desire({{"p.incr", 1}});
  ASSERT_TRUE(hello("p.incr", 1, 1).ok());
  ComponentStatus status;
  status.set_component_id("p.incr");
  status.set_epoch(1);
  status.set_state(cluster::v1::RUNNING);
  status.set_resident_bytes(4096);
  auto& metric = *status.add_metrics();
  metric.set_name("sluice_incr_queue_bytes");
  (*metric.mutable_labels())["stage"] = "wait\"ing";
  metric.set_value(17);
  supervisor_->take_status(status);
  EXPECT_EQ(reports_.back().metrics_size(), 0) << "they stay on the node";
  const std::string labels = R"(project="p",component="p.incr",kind="incr_sync")";
  EXPECT_EQ(metrics_.exposition(), "# TYPE sluice_component_resident_bytes gauge\nsluice_component_resident_bytes{" +
                                       labels + "} 4096\n# TYPE sluice_component_restarts_total counter\n" +
                                       "sluice_component_restarts_total{" + labels +
                                       "} 0\n# TYPE sluice_incr_queue_bytes gauge\nsluice_incr_queue_bytes{" + labels +
                                       R"(,stage="wait\"ing"} 17)" + "\n");
  launcher_.processes[0].exit = ProcessExit{ProcessExit::Kind::kSignalled, SIGSEGV};
  supervisor_->tick();
  desire({{"p.incr", 2}});
  ASSERT_TRUE(hello("p.incr", 2, 2).ok());
  status.set_epoch(2);
  supervisor_->take_status(status);
  EXPECT_NE(metrics_.exposition().find("sluice_component_restarts_total{" + labels + "} 1"), std::string::npos);
  desire({});
  supervisor_->tick();
  supervisor_->tick();
  EXPECT_EQ(metrics_.exposition(), "");
}

TEST_F(SupervisorTest, OutputOfARunningProcessIsBounded) {
  lease();
  desire({{"c", 1}});
  const auto output = folder_.path() / "components" / "c" / "output.log";
  std::ofstream process(output, std::ios::app);  // stays open, as the process has it
  process << std::string(3 << 20, 'a') << std::string(500, 'b') << std::flush;
  supervisor_->tick();
  EXPECT_EQ(std::filesystem::file_size(output), 0u);
  process << "goes on" << std::flush;
  supervisor_->tick();
  EXPECT_EQ(std::filesystem::file_size(output), 7u);
  std::ifstream in(output.string() + ".1");
  const std::string kept((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(kept.size(), size_t(1) << 20);
  EXPECT_TRUE(kept.ends_with("bbb"));
}

TEST(FolderBin, RemovesWhatItTakesAndWhatAnEarlierLifeLeft) {
  testing::TempDir folder("sluice-bin");
  const auto make = [&](const std::string& name) {
    std::filesystem::create_directories(folder.path() / name / "log");
    std::ofstream(folder.path() / name / "log" / "000001.sst") << "rows";
    return (folder.path() / name).string();
  };
  make("bin/earlier");
  FolderBin bin((folder.path() / "bin").string());
  ASSERT_TRUE(bin.take(make("p.store")).ok());
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "p.store"));
  ASSERT_TRUE(bin.take(make("p.store")).ok()) << "the same name once more";
  EXPECT_EQ(bin.take((folder.path() / "absent").string()).error().code(), ErrorCode::IO_ERROR);
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!std::filesystem::is_empty(folder.path() / "bin") && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "bin"));
}

TEST_F(SupervisorTest, SilentComponentIsKilled) {
  lease();
  desire({{"c", 1}});
  ASSERT_TRUE(hello("c", 1, 1).ok());
  for (int second = 0; second < 10; ++second) {
    clock_.advance(1s);
    lease();
    status("c", 1, cluster::v1::RUNNING);
    supervisor_->tick();
  }
  EXPECT_TRUE(launcher_.processes[0].signals.empty());
  for (int second = 0; second < 11; ++second) {
    clock_.advance(1s);
    lease();
    supervisor_->tick();
  }
  supervisor_->tick();
  EXPECT_EQ(launcher_.processes[0].signals.front(), SIGKILL);
  EXPECT_NE(reports_.back().error().cause().find("no sign of life"), std::string::npos);
}

TEST_F(SupervisorTest, EndsAreKnownToTheNextLife) {
  lease();
  desire({{"c", 1}});
  ASSERT_TRUE(hello("c", 1, 1).ok());
  status("c", 1, cluster::v1::FINISHED, 5);
  make();
  supervisor_->recover();
  ASSERT_EQ(supervisor_->snapshot().size(), 1u);
  EXPECT_EQ(supervisor_->snapshot()[0].state(), cluster::v1::FINISHED);
  reports_.clear();
  lease();
  desire({{"c", 1}});
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].rows(), 5u);
  EXPECT_EQ(launcher_.processes.size(), 1u);
}

TEST_F(SupervisorTest, LaunchThatFailsIsReportedAndRetryable) {
  lease();
  launcher_.fail_next = true;
  desire({{"c", 1}});
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].error().code(), "PROCESS_CRASHED");
  desire({{"c", 2}});
  EXPECT_EQ(supervisor_->running(), 1u);
}

TEST_F(SupervisorTest, StopIsGracefulThenNot) {
  lease(60s);
  desire({{"a", 1}, {"b", 1}});
  ASSERT_TRUE(hello("a", 1, 1).ok());
  supervisor_->begin_stop();
  EXPECT_EQ(launcher_.processes[0].signals, std::vector<int>{SIGTERM});
  desire({{"a", 1}, {"b", 1}, {"c", 1}});  // nothing is started any more
  EXPECT_EQ(launcher_.processes.size(), 2u);
  status("a", 1, cluster::v1::STOPPED);
  EXPECT_EQ(reports_.back().state(), cluster::v1::FAILED);  // nobody desired it: to be placed again
  EXPECT_EQ(reports_.back().error().code(), "CANCELLED");
  launcher_.processes[0].exit = ProcessExit{ProcessExit::Kind::kExited, 0};
  supervisor_->tick();
  EXPECT_FALSE(supervisor_->stopped());
  clock_.advance(20s);
  supervisor_->tick();
  supervisor_->tick();
  EXPECT_TRUE(supervisor_->stopped());
  EXPECT_EQ(reports_.back().component_id(), "b");
  EXPECT_EQ(reports_.back().error().code(), "CANCELLED") << "killed, but not because of anything it did";
  EXPECT_EQ(launcher_.processes[1].signals.back(), SIGKILL);
}

TEST(MergeStatus, KeepsTablesThatDidNotChange) {
  ComponentStatus whole, newer;
  auto table = [](ComponentStatus& status, const char* name, uint64_t rows) {
    auto& entry = *status.add_tables();
    entry.set_source(name);
    entry.set_rows(rows);
  };
  table(whole, "a", 1);
  table(whole, "b", 2);
  table(newer, "b", 3);
  table(newer, "c", 4);
  newer.set_rows(9);
  merge_status(whole, newer);
  ASSERT_EQ(whole.tables_size(), 3);
  EXPECT_EQ(whole.tables(1).rows(), 3u);
  EXPECT_EQ(whole.rows(), 9u);
}

TEST(ProcessRecord, SurvivesAndRefusesWrongNames) {
  testing::TempDir folder("sluice-record");
  const ProcessRecord record{"p.store", cluster::v1::STORE, 7, {::getpid(), process_start_time(::getpid())}};
  ASSERT_TRUE(write_record(folder.path().string(), record).ok());
  const auto read = read_record(folder.path().string());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->epoch, 7u);
  EXPECT_EQ(read->process, record.process);
  EXPECT_TRUE(is_alive(read->process));
  EXPECT_FALSE(is_alive({read->process.pid, read->process.start_time + 1}));  // the pid of somebody else
  for (const char* wrong : {"", ".", "..", ".x", "a/b", "a b"}) EXPECT_FALSE(is_valid_component_id(wrong)) << wrong;
}

TEST(Boot, RefusesAMessageThatIsNotWhole) {
  cluster::v1::ComponentBoot boot;
  boot.mutable_spec()->set_component_id("c");
  boot.set_agent_socket("unix:/s");
  boot.set_token("token");
  const std::string whole = boot.SerializeAsString();
  for (size_t size = 0; size <= whole.size(); ++size) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ASSERT_EQ(::write(ends[1], whole.data(), size), static_cast<ssize_t>(size));
    ::close(ends[1]);
    EXPECT_EQ(read_boot(ends[0]).ok(), size == whole.size()) << size;
  }
}

}  // namespace
}  // namespace sluice::agents
