// Conflicts and what is decided about them, by the project's policy or by the operator; decisions on DDL.
#include "tests/integration/components/incr_fixture.hpp"

namespace sluice::agents {
namespace {

class IncrDecisions : public IncrSyncTest {
 protected:
  static void policy(cluster::v1::ComponentBoot& boot, cluster::v1::ConflictPolicy on_conflict) {
    boot.mutable_spec()->set_on_conflict(on_conflict);
  }
  // What it stopped with.
  Error stopped() {
    const auto ended = incr_->join();
    EXPECT_FALSE(ended.ok());
    return ended.ok() ? Error(ErrorCode::INTERNAL, "it has not stopped") : ended.error();
  }
  // Starts again after the operator has decided; all earlier decisions are told again, as the coordinator does.
  void decide_and_start(const std::string& position, const char* word, const std::string& statement = {},
                        cluster::v1::DdlPolicy on_ddl = cluster::v1::DDL_STOP) {
    cluster::v1::Decision one;
    one.set_position(position);
    one.set_decision(word);
    one.set_statement(statement);
    one.set_number(++number_);
    std::erase_if(decisions_, [&](const auto& other) { return other.position() == position; });
    decisions_.push_back(one);
    start_again(on_ddl);
  }
  void start_again(cluster::v1::DdlPolicy on_ddl = cluster::v1::DDL_STOP) {
    start_incr(
        ++epoch_,
        [&](cluster::v1::ComponentBoot& boot) {
          boot.mutable_spec()->set_on_ddl(on_ddl);
          boot.mutable_spec()->set_writers(1);  // so that conflicts are met in the log's order
        },
        [&](ComponentDesired& desired) {
          desired.set_follow_strictly(true);
          for (const auto& one : decisions_) *desired.add_decisions() = one;
        });
  }
  static std::string journal() {
    return target_server().query_value("SELECT GROUP_CONCAT(state ORDER BY updated_at) FROM sluice.ddl");
  }

  std::vector<cluster::v1::Decision> decisions_;
  uint64_t number_ = 0, epoch_ = 0;
};

TEST_F(IncrDecisions, ConflictsOutliveTheProcess) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT)");
  start_store();
  auto& first = start_incr(1, [](cluster::v1::ComponentBoot& boot) { policy(boot, cluster::v1::CONFLICT_SKIP); });
  target("INSERT INTO t VALUES (5, 0)");
  source("INSERT INTO t VALUES (4, 1), (5, 1); DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (6, 1)");
  ASSERT_TRUE(first.wait_status([](const auto& now) { return now.incr_sync().conflicts_total() == 1; }, 20s));
  EXPECT_EQ(first.status().incr_sync().conflicts_skipped(), 1U);
  ASSERT_TRUE(incr_->stop().ok());

  auto& second = start_incr(2, [](cluster::v1::ComponentBoot& boot) { policy(boot, cluster::v1::CONFLICT_OVERWRITE); });
  ASSERT_TRUE(second.wait_status([](const auto& now) { return now.incr_sync().conflicts_total() == 1; }, 20s));
  target("INSERT INTO t VALUES (7, 0)");
  source("INSERT INTO t VALUES (7, 1)");
  ASSERT_TRUE(second.wait_status([](const auto& now) { return now.incr_sync().conflicts_total() == 2; }, 20s));
  EXPECT_EQ(second.status().incr_sync().conflicts_skipped(), 1U);
  EXPECT_EQ(target_server().query_value("SELECT v FROM app.t WHERE id = 7"), "1");
  drain();
  auto control = std::move(mysql::Connection::open(target_server().endpoint(), {})).value();
  const auto rows = database::read_conflicts(*control, {"np", "np.incr", 2, "sluice"});
  ASSERT_TRUE(rows.ok()) << rows.error().to_string();
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].key, "`id`=5");
  EXPECT_EQ((*rows)[1].key, "`id`=7");
}

TEST_F(IncrDecisions, AConflictIsDecidedForItsTransactionOnly) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY, v INT)");
  target("INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)");
  start_store();
  source("INSERT INTO t VALUES (1, 1); INSERT INTO t VALUES (2, 1); INSERT INTO t VALUES (3, 1)");
  start_again();
  const Error first = stopped();
  EXPECT_EQ(first.code(), ErrorCode::ROW_CONFLICT);
  EXPECT_EQ(first.object(), "app.t (id=1)");
  decide_and_start(first.position(), "OVERWRITE");
  const Error second = stopped();
  EXPECT_EQ(second.object(), "app.t (id=2)") << "the decision is for one transaction";
  decide_and_start(second.position(), "SKIP");
  EXPECT_EQ(stopped().object(), "app.t (id=3)");
  target("DELETE FROM t WHERE id = 3");
  start_again();
  drain();
  EXPECT_EQ(target_server().query_value("SELECT GROUP_CONCAT(v ORDER BY id) FROM app.t"), "1,0,1");
  EXPECT_EQ(status().incr_sync().conflicts_total(), 2U);
  EXPECT_EQ(status().incr_sync().conflicts_skipped(), 1U);
}

TEST_F(IncrDecisions, AStatementThatTheProjectStopsAtIsDecided) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY)");
  start_store();
  source(
      "INSERT INTO t VALUES (1); ALTER TABLE t ADD COLUMN a INT NOT NULL DEFAULT 7; INSERT INTO t VALUES (2, 2);"
      "CREATE TABLE unwanted (id INT PRIMARY KEY); INSERT INTO t VALUES (3, 3);"
      "ALTER TABLE t ADD COLUMN b INT NOT NULL DEFAULT 8; INSERT INTO t VALUES (4, 4, 4);"
      "ALTER TABLE t ADD COLUMN c INT NOT NULL DEFAULT 9; INSERT INTO t VALUES (5, 5, 5, 5)");
  start_again();
  const Error add_a = stopped();
  EXPECT_EQ(add_a.code(), ErrorCode::DDL_STOPPED);
  EXPECT_EQ(add_a.position().substr(add_a.position().size() - 2), "#0");
  EXPECT_NE(add_a.action().find("sluice project decide"), std::string::npos);
  decide_and_start(add_a.position(), "RETRY");
  const Error create = stopped();
  EXPECT_EQ(create.code(), ErrorCode::DDL_STOPPED);
  decide_and_start(create.position(), "SKIP");
  const Error add_b = stopped();
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM app.t"), "3");
  target("ALTER TABLE t ADD COLUMN b INT NOT NULL DEFAULT 8");
  decide_and_start(add_b.position(), "DONE");
  const Error add_c = stopped();
  decide_and_start(add_c.position(), "REPLACE", "ALTER TABLE t ADD COLUMN c INT NOT NULL DEFAULT 9, ADD KEY ours (c)");
  drain();
  EXPECT_EQ(journal(), "DONE,SKIPPED,DONE,DONE");
  const char* const all = "SELECT GROUP_CONCAT(id, a, b, c ORDER BY id) FROM app.t";
  EXPECT_EQ(target_server().query_value(all), source_server().query_value(all));
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM information_schema.statistics WHERE index_name = 'ours'"),
            "1");
  EXPECT_NE(target_server().try_sql("SELECT * FROM app.unwanted"), 0U);
  // Decisions on what is done change nothing.
  decide_and_start(add_a.position(), "RETRY");
  drain();
  EXPECT_EQ(target_server().query_value(all), source_server().query_value(all));
}

TEST_F(IncrDecisions, ARetryThatFailsAgainStopsAgain) {
  both("CREATE TABLE app.t (id INT PRIMARY KEY)");
  target("CREATE TABLE n (id INT PRIMARY KEY)");
  start_store();
  source("CREATE TABLE n (id INT PRIMARY KEY, v INT); INSERT INTO n VALUES (1, 1)");
  start_again();
  const Error at = stopped();
  EXPECT_EQ(at.code(), ErrorCode::DDL_STOPPED);
  decide_and_start(at.position(), "RETRY");
  const Error failed = stopped();
  EXPECT_EQ(failed.code(), ErrorCode::DDL_FAILED);
  EXPECT_EQ(failed.position(), at.position());
  EXPECT_EQ(journal(), "FAILED");
  start_again();  // the same decision is told again: it was carried out
  EXPECT_EQ(stopped().code(), ErrorCode::DDL_STOPPED);
  target("DROP TABLE n");
  decide_and_start(at.position(), "RETRY");
  drain();
  expect_equal();
}

}  // namespace
}  // namespace sluice::agents
