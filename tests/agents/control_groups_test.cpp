// Memory limits of the system: on a tree of files that stands for cgroup v2, and on the real one where it is delegated.
#include "agents/supervisor/control_groups.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "agents/supervisor/launcher.hpp"
#include "tests/support/temp_dir.hpp"

namespace sluice::agents {
namespace {

namespace fs = std::filesystem;

class ControlGroupsTest : public ::testing::Test {
 protected:
  void tree(const std::string& controllers, const std::string& handed_down, const std::string& members) {
    put("cgroup.controllers", controllers);
    put("cgroup.subtree_control", handed_down);
    put("cgroup.procs", members);
  }
  void put(const std::string& name, const std::string& text) { std::ofstream(folder_.path() / name) << text; }
  std::string get(const std::string& name) const {
    std::ifstream in(folder_.path() / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // What the kernel does when rmdir() is called on a group without processes.
  void vacate(const std::string& group) {
    for (const auto& file : fs::directory_iterator(folder_.path() / group)) fs::remove(file.path());
  }

  testing::TempDir folder_{"sluice-cgroup"};
};

TEST_F(ControlGroupsTest, LimitsAProcessInAGroupOfItsOwnAndRemovesItAfterwards) {
  tree("cpu memory pids", "memory", "");
  fs::create_directory(folder_.path() / "component-p.old");  // an earlier agent's
  ControlGroups groups(folder_.path().string());
  EXPECT_EQ(groups.unavailable(), "");
  EXPECT_FALSE(fs::exists(folder_.path() / "component-p.old"));
  groups.limit("p.store", 4711, 768 << 20);
  EXPECT_EQ(get("component-p.store/memory.max"), std::to_string(768 << 20));
  EXPECT_EQ(get("component-p.store/cgroup.procs"), "4711");
  groups.limit("p.free", 4712, 0);
  EXPECT_FALSE(fs::exists(folder_.path() / "component-p.free")) << "no limit, no group";
  groups.sweep();
  EXPECT_TRUE(fs::exists(folder_.path() / "component-p.store")) << "something runs there";
  vacate("component-p.store");
  groups.sweep();
  EXPECT_FALSE(fs::exists(folder_.path() / "component-p.store"));
}

TEST_F(ControlGroupsTest, HandsTheControllerDownWhenItIsAloneInItsGroup) {
  const std::string self = std::to_string(::getpid());
  tree("memory", "", self + "\n");
  ControlGroups groups(folder_.path().string());
  EXPECT_EQ(groups.unavailable(), "");
  EXPECT_EQ(get("agent/cgroup.procs"), self) << "a group with limited children holds no process itself";
  EXPECT_EQ(get("cgroup.subtree_control"), "+memory");
}

TEST_F(ControlGroupsTest, RunsWithoutLimitsWhereItMayNotMakeGroups) {
  EXPECT_NE(ControlGroups("").unavailable(), "");
  tree("cpu pids", "", "");
  EXPECT_NE(ControlGroups(folder_.path().string()).unavailable(), "");
  tree("memory", "", "1\n");
  ControlGroups shared(folder_.path().string());
  EXPECT_EQ(shared.unavailable(), "the control group has other processes");
  shared.limit("p.store", 4711, 1 << 20);
  shared.sweep();
  EXPECT_FALSE(fs::exists(folder_.path() / "component-p.store"));
}

// From its first moment on, and the group goes with it.
TEST_F(ControlGroupsTest, AProcessIsInItsGroupBeforeItIsTold) {
  tree("memory", "memory", "");
  SystemLauncher launcher("/bin/cat", std::make_shared<ControlGroups>(folder_.path().string()));
  auto process = launcher.launch({.kind = "store",
                                  .name = "p.store",
                                  .output_file = (folder_.path() / "output.log").string(),
                                  .memory_limit = 768 << 20});
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(get("component-p.store/cgroup.procs"), std::to_string(process->pid));
  EXPECT_EQ(get("component-p.store/memory.max"), std::to_string(768 << 20));
  vacate("component-p.store");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::optional<ProcessExit> exit;
  while (!(exit = launcher.poll(*process)) && std::chrono::steady_clock::now() < deadline) ::usleep(1000);
  ASSERT_TRUE(exit.has_value()) << "cat has no file of that name";
  EXPECT_FALSE(fs::exists(folder_.path() / "component-p.store"));
}

TEST_F(ControlGroupsTest, TheKernelEndsAProcessThatGoesBeyond) {
  ControlGroups groups;
  if (!groups.unavailable().empty())
    GTEST_SKIP() << "no delegated cgroup v2 with memory here: " << groups.unavailable();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char go = 0;
    [[maybe_unused]] auto n = ::read(ends[0], &go, 1);
    std::string bytes(256 << 20, 'x');
    ::_exit(bytes[1000] == 'x' ? 0 : 1);
  }
  groups.limit("sluice-test", child, 64 << 20);
  ASSERT_EQ(::write(ends[1], "g", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  groups.sweep();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_FALSE(fs::exists(ControlGroups::own_group() + "/component-sluice-test"));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace sluice::agents
