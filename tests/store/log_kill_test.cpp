// The log under kill -9: a child writes, the parent kills it at any moment and looks at what is left.
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/store/log_fixture.hpp"

namespace sluice::store::test {
namespace {

// Appends for ever from `first` on: transactions of one block, several in a block, and over several blocks. Tells the
// number of each visible one through the pipe.
[[noreturn]] void write_for_ever(const std::string& path, uint64_t first, int told) {
  LogOptions options;
  options.path = path;
  options.write_buffer_bytes = 256 << 10;
  auto log = Log::open(options);
  if (!log.ok() || !(*log)->begin_incarnation(position_of(first - 1), 0).ok()) _exit(1);
  auto schema = table();
  BatchBuilder builder;
  std::mt19937 random(static_cast<unsigned>(first));
  for (uint64_t n = first;; ++n) {
    bool large = random() % 10 == 0;
    add_begin(builder, n);
    for (int row = 0; row < (large ? 20 : 2); ++row) {
      add_insert(builder, *schema, row, std::string(random() % 2000, 'k'));
      if (large && row % 7 == 0 && !(*log)->append(block_of(builder, {schema})).ok()) _exit(1);
    }
    add_commit(builder, n);
    if (!(*log)->append(block_of(builder, {schema}, {position_of(n - 1), position_of(n), n})).ok()) _exit(1);
    if (write(told, &n, sizeof n) != sizeof n) _exit(1);
  }
}

// This program, started again by the test, becomes the writer that is killed.
class WriterWhenAsked : public testing::Environment {
  void SetUp() override {
    const char* path = getenv("STORE_KILL_LOG");
    if (path) write_for_ever(path, std::stoull(getenv("STORE_KILL_FIRST")), std::stoi(getenv("STORE_KILL_PIPE")));
  }
};
const auto* const kWriter = testing::AddGlobalTestEnvironment(new WriterWhenAsked);

TEST(LogKill, LosesNothingVisibleAndShowsNothingUnfinished) {
  Folder folder;
  std::mt19937 random(std::random_device{}());
  uint64_t have = 0;
  for (int round = 0; round < 8; ++round) {
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // A fresh image: RocksDB's threads do not survive a fork.
      setenv("STORE_KILL_LOG", folder.log().c_str(), 1);
      setenv("STORE_KILL_FIRST", std::to_string(have + 1).c_str(), 1);
      setenv("STORE_KILL_PIPE", std::to_string(told[1]).c_str(), 1);
      execl("/proc/self/exe", "writer", nullptr);
      _exit(1);
    }
    close(told[1]);
    uint64_t said = have, stop_at = have + 50 + random() % 400;
    while (said < stop_at && read(told[0], &said, sizeof said) == sizeof said) {
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    kill(child, SIGKILL);
    uint64_t later;
    while (read(told[0], &later, sizeof later) == sizeof later) said = later;
    close(told[0]);
    ASSERT_GE(said, stop_at);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));

    auto log = open_log(folder);
    uint64_t end = log->status().end.offset / 100;
    EXPECT_GE(end, said);  // the process died, not the machine: what was visible is there
    EXPECT_LE(end, said + 1);
    EXPECT_EQ(log->status().last.digest, end);
    ASSERT_EQ(read_after(*log, position_of(0)), range(1, end));
    have = end;
  }
}

}  // namespace
}  // namespace sluice::store::test
