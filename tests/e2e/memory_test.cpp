// Memory is a budget: under a load that is much larger than it, no process grows beyond it and what a process needs for
// itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "engines/mysql/connection.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;

constexpr uint64_t kOwn = 64;  // MiB that a process needs for itself

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

  void expect_within(uint64_t budget) {
    EXPECT_GE(peak.size(), 5U);
    for (const auto& [name, size] : peak) {
      std::printf("%-40s %5llu MiB\n", name.c_str(), static_cast<unsigned long long>(size));
      EXPECT_LE(size, budget + kOwn) << name;
    }
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
  expect_within(32);
}

// A row of two numbers is a few bytes in the log, and ten times that once it is decoded and its place among the others
// is known. The target stands still, so all that Incr-Sync may hold gathers.
TEST_F(Memory, NarrowRowsThatCannotBeApplied) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers need memory of their own";
#endif
  source.sql(
      "CREATE DATABASE app; CREATE TABLE app.narrow (a INT PRIMARY KEY, b INT); INSERT INTO app.narrow VALUES (0, 0)");
  run.start({"--include", "app.*", "--follow", "--memory", "128M"});
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.narrow", "1")) << run.logs();
  source.sql("UPDATE app.narrow SET b = 1 WHERE a = 0");
  ASSERT_TRUE(target_has("SELECT b FROM app.narrow WHERE a = 0", "1")) << run.logs();
  auto lock = std::move(sluice::mysql::Connection::open(target.endpoint(), {})).value();
  ASSERT_TRUE(lock->exec("LOCK TABLES app.narrow WRITE").ok());
  constexpr int kTransactions = 1400, kRows = 1000;
  auto writer = std::move(sluice::mysql::Connection::open(source.endpoint(), {})).value();
  for (int i = 0; i < kTransactions; ++i) {
    const std::string first = std::to_string(1 + i * kRows), last = std::to_string((i + 1) * kRows);
    ASSERT_TRUE(writer->exec("INSERT INTO app.narrow SELECT seq, seq FROM app.seq_" + first + "_to_" + last).ok());
    if (i % 20 == 0) sample();
  }
  // Everything has come as far as it can when nothing grows any more.
  std::map<std::string, uint64_t> before;
  int unchanged = 0;
  ASSERT_TRUE(sample_until([&] {
    unchanged = before == peak ? unchanged + 1 : 0;
    before = peak;
    return unchanged == 60;
  }));
  ASSERT_TRUE(lock->exec("UNLOCK TABLES").ok());
  ASSERT_TRUE(target_has("SELECT COUNT(*) FROM app.narrow", std::to_string(1 + kTransactions * kRows))) << run.logs();
  run.interrupt();
  ASSERT_TRUE(sample_until([&] { return !run.running(); }));
  EXPECT_EQ(run.wait(minutes(1)), 0) << run.logs();
  EXPECT_EQ(target.query_value("SELECT SUM(b) FROM app.narrow"), source.query_value("SELECT SUM(b) FROM app.narrow"));
  expect_within(128);
}

}  // namespace
}  // namespace sluice::testing
