// What an earlier run left in a work directory.
#include "cli/local_cluster.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "agents/supervisor/launcher.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace sluice::cli {
namespace {

uint64_t start_time_of_any(pid_t pid) {  // also of a zombie
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string field;
  for (int index = 3; index <= 22; ++index) fields >> field;
  return std::stoull(field);
}

// Where nobody reaps orphans, a killed process stays in the table for ever.
TEST(LocalCluster, AZombieOfAnEarlierRunBlocksNothing) {
  testing::TempDir folder;
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  ASSERT_TRUE(testing::wait_until([&] { return agents::process_start_time(pid) == 0; }, std::chrono::seconds(20)));
  std::ofstream(folder.file("processes")) << "coordinator " << pid << " " << start_time_of_any(pid) << "\n";
  auto cluster = LocalCluster::open(folder.path());
  EXPECT_TRUE(cluster.ok()) << cluster.error().to_string();
  ASSERT_EQ(chdir("/"), 0);
  waitpid(pid, nullptr, 0);
}

TEST(LocalCluster, ASurvivorOfAnEarlierRunIsEnded) {
  testing::TempDir folder;
  const pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  std::ofstream(folder.file("processes")) << "agent " << pid << " " << agents::process_start_time(pid) << "\n";
  auto cluster = LocalCluster::open(folder.path());
  EXPECT_TRUE(cluster.ok()) << cluster.error().to_string();
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(chdir("/"), 0);
}

}  // namespace
}  // namespace sluice::cli
