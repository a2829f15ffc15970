// The command ends when it is told to, whatever its processes do, and leaves a report and a work directory that goes
// on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class Interrupt : public ::testing::Test {
 protected:
  void SetUp() override { workload.create(); }
  void expect_resume_succeeds() {
    run.start({"--include", "app.*", "--resume"});
    const auto ended = run.wait(minutes(4));
    ASSERT_TRUE(ended.has_value()) << run.logs();
    EXPECT_EQ(*ended, 0) << run.logs();
    EXPECT_EQ(differences(source, target, {"app"}), "");
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  Workload workload{source, {.rows = 300}};
  MigrateRun run{source, target};
};

TEST_F(Interrupt, AFrozenCoordinatorDoesNotHoldTheCommand) {
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(wait_until([&] { return run.find("component incr_sync") > 0; }, minutes(1))) << run.logs();
  const pid_t coordinator = run.find("sluice coordinator");
  ASSERT_GT(coordinator, 0);
  send_signal(coordinator, SIGSTOP);
  run.interrupt();
  std::this_thread::sleep_for(seconds(1));  // two signals, not one
  run.interrupt();
  const auto ended = run.wait(minutes(2));
  ASSERT_TRUE(ended.has_value()) << run.logs();
  EXPECT_EQ(*ended, 130) << run.logs();
  EXPECT_EQ(run.report_value("status"), "INTERRUPTED");
  EXPECT_TRUE(wait_until([&] { return run.processes().empty(); }, seconds(15)));
  expect_resume_succeeds();
}

TEST_F(Interrupt, AWorkDirectoryInUseIsReported) {
  std::filesystem::create_directories(run.work_dir());
  const int lock = ::open((run.work_dir() + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  run.start({"--include", "app.*"});
  auto ended = run.wait(minutes(1));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(*ended, 4);
  const auto report = nlohmann::json::parse(run.report(), nullptr, false);
  ASSERT_FALSE(report.is_discarded());
  EXPECT_EQ(report["status"], "FAILED");
  ASSERT_EQ(report["errors"].size(), 1U);
  EXPECT_EQ(report["errors"][0]["code"], "WORK_DIR_IN_USE");
  ::close(lock);
  run.start({"--include", "app.*"});
  ended = run.wait(minutes(4));
  ASSERT_TRUE(ended.has_value()) << run.logs();
  EXPECT_EQ(*ended, 0) << run.logs();
}

// Killed at any moment around its end, the command goes on with --resume.
TEST_F(Interrupt, KilledAroundItsEndItIsResumed) {
  run.start({"--include", "app.*"});
  ASSERT_TRUE(wait_until([&] { return run.output().find("FULL_VERIFIER") != std::string::npos; }, minutes(2)))
      << run.logs();
  for (int round = 0; round < 4; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300 * (round + 1)));
    run.kill9();
    run.start({"--include", "app.*", "--resume"});
    ASSERT_TRUE(wait_until([&] { return !run.running() || run.find("sluice agent") > 0; }, seconds(20)));
  }
  const auto ended = run.wait(minutes(4));
  ASSERT_TRUE(ended.has_value()) << run.logs();
  EXPECT_EQ(*ended, 0) << run.logs();
  EXPECT_EQ(differences(source, target, {"app"}), "");
}

// A closed terminal and a killed command: what it started writes its checkpoints and ends.
TEST_F(Interrupt, NothingOutlivesTheCommand) {
  for (const int signal : {SIGHUP, SIGKILL}) {
    SCOPED_TRACE(signal);
    const bool first = signal == SIGHUP;
    run.start(first ? std::vector<std::string>{"--include", "app.*", "--throttle-rps", "200"}
                    : std::vector<std::string>{"--resume"});
    ASSERT_TRUE(wait_until([&] { return run.find("component full_import") > 0; }, minutes(1))) << run.logs();
    run.signal(signal);
    const auto ended = run.wait(minutes(1));
    ASSERT_TRUE(ended.has_value()) << run.logs();
    if (first) {
      EXPECT_EQ(*ended, 130) << run.logs();
      EXPECT_EQ(run.report_value("status"), "INTERRUPTED");
    }
    EXPECT_TRUE(wait_until([&] { return run.processes().empty(); }, seconds(40))) << run.logs();
  }
  run.start({"--resume", "--throttle-rps", "0"});
  EXPECT_EQ(run.wait(minutes(4)), 0) << run.logs();
}

// Between its last look at the project and its wish to stop it, the project may have ended.
TEST_F(Interrupt, AtTheVeryEndItHasEndedOrIsInterrupted) {
  run.start({"--include", "app.*"});
  ASSERT_EQ(run.wait(minutes(4)), 0) << run.logs();
  for (int round = 0; round < 5; ++round) {
    const size_t before = run.output().size();
    run.start({"--resume"});
    const std::string over = "\"step\":\"FULL_VERIFIER\",\"status\":\"FINISHED\"";
    ASSERT_TRUE(wait_until([&] { return run.output().find(over, before) != std::string::npos; }, minutes(2)));
    std::this_thread::sleep_for(std::chrono::milliseconds(120 * round));
    run.interrupt();
    const int status = run.wait(minutes(2)).value_or(-1);
    EXPECT_TRUE(status == 0 || status == 130) << status << run.logs();
    if (status == 0) EXPECT_EQ(run.report_value("status"), "VERIFIED");
  }
}

TEST_F(Interrupt, AFrozenCoordinatorIsStartedAgain) {
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(wait_until([&] { return run.find("component incr_sync") > 0; }, minutes(1))) << run.logs();
  const pid_t frozen = run.find("sluice coordinator");
  send_signal(frozen, SIGSTOP);
  ASSERT_TRUE(wait_until([&] { return run.output().find("does not answer") != std::string::npos; }, minutes(1)));
  ASSERT_TRUE(
      wait_until([&] { return run.output().find("The coordinator answers again") != std::string::npos; }, minutes(2)))
      << run.logs();
  EXPECT_NE(run.find("sluice coordinator"), frozen);
  run.interrupt();
  EXPECT_EQ(run.wait(minutes(3)), 0) << run.logs();
}

// What the command's agent had started must not write into what comes after the cleanup.
TEST_F(Interrupt, CleanupEndsWhatOutlivedTheCommand) {
  source.sql("CREATE TABLE app.wide (id INT PRIMARY KEY, pad VARCHAR(200))");
  source.sql("INSERT INTO app.wide SELECT seq, REPEAT('x', 200) FROM app.seq_1_to_50000");
  run.start({"--include", "app.*", "--throttle-rps", "1000"});
  ASSERT_TRUE(wait_until([&] { return run.find("component full_import") > 0; }, minutes(1))) << run.logs();
  const pid_t component = run.find("component full_import"), agent = run.find("sluice agent");
  for (const pid_t pid : {component, agent}) send_signal(pid, SIGSTOP);  // they do not end by themselves
  run.kill9();
  ASSERT_EQ(run.find("component full_import"), component);
  run.start({"--cleanup"});
  const auto ended = run.wait(minutes(1));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(*ended, 0) << run.output();
  EXPECT_TRUE(run.processes().empty());
}

}  // namespace
}  // namespace sluice::testing
