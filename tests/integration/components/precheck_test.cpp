#include "agents/components/precheck/precheck.hpp"

#include <gtest/gtest.h>

#include "agents/components/precheck/grants.hpp"
#include "core/net/convert.hpp"
#include "sinks/database/bookkeeping.hpp"
#include "tests/support/fake_component.hpp"
#include "tests/support/mariadb.hpp"

namespace sluice::agents {
namespace {

using testing::FakeComponent;
using testing::MariaDbServer;

class Precheck : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    source_ = std::make_unique<MariaDbServer>();
    target_ = std::make_unique<MariaDbServer>(testing::MariaDbOptions{2, false, {"--local-infile=1"}});
    for (MariaDbServer* server : {source_.get(), target_.get()})
      server->sql("CREATE USER poor@'%' IDENTIFIED BY 'secret-pw'");
  }
  static void TearDownTestSuite() {
    source_.reset();
    target_.reset();
  }
  void SetUp() override {
    for (MariaDbServer* server : {source_.get(), target_.get()}) {
      for (const char* database : {"a", "b", "c", "sluice"})
        server->sql(std::string("DROP DATABASE IF EXISTS ") + database);
      server->sql("REVOKE ALL PRIVILEGES, GRANT OPTION FROM poor@'%'");
    }
    source_->sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY)");
    spec_.set_project_id("np_test");
    spec_.set_component_id("np_test.precheck");
    spec_.set_epoch(1);
    *spec_.mutable_source() = net::to_proto(source_->endpoint());
    *spec_.mutable_target() = net::to_proto(target_->endpoint());
    spec_.set_meta_database("sluice");
    spec_.add_includes("a.*");
    spec_.add_renames("a.*=b.*");
    set_steps({"STRUCT_TRANSFER", "FULL_TRANSFER", "INCR_TRANSFER", "FULL_VERIFIER"});
  }
  void set_steps(const std::vector<std::string>& steps) { spec_.mutable_steps()->Assign(steps.begin(), steps.end()); }

  Status run() {
    FakeComponent component(spec_);
    Status status = run_precheck(component);
    status_ = component.status();
    return status;
  }
  std::string code() {
    Status status = run();
    return status.ok() ? "OK" : std::string(status.error().id());
  }
  const cluster::v1::CheckResult& check(const std::string& name) {
    for (const auto& result : status_.checks())
      if (result.name() == name) return result;
    ADD_FAILURE() << "no check " << name << "\n" << status_.DebugString();
    static cluster::v1::CheckResult none;
    return none;
  }
  std::string level(const std::string& name) { return check(name).level(); }
  // Sets a global variable of a server for the life of the object.
  struct Setting {
    Setting(MariaDbServer& s, std::string n, const std::string& value) : server(s), name(std::move(n)) {
      before = server.query_value("SELECT @@global." + name);
      server.sql("SET GLOBAL " + name + " = " + value);
    }
    ~Setting() {
      bool number = before.find_first_not_of("0123456789") == std::string::npos;
      server.sql("SET GLOBAL " + name + " = " + (number ? before : "'" + before + "'"));
    }
    MariaDbServer& server;
    std::string name, before;
  };

  static std::unique_ptr<MariaDbServer> source_, target_;
  cluster::v1::ComponentSpec spec_;
  cluster::v1::ComponentStatus status_;
};
std::unique_ptr<MariaDbServer> Precheck::source_, Precheck::target_;

TEST_F(Precheck, PassesWhenAllIsWell) {
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  EXPECT_GE(status_.checks_size(), 31);
  for (const auto& result : status_.checks()) EXPECT_EQ(result.level(), "PASSED") << result.DebugString();
}

TEST_F(Precheck, TellsWhoCannotBeReached) {
  spec_.mutable_source()->set_port(1);
  EXPECT_EQ(code(), "CONNECT_FAILED");
  EXPECT_EQ(level("SOURCE_CONNECTIVITY"), "FAILED");
  EXPECT_EQ(level("TARGET_CONNECTIVITY"), "PASSED");
  EXPECT_EQ(level("BINLOG_FORMAT"), "SKIPPED");
  spec_.mutable_source()->set_host("no-such-host.invalid");
  EXPECT_EQ(code(), "UNKNOWN_HOST");
}

TEST_F(Precheck, TellsWhoIsRefused) {
  spec_.mutable_target()->set_password("wrong-password");
  EXPECT_EQ(code(), "ACCESS_DENIED");
  EXPECT_EQ(level("TARGET_CONNECTIVITY"), "FAILED");
  EXPECT_EQ(status_.DebugString().find("wrong-password"), std::string::npos);
}

TEST_F(Precheck, NamesTheMissingGrantOnTheSource) {
  *spec_.mutable_source() = net::to_proto(source_->endpoint("poor", "secret-pw"));
  source_->sql("GRANT SELECT ON a.t TO poor@'%'");
  EXPECT_EQ(code(), "MISSING_PRIVILEGE");
  std::string cure = check("SOURCE_PRIVILEGES").cure();
  EXPECT_NE(cure.find("GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'poor'@'%';"), std::string::npos) << cure;
  EXPECT_NE(cure.find("GRANT SELECT, SHOW VIEW ON `a`.* TO 'poor'@'%';"), std::string::npos) << cure;
  source_->sql(cure);
  EXPECT_EQ(code(), "OK") << status_.DebugString();
}

TEST_F(Precheck, NamesTheMissingGrantOnTheTarget) {
  *spec_.mutable_target() = net::to_proto(target_->endpoint("poor", "secret-pw"));
  EXPECT_EQ(code(), "MISSING_PRIVILEGE");
  std::string cure = check("TARGET_PRIVILEGES").cure();
  EXPECT_NE(cure.find("ON `b`.* TO 'poor'@'%';"), std::string::npos) << cure;
  EXPECT_NE(cure.find("ON `sluice`.* TO 'poor'@'%';"), std::string::npos) << cure;
  target_->sql(cure);
  EXPECT_EQ(code(), "OK") << status_.DebugString();
}

TEST_F(Precheck, WarnsWhenDatabasesMayBeUnseen) {
  *spec_.mutable_source() = net::to_proto(source_->endpoint("poor", "secret-pw"));
  source_->sql(
      "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO poor@'%'; GRANT SELECT, SHOW VIEW ON a.* TO poor@'%'");
  spec_.clear_includes();
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  EXPECT_EQ(level("SOURCE_PRIVILEGES"), "WARNING");
}

TEST_F(Precheck, RefusesLogsThatAreNotRows) {
  {
    Setting setting(*source_, "binlog_format", "'MIXED'");
    EXPECT_EQ(code(), "BINLOG_FORMAT");
    EXPECT_EQ(level("BINLOG_FORMAT"), "FAILED");
    EXPECT_NE(check("BINLOG_FORMAT").cure().find("SET GLOBAL binlog_format = 'ROW'"), std::string::npos);
  }
  {
    Setting setting(*source_, "binlog_row_image", "'MINIMAL'");
    EXPECT_EQ(code(), "BINLOG_FORMAT");
    EXPECT_EQ(level("BINLOG_ROW_IMAGE"), "FAILED");
  }
  {
    Setting setting(*source_, "binlog_row_metadata", "'NO_LOG'");
    EXPECT_EQ(code(), "OK");
    EXPECT_EQ(level("BINLOG_ROW_METADATA"), "WARNING");
  }
}

TEST_F(Precheck, RefusesASourceWithoutLog) {
  MariaDbServer silent(testing::MariaDbOptions{3, false, {}});
  silent.sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY)");
  *spec_.mutable_source() = net::to_proto(silent.endpoint());
  EXPECT_EQ(code(), "BINLOG_DISABLED");
  EXPECT_EQ(level("LOG_BIN"), "FAILED");
}

TEST_F(Precheck, RefusesALogThatLeavesDatabasesOut) {
  MariaDbServer filtered(testing::MariaDbOptions{4, true, {"--binlog-ignore-db=a"}});
  filtered.sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY)");
  *spec_.mutable_source() = net::to_proto(filtered.endpoint());
  EXPECT_EQ(code(), "BINLOG_FORMAT");
  EXPECT_EQ(level("BINLOG_FILTERS"), "FAILED");
}

TEST_F(Precheck, RefusesAReplicaThatDoesNotLogWhatItReceives) {
  source_->sql("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='x'");
  EXPECT_EQ(code(), "BINLOG_FORMAT");
  EXPECT_EQ(level("LOG_SLAVE_UPDATES"), "FAILED");
  source_->sql("RESET SLAVE ALL");
  EXPECT_EQ(code(), "OK");
}

TEST_F(Precheck, WaitsForPreparedTransactions) {
  source_->sql("XA START 'branch'; INSERT INTO a.t VALUES (7); XA END 'branch'; XA PREPARE 'branch'");
  EXPECT_EQ(code(), "XA_PENDING");
  EXPECT_NE(check("XA_PENDING").cause().find("branch"), std::string::npos);
  source_->sql("XA ROLLBACK 'branch'");
  EXPECT_EQ(code(), "OK");
}

TEST_F(Precheck, RefusesTablesThatExist) {
  target_->sql("CREATE DATABASE b; CREATE TABLE b.t (id int PRIMARY KEY)");
  EXPECT_EQ(code(), "TARGET_NOT_EMPTY");
  EXPECT_NE(check("TARGET_EMPTY").cause().find("b.t"), std::string::npos);
  spec_.set_truncate_target(true);
  EXPECT_EQ(code(), "OK");
  spec_.set_truncate_target(false);
  spec_.set_allow_not_empty(true);
  EXPECT_EQ(code(), "OK");
  // A project that has begun finds its own tables.
  spec_.set_allow_not_empty(false);
  auto connection = mysql::Connection::open(target_->endpoint(), {});
  database::Owner owner{"np_test", "np_test.struct", 1, "sluice"};
  ASSERT_TRUE(database::create_bookkeeping(**connection, "sluice").ok());
  ASSERT_TRUE(database::take_over(target_->endpoint(), owner).ok());
  database::TableRow row;
  row.source = {"a", "t"};
  row.target = {"b", "t"};
  ASSERT_TRUE(database::write_table(**connection, owner, row).ok());
  EXPECT_EQ(code(), "OK") << status_.DebugString();
}

TEST_F(Precheck, NeedsOfTheTargetWhatItsStepsNeed) {
  // Those that write into filled tables want them there.
  for (const char* step : {"FULL_VERIFIER", "INCR_TRANSFER"}) {
    set_steps({step});
    EXPECT_EQ(code(), "NOT_FOUND") << status_.DebugString();
    EXPECT_NE(check("TARGET_TABLES").cause().find("b.t"), std::string::npos);
  }
  target_->sql("CREATE DATABASE b; CREATE TABLE b.t (id int PRIMARY KEY); INSERT INTO b.t VALUES (1)");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  // Without the schema's step empty tables are filled.
  set_steps({"FULL_TRANSFER", "INCR_TRANSFER"});
  EXPECT_EQ(code(), "TARGET_NOT_EMPTY");
  EXPECT_NE(check("TARGET_EMPTY").cause().find("have rows"), std::string::npos);
  target_->sql("DELETE FROM b.t");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  set_steps({"STRUCT_TRANSFER"});
  EXPECT_EQ(code(), "TARGET_NOT_EMPTY");
  EXPECT_NE(check("TARGET_EMPTY").cure().find("leave the step schema out"), std::string::npos);
}

TEST_F(Precheck, RefusesForeignSequencesAndViews) {
  source_->sql("CREATE SEQUENCE a.s; CREATE VIEW a.v AS SELECT 1 AS x");
  target_->sql("CREATE DATABASE b; CREATE SEQUENCE b.s");
  EXPECT_EQ(code(), "TARGET_NOT_EMPTY");
  EXPECT_NE(check("TARGET_EMPTY").cause().find("b.s (SEQUENCE)"), std::string::npos);
  target_->sql("DROP SEQUENCE b.s; CREATE VIEW b.v AS SELECT 2 AS foreign_view; CREATE TABLE b.t (id int PRIMARY KEY)");
  spec_.set_allow_not_empty(true);
  EXPECT_EQ(code(), "TARGET_NOT_EMPTY");
  EXPECT_NE(check("TARGET_EMPTY").cause().find("b.v (VIEW)"), std::string::npos);
  EXPECT_EQ(check("TARGET_EMPTY").cause().find("b.t"), std::string::npos);
  spec_.set_allow_not_empty(false);
  spec_.set_truncate_target(true);
  EXPECT_EQ(code(), "OK") << status_.DebugString();
}

TEST_F(Precheck, RefusesFilledTablesWithoutKeyBesideRowsOfOtherOrigin) {
  source_->sql("CREATE TABLE a.k (v int)");
  target_->sql(
      "CREATE DATABASE b; CREATE TABLE b.k (v int); CREATE TABLE b.t (id int PRIMARY KEY); INSERT INTO b.t "
      "VALUES (1)");
  spec_.set_allow_not_empty(true);
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  target_->sql("INSERT INTO b.k VALUES (1)");
  EXPECT_EQ(code(), "TARGET_NOT_EMPTY");
  EXPECT_NE(check("KEYLESS_NOT_EMPTY").cause().find("b.k"), std::string::npos);
}

TEST_F(Precheck, RefusesPatternsThatMatchNothing) {
  spec_.add_includes("a.nosuch");
  EXPECT_EQ(code(), "NOT_FOUND");
  EXPECT_NE(check("SCOPE").cause().find("a.nosuch"), std::string::npos);
  // A wildcard may wait for tables that are still to come, when they are followed.
  spec_.clear_includes();
  for (const char* pattern : {"a.*", "a.log_*"}) spec_.add_includes(pattern);
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  EXPECT_EQ(level("SCOPE"), "WARNING");
  set_steps({"STRUCT_TRANSFER", "FULL_TRANSFER"});
  EXPECT_EQ(code(), "NOT_FOUND");
  EXPECT_NE(check("SCOPE").cause().find("a.log_*"), std::string::npos);
  // What is excluded is not matched.
  spec_.clear_includes();
  spec_.add_includes("a.t");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  spec_.add_excludes("a.t");
  EXPECT_EQ(code(), "NOT_FOUND");
}

TEST_F(Precheck, RefusesAnEmptyScope) {
  source_->sql("DROP TABLE a.t");
  EXPECT_EQ(code(), "NOT_FOUND");
  EXPECT_NE(check("SCOPE").cause().find("no table"), std::string::npos);
}

TEST_F(Precheck, RefusesDefinitionsThatTheTargetDoesNotTake) {
  source_->sql("CREATE TABLE a.grouped (g int, id int AUTO_INCREMENT, PRIMARY KEY (g, id)) ENGINE=MyISAM");
  EXPECT_EQ(code(), "UNSUPPORTED");
  EXPECT_NE(check("AUTO_INCREMENT_KEYS").cause().find("a.grouped (id)"), std::string::npos);
  source_->sql("ALTER TABLE a.grouped ADD KEY (id)");
  EXPECT_EQ(code(), "OK") << status_.DebugString();

  source_->sql(
      "CREATE TABLE a.c (id int PRIMARY KEY, CONSTRAINT same FOREIGN KEY (id) REFERENCES t (id)); CREATE DATABASE c; "
      "CREATE TABLE c.p (id int PRIMARY KEY); CREATE TABLE c.d (id int PRIMARY KEY, CONSTRAINT Same FOREIGN KEY (id) "
      "REFERENCES p (id))");
  spec_.add_includes("c.*");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  spec_.add_renames("c.*=b.*");
  EXPECT_EQ(code(), "ALREADY_EXISTS");
  EXPECT_NE(check("FOREIGN_KEY_NAMES").cause().find("c.d and a.c"), std::string::npos);
  source_->sql("DROP DATABASE c");
  spec_.mutable_includes()->RemoveLast();
  spec_.mutable_renames()->RemoveLast();

  source_->sql(
      "CREATE TABLE a.booked (id int, s date, e date, PERIOD FOR p (s, e), UNIQUE (id, p WITHOUT OVERLAPS)); "
      "CREATE TABLE a.plain (id int, s date, e date, UNIQUE (id, s, e))");
  EXPECT_EQ(code(), "UNSUPPORTED");
  EXPECT_EQ(check("WITHOUT_OVERLAPS").cause().find("a.plain"), std::string::npos);
  EXPECT_NE(check("WITHOUT_OVERLAPS").cause().find("a.booked"), std::string::npos);
  source_->sql("DROP TABLE a.booked");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
}

TEST_F(Precheck, RefusesStoredColumnsThatDependOnTheTimeZone) {
  source_->sql(
      "CREATE TABLE a.fine (id int PRIMARY KEY, t datetime, d date AS (date(t)) STORED, ts timestamp NULL, v date AS "
      "(date(ts)) VIRTUAL)");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  source_->sql("CREATE TABLE a.day (id int PRIMARY KEY, `T s` timestamp NULL, d date AS (date(`T s`)) STORED)");
  EXPECT_EQ(code(), "UNSUPPORTED");
  EXPECT_NE(check("GENERATED_TIME_ZONE").cause().find("a.day.d"), std::string::npos);
  EXPECT_EQ(check("GENERATED_TIME_ZONE").cause().find("a.fine"), std::string::npos);
  spec_.add_skip_checks("GENERATED_TIME_ZONE");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
}

TEST_F(Precheck, LooksAtEnginesAndKeys) {
  source_->sql(
      "CREATE TABLE a.m (id int PRIMARY KEY) ENGINE=MyISAM; CREATE TABLE a.k (v int); CREATE TABLE a.f (id "
      "double PRIMARY KEY)");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  EXPECT_EQ(level("TABLES_TRANSACTIONAL"), "WARNING");
  EXPECT_NE(check("TABLES_TRANSACTIONAL").cause().find("a.m"), std::string::npos);
  EXPECT_EQ(level("TABLES_WITHOUT_KEY"), "WARNING");
  EXPECT_NE(check("TABLES_WITHOUT_KEY").cause().find("a.k"), std::string::npos);
  EXPECT_EQ(level("KEY_TYPES"), "WARNING");
  source_->sql(
      "CREATE TABLE a.mk (v int) ENGINE=MyISAM; CREATE TABLE a.ak (v int) ENGINE=Aria TRANSACTIONAL=1; CREATE TABLE "
      "a.bh (id int) ENGINE=MRG_MyISAM; CREATE TABLE a.sv "
      "(id int PRIMARY KEY) WITH SYSTEM VERSIONING");
  EXPECT_EQ(code(), "UNSUPPORTED");
  EXPECT_EQ(level("TABLES_TRANSACTIONAL"), "FAILED");
  EXPECT_NE(check("TABLES_TRANSACTIONAL").cause().find("a.ak"), std::string::npos);
  EXPECT_EQ(level("TABLES_SUPPORTED"), "FAILED");
  EXPECT_NE(check("TABLES_SUPPORTED").cause().find("a.bh"), std::string::npos);
  EXPECT_NE(check("TABLES_SUPPORTED").cause().find("a.sv"), std::string::npos);
}

TEST_F(Precheck, NamesTheWholeObject) {
  source_->sql("CREATE TABLE a.`my old table` (id int PRIMARY KEY) WITH SYSTEM VERSIONING");
  const Status status = run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().object(), "a.my old table");
  EXPECT_NE(check("TABLES_SUPPORTED").cause().find("a.my old table (system versioned)"), std::string::npos);
}

TEST_F(Precheck, LooksAtForeignKeysThatLeaveTheProject) {
  source_->sql(
      "CREATE DATABASE c; CREATE TABLE c.p (id int PRIMARY KEY); CREATE TABLE a.plain (id int PRIMARY KEY, "
      "CONSTRAINT f1 FOREIGN KEY (id) REFERENCES c.p (id))");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  EXPECT_EQ(level("FOREIGN_KEYS_CROSS_SCOPE"), "WARNING");
  source_->sql(
      "CREATE TABLE a.cascading (id int PRIMARY KEY, CONSTRAINT f2 FOREIGN KEY (id) REFERENCES c.p (id) ON "
      "DELETE CASCADE)");
  EXPECT_EQ(code(), "UNSUPPORTED");
  EXPECT_NE(check("FOREIGN_KEYS_CROSS_SCOPE").cause().find("a.cascading"), std::string::npos);
  spec_.add_includes("c.*");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
}

TEST_F(Precheck, RefusesTriggersOnTheTargetUnlessSkipped) {
  target_->sql(
      "CREATE DATABASE b; CREATE TABLE b.t (id int PRIMARY KEY); CREATE TRIGGER b.g BEFORE INSERT ON b.t FOR "
      "EACH ROW SET NEW.id = 1");
  spec_.set_allow_not_empty(true);
  EXPECT_EQ(code(), "PRECHECK_FAILED");
  EXPECT_EQ(check("TRIGGERS_ON_TARGET").cure(), "DROP TRIGGER `b`.`g`; ");
  spec_.add_skip_checks("TRIGGERS_ON_TARGET");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  EXPECT_EQ(level("TRIGGERS_ON_TARGET"), "SKIPPED");
}

TEST_F(Precheck, WarnsOfSlowerAndSmallerTargets) {
  Setting infile(*target_, "local_infile", "0"), packet(*target_, "max_allowed_packet", "1048576");
  EXPECT_EQ(code(), "OK");
  EXPECT_EQ(level("TARGET_LOCAL_INFILE"), "WARNING");
  EXPECT_EQ(level("MAX_ALLOWED_PACKET"), "WARNING");
}

TEST_F(Precheck, RefusesAReadOnlyTarget) {
  *spec_.mutable_target() = net::to_proto(target_->endpoint("poor", "secret-pw"));
  target_->sql("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON *.* TO poor@'%'");
  Setting read_only(*target_, "read_only", "1");
  EXPECT_EQ(code(), "SERVER_READ_ONLY");
  EXPECT_EQ(level("TARGET_WRITABLE"), "FAILED");
}

TEST_F(Precheck, RefusesNamesThatBecomeOne) {
  source_->sql("CREATE DATABASE c; CREATE TABLE c.t (id int PRIMARY KEY)");
  spec_.add_includes("c.*");
  spec_.add_renames("c.*=b.*");
  EXPECT_EQ(code(), "INVALID_ARGUMENT");
  EXPECT_EQ(level("LOWER_CASE_TABLE_NAMES"), "FAILED");
}

TEST_F(Precheck, ComparesLetterCaseOfServers) {
  MariaDbServer folding(testing::MariaDbOptions{5, false, {"--lower-case-table-names=1", "--local-infile=1"}});
  *spec_.mutable_target() = net::to_proto(folding.endpoint());
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  EXPECT_EQ(level("LOWER_CASE_TABLE_NAMES"), "WARNING");
  source_->sql("CREATE TABLE a.T (id int PRIMARY KEY)");
  EXPECT_EQ(code(), "INVALID_ARGUMENT");
  source_->sql("DROP TABLE a.T; CREATE TABLE a.`Ärzte` (id int PRIMARY KEY)");
  EXPECT_EQ(code(), "OK") << status_.DebugString();
  source_->sql("CREATE TABLE a.`ärzte` (id int PRIMARY KEY)");
  EXPECT_EQ(code(), "INVALID_ARGUMENT");
  EXPECT_NE(check("LOWER_CASE_TABLE_NAMES").cause().find("a.Ärzte and a.ärzte"), std::string::npos)
      << status_.DebugString();
}

TEST_F(Precheck, RefusesToCopyATableOntoItself) {
  *spec_.mutable_target() = net::to_proto(source_->endpoint());
  EXPECT_EQ(code(), "OK") << status_.DebugString();  // another database on the same server
  EXPECT_EQ(level("SAME_SERVER"), "PASSED");
  spec_.clear_renames();
  spec_.set_truncate_target(true);
  EXPECT_EQ(code(), "INVALID_ARGUMENT");
  EXPECT_EQ(level("SAME_SERVER"), "FAILED");
}

TEST(Grants, AreReadFromTheServersLines) {
  using precheck::Grants;
  Grants g =
      Grants::parse({"GRANT REPLICATION CLIENT, PROCESS ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*X' WITH GRANT "
                     "OPTION",
                     "GRANT ALL PRIVILEGES ON `a\\_b`.* TO `u`@`%`", "GRANT SELECT ON `x%`.* TO `u`@`%`",
                     "GRANT SELECT, INSERT (`c`, `d`), UPDATE ON `db`.`t` TO `u`@`%`", "GRANT `role` TO `u`@`%`",
                     "GRANT EXECUTE ON PROCEDURE `db`.`p` TO `u`@`%`", "GRANT PROXY ON ''@'' TO 'u'@'%'",
                     "GRANT USAGE ON *.* TO `u`@`%`", "nonsense '"});
  EXPECT_TRUE(g.global("BINLOG MONITOR"));
  EXPECT_TRUE(g.global("REPLICATION CLIENT"));
  EXPECT_FALSE(g.global("SELECT"));
  EXPECT_TRUE(g.database("DROP", "a_b"));
  EXPECT_FALSE(g.database("DROP", "axb"));
  EXPECT_TRUE(g.database("SELECT", "xyz"));
  EXPECT_FALSE(g.database("INSERT", "xyz"));
  EXPECT_TRUE(g.table("UPDATE", {"db", "t"}));
  EXPECT_FALSE(g.table("INSERT", {"db", "t"}));
  EXPECT_FALSE(g.table("SELECT", {"db", "u"}));
  EXPECT_TRUE(precheck::matches_grant_pattern("a%c_", "abbcd"));
  EXPECT_FALSE(precheck::matches_grant_pattern("a%c_", "abbc"));
}

}  // namespace
}  // namespace sluice::agents
