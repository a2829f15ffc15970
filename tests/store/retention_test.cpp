#include "tests/store/log_fixture.hpp"
#include "tests/support/manual_clock.hpp"

namespace sluice::store::test {
namespace {

constexpr std::chrono::hours kHour{1};

struct Retention : ::testing::Test {
  void SetUp() override {
    log = open_log(folder, 0, &clock);
    ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  }
  int64_t hours_ago(int hours) { return clock.unix_time_us() - hours * 3'600'000'000LL; }
  Folder folder;
  testing::ManualClock clock;
  std::unique_ptr<Log> log;
};

TEST_F(Retention, KeepsEverythingUntilAReaderHasRegistered) {
  fill(*log, 1, 10);
  clock.advance(48 * kHour);
  EXPECT_EQ(*log->expire(hours_ago(24)), 0U);
  EXPECT_EQ(read_after(*log, position_of(0)), range(1, 10));
}

TEST_F(Retention, RemovesWhatIsOldAndNotNeeded) {
  fill(*log, 1, 10, 2);
  clock.advance(10 * kHour);
  fill(*log, 11, 20, 2);
  clock.advance(20 * kHour);
  ASSERT_TRUE(log->register_reader({"slow", 1, position_of(0)}).ok());
  ASSERT_TRUE(log->register_reader({"quick", 1, position_of(20)}).ok());
  EXPECT_EQ(*log->expire(hours_ago(24)), 0U);
  ASSERT_TRUE(log->set_durable("slow", position_of(5)).ok());
  EXPECT_EQ(*log->expire(hours_ago(24)), 2U);  // the block of 5 and 6 is still needed
  EXPECT_EQ(log->status().begin, position_of(4));
  EXPECT_EQ(read_after(*log, position_of(4)), range(5, 20));
  ASSERT_TRUE(log->set_durable("slow", position_of(20)).ok());
  EXPECT_EQ(*log->expire(hours_ago(24)), 3U);  // the rest is younger than 24 hours
  EXPECT_EQ(read_after(*log, position_of(10)), range(11, 20));

  auto lost = Cursor::after(*log, position_of(9));
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), ErrorCode::POSITION_EXPIRED);
  EXPECT_NE(lost.error().cause().find(position_of(10).to_string()), std::string::npos);
  EXPECT_NE(lost.error().cause().find(position_of(20).to_string()), std::string::npos);
  EXPECT_EQ(Cursor::at_time(*log, time_of(3)).error().code(), ErrorCode::POSITION_EXPIRED);

  log.reset();
  log = open_log(folder, 0, &clock);
  EXPECT_EQ(log->status().begin, position_of(10));
  EXPECT_EQ(log->readers().size(), 2U);
  EXPECT_EQ(read_after(*log, position_of(10)), range(11, 20));
}

TEST_F(Retention, ARunningCursorLearnsThatItsRangeIsGone) {
  fill(*log, 1, 10);
  auto cursor = Cursor::after(*log, position_of(0));
  ASSERT_TRUE((*cursor).next().ok());
  ASSERT_TRUE(log->register_reader({"r", 1, position_of(8)}).ok());
  clock.advance(kHour);
  EXPECT_EQ(*log->expire(hours_ago(0)), 8U);
  EXPECT_EQ((*cursor).next().error().code(), ErrorCode::POSITION_EXPIRED);
}

TEST_F(Retention, NeverCutsInsideATransaction) {
  auto schema = table();
  fill(*log, 1, 2);
  BatchBuilder builder;
  add_begin(builder, 3);
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  add_insert(builder, *schema, 3, "x");
  ASSERT_TRUE(log->append(block_of(builder, {schema})).ok());
  add_commit(builder, 3);
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  clock.advance(2 * kHour);
  ASSERT_TRUE(log->register_reader({"r", 1, position_of(2)}).ok());
  EXPECT_EQ(*log->expire(hours_ago(1)), 2U);
  EXPECT_EQ(read_after(*log, position_of(2)), range(3, 3));
}

TEST_F(Retention, DropsWholeIncarnationsButNotTheNewest) {
  fill(*log, 1, 5);
  ASSERT_TRUE(log->begin_incarnation(position_of(5), 0).ok());
  fill(*log, 6, 10);
  clock.advance(2 * kHour);
  ASSERT_TRUE(log->register_reader({"r", 1, position_of(10)}).ok());
  EXPECT_EQ(*log->expire(hours_ago(1)), 10U);
  ASSERT_EQ(log->incarnations().size(), 1U);
  EXPECT_EQ(log->status().begin, position_of(10));
  EXPECT_EQ(log->status().end, position_of(10));
  EXPECT_EQ(log->status().last.digest, 10U);
  fill(*log, 11, 12);
  EXPECT_EQ(read_after(*log, position_of(10)), range(11, 12));
  log.reset();
  log = open_log(folder, 0, &clock);
  EXPECT_EQ(read_after(*log, position_of(10)), range(11, 12));
}

TEST_F(Retention, ReturnsTheDisk) {
  std::mt19937_64 random(7);
  std::string value(256 << 10, '\0');
  for (char& byte : value) byte = static_cast<char>(random());
  for (int part = 0; part < 8; ++part) fill(*log, 1 + part * 50, 50 + part * 50, 1, value);
  auto size_of = [&] {
    uintmax_t bytes = 0;
    for (auto& file : std::filesystem::recursive_directory_iterator(folder.path()))
      if (file.path().extension() == ".sst") bytes += file.file_size();
    return bytes;
  };
  ASSERT_TRUE(log->register_reader({"r", 1, position_of(390)}).ok());
  clock.advance(kHour);
  uintmax_t before = size_of();
  ASSERT_GT(before, 30U << 20);
  EXPECT_EQ(*log->expire(hours_ago(0)), 390U);
  ASSERT_TRUE(log->release_space().ok());
  // Files go in the background when nothing reads them any more.
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (size_of() > 10U << 20 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_LT(size_of(), 10U << 20);
  EXPECT_EQ(read_after(*log, position_of(390)), range(391, 400));
}

TEST_F(Retention, ReaderRowsOnlyMoveForward) {
  ASSERT_TRUE(log->register_reader({"r", 5, position_of(9)}).ok());
  EXPECT_EQ(log->register_reader({"r", 4, position_of(9)}).error().code(), ErrorCode::STALE_EPOCH);
  ASSERT_TRUE(log->register_reader({"r", 6, position_of(3)}).ok());
  EXPECT_EQ(log->readers()[0].durable, position_of(9));
  ASSERT_TRUE(log->set_durable("r", position_of(4)).ok());
  EXPECT_EQ(log->readers()[0].durable, position_of(9));
  EXPECT_EQ(log->set_durable("nobody", position_of(4)).error().code(), ErrorCode::NOT_FOUND);
}

}  // namespace
}  // namespace sluice::store::test
