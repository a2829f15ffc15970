// Memory is a budget: under a load that is much larger than it, no process grows beyond it and what a process needs for
// itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;

constexpr uint64_t kBudget = 32, kOwn = 64;  // MiB

class Memory : public ::testing::Test {
 protected:
  // The greatest resident size of each process so far, in MiB, by its command line.
  void sample() {
    for (const pid_t pid : run.processes()) {
      const std::string folder = "/proc/" + std::to_string(pid);
      std::string name = read_text_file(folder + "/cmdline");
      std::replace(name.begin(), name.end(), '\0', ' ');
      name = name.substr(0, name.find(" --"));
      const std::string status = read_text_file(folder + "/status");
      const size_t at = status.find("VmHWM:");
      if (at == std::string::npos) continue;
      peak[name] = std::max<uint64_t>(peak[name], std::stoull(status.substr(at + 6)) >> 10);
    }
  }
  bool sample_until(const std::function<bool()>& condition) {
    return wait_until(
        [&] {
          sample();
          return condition();
        },
        minutes(4), std::chrono::milliseconds(50));
  }
  bool target_has(const std::string& query, const std::string& value) {
    return sample_until([&] { return target.has(query, value); });
  }

  MariaDbServer source{{.server_id = 1, .args = {"--max-allowed-packet=64M", "--innodb-log-file-size=512M"}}};
  MariaDbServer target{{.server_id = 2, .args = {"--max-allowed-packet=64M", "--innodb-log-file-size=512M"}}};
  MigrateRun run{source, target};
  std::map<std::string, uint64_t> peak;
};

TEST_F(Memory, ATransactionEightTimesTheBudgetAndACopyOfTheSameSize) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers need memory of their own";
#endif
  // 16,384 rows of 16 KiB are 256 MiB.
  source.sql(
      "CREATE DATABASE app; CREATE TABLE app.large (id INT PRIMARY KEY, v MEDIUMTEXT);"
      "INSERT INTO app.large SELECT seq, REPEAT(MD5(seq), 512) FROM app.seq_1_to_8192");
  run.start({"--include", "app.*", "--follow", "--memory", "32M"});
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.large", "8192")) << run.logs();
  source.sql("INSERT INTO app.large VALUES (0, 'before')");
  ASSERT_TRUE(target_has("SELECT v FROM app.large WHERE id = 0", "before")) << run.logs();
  source.sql(
      "BEGIN; INSERT INTO app.large SELECT 100000 + seq, REPEAT(MD5(seq), 512) FROM app.seq_1_to_16384;"
      "UPDATE app.large SET v = CONCAT('changed', v) WHERE id BETWEEN 100000 AND 101000; COMMIT");
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.large", "24577")) << run.logs();
  run.interrupt();
  ASSERT_TRUE(sample_until([&] { return !run.running(); }));
  EXPECT_EQ(run.wait(minutes(1)), 0) << run.logs();
  EXPECT_TRUE(compare_databases(source, target, {"app"}).empty());
  EXPECT_GE(peak.size(), 5U);
  for (const auto& [name, size] : peak) {
    std::printf("%-40s %5llu MiB\n", name.c_str(), static_cast<unsigned long long>(size));
    EXPECT_LE(size, kBudget + kOwn) << name;
  }
}

}  // namespace
}  // namespace sluice::testing
