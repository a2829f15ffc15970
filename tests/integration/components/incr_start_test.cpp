// Incr-Sync begins at a time: nothing that was committed before it is applied, nothing that came after it is missed.
#include "tests/integration/components/incr_fixture.hpp"

namespace sluice::agents {
namespace {

constexpr int64_t kStart =
    1'800'000'000;  // seconds; in the future of the test's clock, so that only SET TIMESTAMP has it

class IncrStart : public IncrSyncTest {
 protected:
  void SetUp() override {
    IncrSyncTest::SetUp();
    both("CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(2000))");
    start_store();
  }
  // On the source, as if it were `seconds` after the start time.
  void at(int64_t seconds, const std::string& sql) {
    source("SET TIMESTAMP=" + std::to_string(kStart + seconds) + ";" + sql);
  }
  void start(uint64_t epoch) {
    start_incr(epoch, [](cluster::v1::ComponentBoot& boot) {
      boot.mutable_spec()->set_start_time_us(kStart * 1'000'000);
      boot.mutable_spec()->set_memory_bytes(24 << 20);
    });
  }
  static std::string ids() {
    return target_server().query_value("SELECT COALESCE(GROUP_CONCAT(id ORDER BY id), '') FROM app.t WHERE id < 1000");
  }
  Position started() { return net::from_proto(status().incr_sync().start()); }
};

TEST_F(IncrStart, TheFirstTransactionOfTheTimeIsTheFirstThatIsApplied) {
  at(-10, "INSERT INTO t VALUES (1, ''); ALTER TABLE t ADD COLUMN early INT; INSERT INTO t VALUES (2, '', 2)");
  target("ALTER TABLE t ADD COLUMN early INT");
  const Position before = source_end();
  at(0, "INSERT INTO t VALUES (3, '', 3); ALTER TABLE t ADD COLUMN late INT");
  // A clock that is set back changes nothing any more.
  at(-5, "INSERT INTO t VALUES (4, '', 4, 4)");
  start(1);
  drain();
  EXPECT_EQ(ids(), "3,4");
  EXPECT_EQ(status().incr_sync().ddl(), 1U);
  EXPECT_TRUE(compare_in_log(started(), before) == 0) << started().to_string() << " is not " << before.to_string();
}

TEST_F(IncrStart, ATimeThatHasNotComeIsWaitedForOverRestarts) {
  at(-10, "INSERT INTO t VALUES (1, ''); ALTER TABLE t ADD COLUMN early INT");
  target("ALTER TABLE t ADD COLUMN early INT");
  start(1);
  const Position first = source_end();
  ASSERT_TRUE(incr_->component().wait_status(
      [&](const ComponentStatus& now) {
        return compare_in_log(net::from_proto(now.incr_sync().applied()), first) >= 0;
      },
      30s))
      << "what is passed over counts as done";
  ASSERT_TRUE(incr_->stop().ok());
  at(-8, "INSERT INTO t VALUES (2, '', 2)");
  const Position before = source_end();
  start(2);
  at(5, "INSERT INTO t VALUES (3, '', 3)");
  ASSERT_TRUE(wait_until([] { return ids() == "3"; }, 30s));
  ASSERT_TRUE(incr_->stop().ok());
  EXPECT_TRUE(compare_in_log(started(), before) == 0);
  at(-7, "INSERT INTO t VALUES (4, '', 4)");
  start(3);
  drain();
  EXPECT_EQ(ids(), "3,4");
}

TEST_F(IncrStart, ALargeTransactionCountsByItsCommit) {
  const std::string rows = "INSERT INTO t SELECT seq, REPEAT(CHAR(97 + seq % 26), 1500) FROM ";
  at(-10, rows + "seq_1000_to_9000");
  at(1, rows + "seq_10000_to_18000");
  at(2, "INSERT INTO t VALUES (1, '')");
  start(1);
  drain();
  EXPECT_EQ(ids(), "1");
  EXPECT_EQ(target_server().query_value("SELECT CONCAT(MIN(id), ' ', COUNT(*)) FROM app.t WHERE id >= 1000"),
            "10000 8001");
}

}  // namespace
}  // namespace sluice::agents
