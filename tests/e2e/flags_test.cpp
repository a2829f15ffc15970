// Each flag of `sluice migrate` that no other test is about (docs/design.md section 7), one short run each.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "tests/support/mariadb.hpp"
#include "tests/support/migrate_run.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;

class Servers : public ::testing::Test {
 protected:
  void SetUp() override {
    source.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, a VARCHAR(20))");
    source.sql("INSERT INTO app.t VALUES (1, 'a'), (2, 'b')");
  }
  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  MigrateRun run{source, target};
};

struct Case {
  const char* name;
  std::vector<std::string> args;
  const char* before;  // SQL on the target
  int status;
  const char* report_status;
  const char* query;  // on the target, afterwards
  const char* answer;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const char* const kRows = "SELECT GROUP_CONCAT(id, a ORDER BY id) FROM app.t";

const Case kCases[] = {
    {"StepsSchema", {"--steps", "schema"}, "", 0, "COPIED", "SELECT COUNT(*) FROM app.t", "0"},
    {"StepsSchemaFull", {"--steps", "schema,full"}, "", 0, "COPIED", kRows, "1a,2b"},
    {"StepsFullIntoTablesThatAreThere",
     {"--steps", "full"},
     "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, a VARCHAR(20))",
     0,
     "COPIED",
     kRows,
     "1a,2b"},
    {"StepsVerifyAlone",
     {"--steps", "verify"},
     "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, a VARCHAR(20)); INSERT INTO app.t VALUES (1, 'a'), "
     "(2, 'x')",
     3,
     "DIFFERENT",
     kRows,
     "1a,2x"},
    {"StepsWithoutVerify", {"--steps", "schema,full,incr"}, "", 0, "COPIED", kRows, "1a,2b"},
    {"SpeedSteady", {"--speed", "steady"}, "", 0, "VERIFIED", kRows, "1a,2b"},
    {"SpeedFast", {"--speed", "fast"}, "", 0, "VERIFIED", kRows, "1a,2b"},
    {"Memory", {"--memory", "64M"}, "", 0, "VERIFIED", kRows, "1a,2b"},
    {"AllowNotEmptyKeepsWhatIsThere",
     {"--allow-not-empty", "--steps", "schema,full"},
     "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, a VARCHAR(20)); INSERT INTO app.t VALUES (9, 'own')",
     0,
     "COPIED",
     kRows,
     "1a,2b,9own"},
    {"AllowNotEmptyWithoutACopy",
     {"--allow-not-empty", "--steps", "schema,incr"},
     "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, a VARCHAR(20)); INSERT INTO app.t VALUES (9, 'own')",
     0,
     "COPIED",
     kRows,
     "9own"},
    {"TruncateTarget",
     {"--truncate-target"},
     "CREATE DATABASE app; CREATE TABLE app.t (z INT); INSERT INTO app.t VALUES (9)",
     0,
     "VERIFIED",
     kRows,
     "1a,2b"},
    {"NotEmptyIsRefused",
     {},
     "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, a VARCHAR(20)); INSERT INTO app.t VALUES (9, 'own')",
     4,
     "FAILED",
     kRows,
     "9own"},
    {"MetaDatabase", {"--meta-database", "books"}, "", 0, "VERIFIED", "SELECT COUNT(*) FROM books.table_state", "1"},
};

class Flags : public Servers, public ::testing::WithParamInterface<Case> {};

TEST_P(Flags, DoWhatTheySay) {
  const Case& c = GetParam();
  if (*c.before) target.sql(c.before);
  std::vector<std::string> args{"--include", "app.*"};
  args.insert(args.end(), c.args.begin(), c.args.end());
  run.start(args);
  EXPECT_EQ(run.wait(minutes(3)), c.status) << run.output() << run.logs();
  EXPECT_EQ(run.report_value("status"), c.report_status) << run.report();
  EXPECT_EQ(target.query_value(c.query), c.answer);
}

INSTANTIATE_TEST_SUITE_P(Migrate, Flags, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

// SOURCE and TARGET with a database each: one schema becomes another, passwords lie in files.
class Addresses : public Servers {
 protected:
  std::string address(const MariaDbServer& server, const std::string& database, const std::string& options) const {
    return std::string("mysql://") + MariaDbServer::kUser + "@127.0.0.1:" + std::to_string(server.port()) + "/" +
           database + "?password-file=" + folder.file("password") + options;
  }
  int migrate(const std::string& from, const std::string& to) {
    std::ofstream(folder.file("password")) << MariaDbServer::kPassword << "\n";
    return run_program(std::getenv("SLUICE_BIN"), {"migrate", from, to, "--work-dir", folder.file("work")}, &output);
  }
  TempDir folder{"sluice-addresses"};
  std::string output;
};

TEST_F(Addresses, NameADatabaseAndAPasswordFile) {
  source.sql("CREATE DATABASE other; CREATE TABLE other.x (id INT PRIMARY KEY)");
  EXPECT_EQ(migrate(address(source, "app", "&ssl-mode=disabled"), address(target, "moved", "")), 0) << output;
  EXPECT_EQ(target.query_value("SELECT GROUP_CONCAT(id, a ORDER BY id) FROM moved.t"), "1a,2b");
  EXPECT_EQ(target.query_value("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name IN ('app','other')"),
            "0");
}

TEST_F(Addresses, TlsThatTheServerDoesNotOfferIsAnError) {
  EXPECT_EQ(migrate(address(source, "app", "&ssl-mode=required"), address(target, "moved", "")), 4);
  EXPECT_NE(output.find("TLS_FAILED"), std::string::npos) << output;
}

TEST_F(Addresses, AMissingPasswordFileIsAnErrorOfUsage) {
  EXPECT_EQ(migrate(address(source, "app", ".not"), address(target, "moved", "")), 2);
  EXPECT_NE(output.find("password-file cannot be read"), std::string::npos) << output;
}

// What a foreign writer's row and a definition meet under each policy, strictly followed.
struct Policy {
  const char* name;
  std::vector<std::string> args;
  const char* on_source;
  const char* on_target;
  const char* query;
  const char* answer;
};

void PrintTo(const Policy& p, std::ostream* out) { *out << p.name; }

const Policy kPolicies[] = {
    {"OnConflictOverwrite",
     {"--on-conflict", "overwrite"},
     "INSERT INTO app.t VALUES (5, 'theirs'), (6, 'more')",
     "INSERT INTO app.t VALUES (5, 'ours')",
     "SELECT a FROM app.t WHERE id = 5",
     "theirs"},
    {"OnConflictSkip",
     {"--on-conflict", "skip"},
     "INSERT INTO app.t VALUES (5, 'theirs'), (6, 'more')",
     "INSERT INTO app.t VALUES (5, 'ours')",
     "SELECT a FROM app.t WHERE id = 5",
     "ours"},
    {"OnDdlApply",
     {"--on-ddl", "apply"},
     "ALTER TABLE app.t ADD c INT DEFAULT 4; INSERT INTO app.t (id) VALUES (6)",
     "",
     "SELECT c FROM app.t WHERE id = 6",
     "4"},
    {"OnDdlSkip",
     {"--on-ddl", "skip"},
     "CREATE INDEX i ON app.t (a); INSERT INTO app.t (id) VALUES (6)",
     "",
     "SELECT COUNT(*) FROM information_schema.statistics WHERE index_name = 'i'",
     "0"},
};

class Policies : public Servers, public ::testing::WithParamInterface<Policy> {};

TEST_P(Policies, AreFollowed) {
  const Policy& p = GetParam();
  std::vector<std::string> args{"--include", "app.*", "--follow", "--steps", "schema,full,incr"};
  args.insert(args.end(), p.args.begin(), p.args.end());
  run.start(args);
  ASSERT_TRUE(
      wait_until([&] { return run.output().find("\"status\":\"MONITORING\"") != std::string::npos; }, minutes(2)))
      << run.output() << run.logs();
  if (*p.on_target) target.sql(p.on_target);
  source.sql(p.on_source);
  ASSERT_TRUE(wait_until([&] { return target.query("SELECT 1 FROM app.t WHERE id = 6").size() == 1; }, minutes(1)))
      << run.output() << run.logs();
  run.interrupt();
  EXPECT_EQ(run.wait(minutes(2)), 0) << run.output() << run.logs();
  EXPECT_EQ(target.query_value(p.query), p.answer) << run.logs();
}

INSTANTIATE_TEST_SUITE_P(Migrate, Policies, ::testing::ValuesIn(kPolicies),
                         [](const auto& info) { return std::string(info.param.name); });

// SIGTERM is as good as Ctrl-C: --once ends at once, --follow drains first.
class Terminated : public Servers {};

TEST_F(Terminated, OnceIsInterruptedAndResumes) {
  source.sql("INSERT INTO app.t SELECT seq + 10, 'x' FROM app.seq_1_to_20000");
  run.start({"--include", "app.*", "--throttle-rps", "500"});
  ASSERT_TRUE(wait_until([&] { return run.find("component full_import") > 0; }, minutes(1))) << run.logs();
  run.signal(SIGTERM);
  EXPECT_EQ(run.wait(minutes(1)), 130) << run.logs();
  EXPECT_EQ(run.report_value("status"), "INTERRUPTED");
  EXPECT_TRUE(run.processes().empty());
  run.start({"--resume", "--throttle-rps", "0"});
  EXPECT_EQ(run.wait(minutes(2)), 0) << run.logs();
}

TEST_F(Terminated, FollowDrains) {
  run.start({"--include", "app.*", "--follow"});
  ASSERT_TRUE(
      wait_until([&] { return run.output().find("\"status\":\"MONITORING\"") != std::string::npos; }, minutes(2)))
      << run.logs();
  source.sql("INSERT INTO app.t VALUES (7, 'late')");
  run.signal(SIGTERM);
  EXPECT_EQ(run.wait(minutes(2)), 0) << run.logs();
  EXPECT_EQ(run.report_value("status"), "VERIFIED");
  EXPECT_EQ(target.query_value("SELECT a FROM app.t WHERE id = 7"), "late");
}

}  // namespace
}  // namespace sluice::testing
