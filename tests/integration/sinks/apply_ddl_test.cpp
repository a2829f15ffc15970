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
  Result<DdlOutcome> run(const std::string& sql, DdlCrash crash = DdlCrash::kNone) {
    options.crash = crash;
    DdlRunner runner(options, mapping);  // as a new process has it
    EXPECT_TRUE(runner.load_journal(*control).ok());
    DdlEvent event;
    event.position = "0-1-" + std::to_string(number) + "#0";
    event.database = "d";
    event.sql = sql;
    event.timestamp_us = 1'600'000'000'000'000;
    event.time_zone = "+02:00";
    auto statement = mysql::parse_ddl(sql, "d", 0);
    EXPECT_TRUE(statement.ok());
    return runner.run(event, *statement, mode_of(event), *control);
  }
  std::string state() { return server().query_value("SELECT state FROM sluice.ddl ORDER BY updated_at DESC LIMIT 1"); }

  void decide(DdlDecision::What what, const std::string& identity, const std::string& statement = {}) {
    decisions["0-1-" + std::to_string(number) + "#0"] = {what, statement, identity};
  }

  DdlMode mode_of(const DdlEvent& event) const {
    DdlMode mode;
    if (const auto found = decisions.find(event.position); found != decisions.end()) mode.decision = found->second;
    return mode;
  }

  DdlOptions options;
  TableMapping mapping;
  std::map<std::string, DdlDecision> decisions;  // by the position that an error names
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
  using enum DdlCrash;
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
  EXPECT_FALSE(run("DROP TABLE a, b", DdlCrash::kAfterExecuting).ok());
  server().sql("DROP TABLE d.a");  // the server died between the two
  auto again = run("DROP TABLE a, b");
  ASSERT_TRUE(again.ok()) << again.error().to_string();
  EXPECT_EQ(server().query_value("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'd'"), "0");
}

TEST_F(ApplyDdl, AnOutcomeThatCannotBeDecidedIsAnError) {
  EXPECT_FALSE(run("RENAME TABLE a TO c, b TO e", DdlCrash::kAfterExecuting).ok());
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

TEST_F(ApplyDdl, WhatCannotBeDecidedIsDecidedByTheOperator) {
  using What = DdlDecision::What;
  for (const auto what : {What::kDone, What::kSkip, What::kRetry}) {
    SetUp();
    decisions.clear();
    EXPECT_FALSE(run("RENAME TABLE a TO c, b TO e", DdlCrash::kAfterExecuting).ok());
    server().sql("RENAME TABLE d.a TO d.c");
    EXPECT_EQ(run("RENAME TABLE a TO c, b TO e").error().code(), ErrorCode::DDL_UNDECIDED);
    if (what == What::kRetry) server().sql("RENAME TABLE d.c TO d.a");
    decide(what, "1");
    auto again = run("RENAME TABLE a TO c, b TO e");
    ASSERT_TRUE(again.ok()) << again.error().to_string();
    EXPECT_EQ(state(), what == What::kSkip ? "SKIPPED" : "DONE");
    EXPECT_EQ(server().query_value("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'd' AND "
                                   "table_name = 'e'"),
              what == What::kRetry ? "1" : "0");
    decide(What::kRetry, "2");
    EXPECT_TRUE(run("RENAME TABLE a TO c, b TO e").ok()) << "a decision about what is settled changes nothing";
  }
}

// The process dies between what the journal says and what is done; the decision is told again at the next start.
TEST_F(ApplyDdl, ADecisionOutlivesEveryCrashAndIsCarriedOutOnce) {
  using enum DdlCrash;
  using What = DdlDecision::What;
  options.policy = DdlPolicy::kStop;
  const char* const sql = "ALTER TABLE a ADD COLUMN w INT NOT NULL DEFAULT 5";
  for (const auto what : {What::kRetry, What::kReplace}) {
    for (const auto crash : {kAfterBefore, kAfterExecuting, kAfterStatement, kAfterDone, kNone}) {
      SetUp();
      SCOPED_TRACE("crash " + std::to_string(static_cast<int>(crash)));
      decisions.clear();
      EXPECT_EQ(run(sql).error().code(), ErrorCode::DDL_STOPPED);
      decide(what, what == What::kRetry ? "RETRY 1 " : "REPLACE 1 x", "ALTER TABLE a ADD COLUMN w INT DEFAULT 5");
      EXPECT_EQ(run(sql, crash).ok(), crash == kNone);
      auto again = run(sql);
      ASSERT_TRUE(again.ok()) << again.error().to_string();
      EXPECT_EQ(server().query_value("SELECT SUM(w) FROM d.a"), "5");
      EXPECT_EQ(state(), "DONE");
      EXPECT_EQ(server().query_value("SELECT IS_NULLABLE FROM information_schema.columns WHERE table_schema = 'd' AND "
                                     "column_name = 'w'"),
                what == What::kRetry ? "NO" : "YES");
    }
  }
}

TEST_F(ApplyDdl, AReplacementWhoseOutcomeCannotBeSeenIsAskedForAgain) {
  using What = DdlDecision::What;
  decide(What::kReplace, "REPLACE 1", "UPDATE a SET v = v + 1");
  EXPECT_FALSE(run("ALTER TABLE a DROP COLUMN missing", DdlCrash::kAfterStatement).ok());
  EXPECT_EQ(run("ALTER TABLE a DROP COLUMN missing").error().code(), ErrorCode::DDL_UNDECIDED);
  EXPECT_EQ(server().query_value("SELECT v FROM d.a"), "2") << "not twice";
  decide(What::kReplace, "REPLACE 2", "ALTER TABLE a DROP COLUMN absent");
  EXPECT_EQ(run("ALTER TABLE a DROP COLUMN missing").error().code(), ErrorCode::DDL_FAILED);
  const auto again = run("ALTER TABLE a DROP COLUMN missing");
  EXPECT_EQ(again.error().code(), ErrorCode::DDL_FAILED);
  EXPECT_NE(again.error().cause().find("absent"), std::string::npos) << again.error().to_string();
  decide(What::kDone, "DONE 3");
  EXPECT_EQ(*run("ALTER TABLE a DROP COLUMN missing"), DdlOutcome::kApplied);
}

TEST_F(ApplyDdl, AStatementThatIsNotUnderstoodCanBeSettled) {
  DdlEvent event;
  event.position = "0-1-1#0";
  event.sql = "FROBNICATE a";
  DdlRunner runner(options, mapping);
  EXPECT_FALSE(runner.decided(event, {}, false, *control)->has_value());
  decide(DdlDecision::What::kDone, "DONE 1");
  EXPECT_FALSE(runner.decided(event, mode_of(event), true, *control)->has_value()) << "skip only";
  EXPECT_EQ(runner.decided(event, mode_of(event), false, *control)->value(), DdlOutcome::kApplied);
  EXPECT_EQ(state(), "DONE");
  DdlRunner next(options, mapping);
  ASSERT_TRUE(next.load_journal(*control).ok());
  EXPECT_EQ(next.decided(event, {}, true, *control)->value(), DdlOutcome::kApplied) << "the journal remembers";
}

}  // namespace
}  // namespace sluice::database
