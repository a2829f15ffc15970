// The DDL journal: a process that dies at any point of a statement leaves a target on which the next one does the rest,
// and nothing twice.
#include "sinks/database/apply/ddl_runner.hpp"

#include <gtest/gtest.h>

#include "tests/support/mariadb.hpp"

namespace sluice::database {
namespace {

testing::MariaDbServer& server() {
  static testing::MariaDbServer instance({.server_id = 7, .binlog = false, .args = {}});
  return instance;
}

struct ApplyDdl : ::testing::Test {
  void SetUp() override {
    server().sql(
        "DROP DATABASE IF EXISTS d; DROP DATABASE IF EXISTS e; DROP DATABASE IF EXISTS sluice; "
        "CREATE DATABASE d CHARACTER SET utf8mb4;"
        "CREATE TABLE d.a (id INT PRIMARY KEY, v INT); INSERT INTO d.a VALUES (1, 1);"
        "CREATE TABLE d.b (id INT PRIMARY KEY, v INT); INSERT INTO d.b VALUES (2, 2);");
    mapping = std::move(TableMapping::create({"d.*", "e.*"}, {}, {})).value();
    options.target = server().endpoint();
    options.owner = {"p", "p.incr", 1, "sluice"};
    options.lease = Lease::unlimited();
    auto plain = std::move(mysql::Connection::open(options.target, {})).value();
    ASSERT_TRUE(create_bookkeeping(*plain, "sluice").ok());
    ASSERT_TRUE(take_over(options.target, options.owner).ok());
    control = std::move(open_registered(options.target, {}, options.owner, *options.lease)).value();
  }
  Result<DdlOutcome> run(const std::string& sql, DdlRunner::CrashPoint crash = DdlRunner::CrashPoint::kNone) {
    DdlRunner runner(options, mapping);  // as a new process has it
    EXPECT_TRUE(runner.load_journal(*control).ok());
    runner.crash_point = crash;
    DdlEvent event;
    event.position = "0-1-" + std::to_string(number) + "#0";
    event.database = "d";
    event.sql = sql;
    event.timestamp_us = 1'600'000'000'000'000;
    event.time_zone = "+02:00";
    auto statement = mysql::parse_ddl(sql, "d", 0);
    EXPECT_TRUE(statement.ok());
    return runner.run(event, *statement, false, *control);
  }
  std::string state() { return server().query_value("SELECT state FROM sluice.ddl ORDER BY updated_at DESC LIMIT 1"); }

  DdlOptions options;
  TableMapping mapping;
  std::unique_ptr<mysql::Connection> control;
  int number = 1;
};

TEST_F(ApplyDdl, EveryCrashPointOfEveryKind) {
  struct Case {
    const char* sql;
    const char* check;
    const char* expected;
  };
  const std::vector<Case> cases{
      {"ALTER TABLE a ADD COLUMN w INT NOT NULL DEFAULT 5", "SELECT SUM(w) FROM d.a", "5"},
      {"CREATE TABLE n (id INT PRIMARY KEY, t TIMESTAMP DEFAULT '2020-01-01 02:00:00')",
       "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'd' AND table_name = 'n'", "2"},
      {"RENAME TABLE a TO x, b TO a, x TO b", "SELECT id FROM d.a", "2"},
      {"TRUNCATE TABLE a", "SELECT COUNT(*) FROM d.a", "0"},
      {"DROP TABLE a, b", "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'd'", "0"},
      {"CREATE DATABASE e", "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'e'", "1"},
      {"CREATE UNIQUE INDEX i ON a (v)",
       "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'd' AND index_name = 'i'", "1"},
      {"CREATE VIEW v AS SELECT id FROM a", "SELECT COUNT(*) FROM d.v", "1"},
  };
  using enum DdlRunner::CrashPoint;
  for (const Case& one : cases) {
    for (const auto crash : {kAfterExecuting, kAfterStatement, kAfterDone, kNone}) {
      SetUp();
      SCOPED_TRACE(std::string(one.sql) + " crash " + std::to_string(static_cast<int>(crash)));
      auto first = run(one.sql, crash);
      EXPECT_EQ(first.ok(), crash == kNone);
      auto second = run(one.sql);
      ASSERT_TRUE(second.ok()) << second.error().to_string();
      EXPECT_EQ(*second, DdlOutcome::kApplied);
      EXPECT_EQ(server().query_value(one.check), one.expected);
      EXPECT_EQ(state(), "DONE");
    }
  }
}

TEST_F(ApplyDdl, AHalfDoneDropIsFinished) {
  EXPECT_FALSE(run("DROP TABLE a, b", DdlRunner::CrashPoint::kAfterExecuting).ok());
  server().sql("DROP TABLE d.a");  // the server died between the two
  auto again = run("DROP TABLE a, b");
  ASSERT_TRUE(again.ok()) << again.error().to_string();
  EXPECT_EQ(server().query_value("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'd'"), "0");
}

TEST_F(ApplyDdl, AnOutcomeThatCannotBeDecidedIsAnError) {
  EXPECT_FALSE(run("RENAME TABLE a TO c, b TO e", DdlRunner::CrashPoint::kAfterExecuting).ok());
  server().sql("RENAME TABLE d.a TO d.c");
  auto again = run("RENAME TABLE a TO c, b TO e");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::DDL_UNDECIDED);
}

TEST_F(ApplyDdl, PoliciesAndFailures) {
  auto failed = run("ALTER TABLE a DROP COLUMN missing");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), ErrorCode::DDL_FAILED);
  EXPECT_EQ(failed.error().object(), "d.a");
  EXPECT_EQ(state(), "FAILED");
  number = 2;
  options.policy = DdlPolicy::kStop;
  EXPECT_EQ(run("TRUNCATE TABLE a").error().code(), ErrorCode::DDL_STOPPED);
  options.policy = DdlPolicy::kSkip;
  EXPECT_EQ(*run("TRUNCATE TABLE a"), DdlOutcome::kSkipped);
  options.policy = DdlPolicy::kApply;
  EXPECT_EQ(*run("TRUNCATE TABLE a"), DdlOutcome::kSkipped);  // the journal remembers
  number = 3;
  options.types = {"CREATE_TABLE"};
  EXPECT_EQ(*run("TRUNCATE TABLE a"), DdlOutcome::kSkipped);
  EXPECT_EQ(server().query_value("SELECT COUNT(*) FROM d.a"), "1");
}

}  // namespace
}  // namespace sluice::database
