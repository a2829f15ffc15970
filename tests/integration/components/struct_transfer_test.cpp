#include "agents/components/struct_transfer/struct_transfer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <sstream>
#include <thread>

#include "core/net/convert.hpp"
#include "engines/mysql/catalog.hpp"
#include "sinks/database/bookkeeping.hpp"
#include "tests/support/fake_component.hpp"
#include "tests/support/mariadb.hpp"

namespace sluice::agents {
namespace {

using testing::FakeComponent;
using testing::MariaDbServer;

class StructTransfer : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    source_ = std::make_unique<MariaDbServer>();
    target_ = std::make_unique<MariaDbServer>();
  }
  static void TearDownTestSuite() {
    source_.reset();
    target_.reset();
  }
  void SetUp() override {
    for (MariaDbServer* server : {source_.get(), target_.get()})
      for (const char* database : {"a", "b", "c", "A", "B", "sluice"})
        server->sql(std::string("DROP DATABASE IF EXISTS ") + database);
    epoch_ = 0;
  }

  cluster::v1::ComponentSpec spec(cluster::v1::StructPhase phase) {
    cluster::v1::ComponentSpec spec;
    spec.set_project_id("np_test");
    spec.set_component_id("np_test.struct");
    spec.set_kind(cluster::v1::STRUCT_TRANSFER);
    spec.set_epoch(++epoch_);
    *spec.mutable_source() = net::to_proto(source_->endpoint());
    *spec.mutable_target() = net::to_proto(target_->endpoint());
    spec.set_meta_database("sluice");
    spec.add_includes("a.*");
    spec.add_renames("a.*=b.*");
    spec.set_struct_phase(phase);
    return spec;
  }
  Status run(const cluster::v1::ComponentSpec& s) {
    FakeComponent component(s);
    Status status = run_struct_transfer(component);
    status_ = component.status();
    return status;
  }
  Status run(cluster::v1::StructPhase phase) { return run(spec(phase)); }
  std::string code(const Status& status) { return status.ok() ? "OK" : std::string(status.error().id()); }
  std::string create_text(MariaDbServer& server, const std::string& table) {
    return server.query("SHOW CREATE TABLE " + table)[0][1].value_or("");
  }
  std::vector<database::TableRow> rows() {
    auto connection = mysql::Connection::open(target_->endpoint(), {});
    return database::read_tables(**connection, {"np_test", "np_test.struct", epoch_, "sluice"}).value();
  }

  static std::unique_ptr<MariaDbServer> source_, target_;
  uint64_t epoch_ = 0;
  cluster::v1::ComponentStatus status_;
};
std::unique_ptr<MariaDbServer> StructTransfer::source_, StructTransfer::target_;

constexpr const char* kSchema = R"(
  CREATE DATABASE a CHARACTER SET latin1 COLLATE latin1_german1_ci;
  CREATE TABLE a.parent (id int PRIMARY KEY AUTO_INCREMENT, name varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    UNIQUE KEY u (name), KEY k (name, id)) ENGINE=InnoDB AUTO_INCREMENT=100 COMMENT='it''s a \\ test';
  CREATE TABLE a.child (id int PRIMARY KEY, p int, q int, g int GENERATED ALWAYS AS (q + 1) STORED,
    t timestamp NOT NULL DEFAULT '2020-01-02 03:04:05', e enum('ä','b'), z datetime DEFAULT '0000-00-00',
    CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE SET NULL, CHECK (q > 0));
  CREATE TABLE a.self (id int PRIMARY KEY, up int, CONSTRAINT fs FOREIGN KEY (up) REFERENCES self (id));
  CREATE TABLE a.old (id int, v text, FULLTEXT KEY f (v)) ENGINE=MyISAM ROW_FORMAT=FIXED;
  CREATE TABLE a.parts (id int PRIMARY KEY) PARTITION BY RANGE (id)
    (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
  CREATE TABLE a.`we``ird` (`a b` int, `select` int);
  CREATE SEQUENCE a.seq START WITH 5;
  CREATE TABLE a.uses_seq (id int PRIMARY KEY DEFAULT nextval(a.seq));
  CREATE VIEW a.v2 AS SELECT a.parent.name FROM a.parent;
  CREATE VIEW a.v1 AS SELECT * FROM a.v2 WHERE name <> 'x';
  CREATE TRIGGER a.g BEFORE INSERT ON a.parent FOR EACH ROW SET NEW.name = 'triggered';
)";

TEST_F(StructTransfer, CreatesTablesThenKeysViewsAndCounters) {
  source_->sql(kSchema);
  source_->sql("SELECT nextval(a.seq)");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  EXPECT_EQ(rows().size(), 7u);
  EXPECT_EQ(target_->query_value("SELECT COUNT(*) FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA='b' AND "
                                 "REFERENCED_TABLE_NAME IS NOT NULL"),
            "0");
  EXPECT_EQ(target_->query_value("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='b'"), "0");
  EXPECT_EQ(
      target_->query_value("SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='b'"),
      "latin1_german1_ci");
  EXPECT_NE(create_text(*target_, "b.old").find("ENGINE=InnoDB"), std::string::npos);
  EXPECT_NE(create_text(*target_, "b.old").find("FULLTEXT"), std::string::npos);
  EXPECT_EQ(create_text(*target_, "b.parent"), create_text(*source_, "a.parent"));
  EXPECT_EQ(create_text(*target_, "b.parts"), create_text(*source_, "a.parts"));
  EXPECT_NE(create_text(*target_, "b.uses_seq").find("`b`.`seq`"), std::string::npos);

  source_->sql("INSERT INTO a.parent (id) VALUES (500)");
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  EXPECT_EQ(create_text(*target_, "b.child"), create_text(*source_, "a.child"));
  EXPECT_EQ(create_text(*target_, "b.self"), create_text(*source_, "a.self"));
  EXPECT_EQ(target_->query_value("SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA='b' AND "
                                 "TABLE_NAME='parent'"),
            "501");
  EXPECT_EQ(target_->query_value("SELECT COUNT(*) FROM b.v1"), "0");
  EXPECT_GE(std::stoll(target_->query_value("SELECT nextval(b.seq)")), 6);
  EXPECT_EQ(status_.warnings_size(), 0) << status_.DebugString();
  // Once more: nothing is left to do, nothing fails.
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  EXPECT_EQ(create_text(*target_, "b.child"), create_text(*source_, "a.child"));
}

// What the log does not tell: values that were used up and rolled back, sequences in defaults and in other sessions.
TEST_F(StructTransfer, CarriesCountersOnceMoreAfterTheDrain) {
  source_->sql(
      "CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY AUTO_INCREMENT); CREATE SEQUENCE a.q; "
      "CREATE SEQUENCE a.down START WITH -1 INCREMENT BY -1 MINVALUE -100 MAXVALUE -1; "
      "CREATE SEQUENCE a.round MINVALUE 1 MAXVALUE 10 CACHE 2 CYCLE; CREATE SEQUENCE a.ends MAXVALUE 2 NOCACHE; "
      "INSERT INTO a.t VALUES (4)");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  source_->sql(
      "BEGIN; INSERT INTO a.t VALUES (50000); ROLLBACK; SELECT nextval(a.q); SELECT nextval(a.down); "
      "SELECT nextval(a.ends); SELECT nextval(a.ends)");
  for (int i = 0; i < 13; ++i) source_->sql("SELECT nextval(a.round)");
  source_->sql("CREATE SEQUENCE a.late START WITH 7; SELECT nextval(a.late); CREATE SEQUENCE a.untold");
  target_->sql("CREATE SEQUENCE b.late START WITH 7");
  ASSERT_EQ(code(run(cluster::v1::COUNTERS)), "OK");
  EXPECT_EQ(target_->query_value("SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA='b' AND "
                                 "TABLE_NAME='t'"),
            "50001");
  for (const char* name : {"q", "down", "round", "late"})
    EXPECT_EQ(
        target_->query_value(std::string("SELECT CONCAT(next_not_cached_value, '/', cycle_count) FROM b.") + name),
        source_->query_value(std::string("SELECT CONCAT(next_not_cached_value, '/', cycle_count) FROM a.") + name))
        << name;
  auto connection = mysql::Connection::open(target_->endpoint(), {});
  EXPECT_FALSE((*connection)->query("SELECT nextval(b.ends)").ok()) << "it has run out on the source";
  ASSERT_EQ(status_.warnings_size(), 1) << status_.DebugString();
  EXPECT_NE(status_.warnings(0).find("b.untold"), std::string::npos);
  // Never back: the target may be in use already.
  target_->sql("SELECT SETVAL(b.q, 9999999)");
  ASSERT_EQ(code(run(cluster::v1::COUNTERS)), "OK");
  EXPECT_EQ(target_->query_value("SELECT next_not_cached_value FROM b.q"), "10000000");
}

TEST_F(StructTransfer, ReleasesTheBookkeeping) {
  source_->sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY)");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  auto s = spec(cluster::v1::RELEASE);
  s.mutable_source()->set_port(1);  // it may be gone
  ASSERT_EQ(code(run(s)), "OK");
  EXPECT_TRUE(target_->query("SHOW DATABASES LIKE 'sluice'").empty());
  EXPECT_EQ(target_->query("SHOW TABLES FROM b").size(), 1u);
  s.set_epoch(++epoch_);
  ASSERT_EQ(code(run(s)), "OK");
}

TEST_F(StructTransfer, MakesTablesOfAnyEngineTransactional) {
  source_->sql(
      "CREATE DATABASE a; CREATE TABLE a.aria (id int PRIMARY KEY, KEY (id) USING BTREE) ENGINE=Aria "
      "TRANSACTIONAL=1 ROW_FORMAT=PAGE; CREATE TABLE a.memory (id int, KEY (id) USING HASH) ENGINE=MEMORY; "
      "CREATE TABLE a.csv (id int NOT NULL, v varchar(10) NOT NULL) ENGINE=CSV; CREATE TABLE a.myisam (id int, "
      "CONSTRAINT f FOREIGN KEY (id) REFERENCES aria (id)) ENGINE=MyISAM ROW_FORMAT=FIXED DELAY_KEY_WRITE=1 "
      "MAX_ROWS=5; CREATE TABLE a.compressed (id int PRIMARY KEY) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  EXPECT_EQ(target_->query_value("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='b' AND "
                                 "ENGINE='InnoDB'"),
            "5");
  EXPECT_EQ(create_text(*target_, "b.compressed"), create_text(*source_, "a.compressed"));
}

TEST_F(StructTransfer, RefusesWhatExists) {
  source_->sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY); CREATE TABLE a.u (id int PRIMARY KEY)");
  target_->sql("CREATE DATABASE b; CREATE TABLE b.t (id int PRIMARY KEY)");
  Status refused = run(cluster::v1::TABLES);
  ASSERT_EQ(code(refused), "TARGET_NOT_EMPTY");
  EXPECT_NE(refused.error().cause().find("b.t exists already"), std::string::npos) << refused.error().cause();
  EXPECT_TRUE(target_->query("SHOW TABLES FROM b LIKE 'u'").empty());
  target_->sql("INSERT INTO b.t VALUES (1)");
  refused = run(cluster::v1::TABLES);
  EXPECT_NE(refused.error().cause().find("b.t has rows"), std::string::npos) << refused.error().cause();
}

// The precheck may have been skipped, or somebody was quicker.
TEST_F(StructTransfer, TakesOverNoForeignSequenceAndNoView) {
  source_->sql("CREATE DATABASE a; CREATE SEQUENCE a.s START WITH 5; CREATE VIEW a.v AS SELECT 1 AS x");
  target_->sql("CREATE DATABASE b; CREATE SEQUENCE b.s START WITH 6");
  Status refused = run(cluster::v1::TABLES);
  ASSERT_EQ(code(refused), "TARGET_NOT_EMPTY");
  EXPECT_EQ(refused.error().object(), "b.s");
  target_->sql("DROP SEQUENCE b.s; CREATE VIEW b.v AS SELECT 2 AS theirs");
  for (bool allowed : {false, true}) {
    auto s = spec(cluster::v1::TABLES);
    s.set_allow_not_empty(allowed);
    refused = run(s);
    ASSERT_EQ(code(refused), "TARGET_NOT_EMPTY");
    EXPECT_EQ(refused.error().object(), "b.v");
  }
  // One of an earlier run of this phase is the source's.
  target_->sql("DROP VIEW b.v");
  for (int i = 0; i < 2; ++i) ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  target_->sql("DROP SEQUENCE b.s; CREATE TABLE b.s (id int); CREATE VIEW b.v AS SELECT 2 AS theirs");
  auto s = spec(cluster::v1::TABLES);
  s.set_truncate_target(true);
  ASSERT_EQ(code(run(s)), "OK");
  s.set_struct_phase(cluster::v1::FOREIGN_KEYS);
  s.set_epoch(++epoch_);
  ASSERT_EQ(code(run(s)), "OK");
  EXPECT_EQ(target_->query_value("SELECT nextval(b.s)"), "5");
  EXPECT_EQ(target_->query_value("SELECT x FROM b.v"), "1");
}

TEST_F(StructTransfer, TruncatesWhenTold) {
  source_->sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY, v int)");
  target_->sql("CREATE DATABASE b; CREATE TABLE b.t (x int); INSERT INTO b.t VALUES (1)");
  auto s = spec(cluster::v1::TABLES);
  s.set_truncate_target(true);
  ASSERT_EQ(code(run(s)), "OK");
  EXPECT_EQ(create_text(*target_, "b.t"), create_text(*source_, "a.t"));
}

TEST_F(StructTransfer, KeepsRowsWhenTold) {
  source_->sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY, v varchar(10))");
  target_->sql(
      "CREATE DATABASE b CHARACTER SET utf8mb4; CREATE TABLE b.t (id int PRIMARY KEY, v varchar(20), more int);"
      "INSERT INTO b.t VALUES (1, 'x', 2)");
  auto s = spec(cluster::v1::TABLES);
  s.set_allow_not_empty(true);
  ASSERT_EQ(code(run(s)), "OK");
  EXPECT_EQ(target_->query_value("SELECT COUNT(*) FROM b.t"), "1");
  target_->sql("ALTER TABLE b.t MODIFY v varchar(5)");
  s.set_epoch(++epoch_);
  Status refused = run(s);
  ASSERT_EQ(code(refused), "TARGET_NOT_EMPTY");
  EXPECT_NE(refused.error().cause().find("column v"), std::string::npos) << refused.error().cause();
}

// The process died after it had recorded the table, and before or after it had created it.
TEST_F(StructTransfer, FinishesWhatAnEarlierRunBegan) {
  source_->sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY); CREATE TABLE a.u (id int PRIMARY KEY)");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  target_->sql("DROP TABLE b.t");
  source_->sql("ALTER TABLE a.u ADD v int");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  EXPECT_EQ(create_text(*target_, "b.t"), create_text(*source_, "a.t"));
  EXPECT_EQ(create_text(*target_, "b.u"), create_text(*source_, "a.u"));
  // A table that has its rows is left alone, whatever the source looks like now.
  auto connection = mysql::Connection::open(target_->endpoint(), {});
  for (database::TableRow row : rows()) {
    row.state = database::TableState::kCopied;
    ASSERT_TRUE(database::write_table(**connection, {"np_test", "np_test.struct", epoch_, "sluice"}, row).ok());
  }
  target_->sql("INSERT INTO b.u VALUES (1, 2)");
  source_->sql("ALTER TABLE a.u ADD w int");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  EXPECT_EQ(target_->query_value("SELECT COUNT(*) FROM b.u"), "1");
}

// Lets a lease run out at the n-th look at it: the component ends there as if it had been killed.
class CountingClock final : public Clock {
 public:
  explicit CountingClock(int looks) : left_(looks) {}
  BootTime boot_time() const override { return BootTime(left_-- > 0 ? 1 : 1000); }
  int64_t unix_time_us() const override { return 0; }

 private:
  mutable std::atomic<int> left_;
};

TEST_F(StructTransfer, DyingBeforeAnyStatementDoesNoHarm) {
  const char* schema = R"(
    CREATE DATABASE a; CREATE SEQUENCE a.s; CREATE TABLE a.p (id int PRIMARY KEY AUTO_INCREMENT) AUTO_INCREMENT=9;
    CREATE TABLE a.c (id int PRIMARY KEY, p int, CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id));
    CREATE VIEW a.v AS SELECT * FROM a.p;)";
  int died = 0;
  for (auto phase : {cluster::v1::TABLES, cluster::v1::FOREIGN_KEYS}) {
    for (int looks = 1;; ++looks) {
      SetUp();
      source_->sql(schema);
      target_->sql("CREATE DATABASE b; CREATE TABLE b.c (old int); INSERT INTO b.c VALUES (1)");
      auto s = spec(cluster::v1::TABLES);
      s.set_truncate_target(true);
      if (phase != cluster::v1::TABLES) {
        ASSERT_EQ(code(run(s)), "OK");
        s.set_epoch(++epoch_);
        s.set_struct_phase(phase);
      }
      CountingClock clock(looks);
      auto lease = std::make_shared<Lease>(clock);
      lease->extend(BootTime(500));
      FakeComponent dying(s, lease);
      Status ended = run_struct_transfer(dying);
      if (!ended.ok()) ASSERT_EQ(code(ended), "LEASE_EXPIRED");
      for (auto again : {cluster::v1::TABLES, cluster::v1::FOREIGN_KEYS}) {
        s.set_epoch(++epoch_);
        s.set_struct_phase(again);
        ASSERT_EQ(code(run(s)), "OK") << looks;
      }
      ASSERT_EQ(create_text(*target_, "b.p"), create_text(*source_, "a.p")) << looks;
      ASSERT_EQ(create_text(*target_, "b.c"), create_text(*source_, "a.c")) << looks;
      ASSERT_EQ(target_->query_value("SELECT COUNT(*) FROM b.v"), "0") << looks;
      if (ended.ok()) break;
      ++died;
    }
  }
  EXPECT_GT(died, 15);
}

// The target's other tables have their keys, changed by whatever the log has brought since: they are not to be touched.
TEST_F(StructTransfer, ALaterPhaseAddsKeysOnlyToTablesThatWereCopiedAgain) {
  source_->sql(
      "CREATE DATABASE a; CREATE TABLE a.p (id int PRIMARY KEY); CREATE TABLE a.c (id int PRIMARY KEY, p int, "
      "CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE); CREATE TABLE a.d (id int PRIMARY KEY, p int, "
      "CONSTRAINT g FOREIGN KEY (p) REFERENCES p (id)); CREATE TABLE a.o (id int PRIMARY KEY, p int, CONSTRAINT h "
      "FOREIGN KEY (p) REFERENCES p (id))");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  // The log: a key is dropped, the column of another one gets a new name.
  for (auto [server, database] : {std::pair(source_.get(), "a"), std::pair(target_.get(), "b")})
    server->sql(std::string("USE ") + database + "; ALTER TABLE c DROP FOREIGN KEY f; ALTER TABLE d CHANGE p q int");
  // A new copy.
  target_->sql(
      "SET foreign_key_checks=0; DROP TABLE b.o; CREATE TABLE b.o (id int PRIMARY KEY, p int, KEY h (p)); "
      "SET foreign_key_checks=1");
  auto s = spec(cluster::v1::FOREIGN_KEYS);
  *s.add_tables() = net::to_proto(TableName{"a", "o"});
  ASSERT_EQ(code(run(s)), "OK") << status_.DebugString();
  for (const char* table : {"c", "d", "o"})
    EXPECT_EQ(create_text(*target_, std::string("b.") + table), create_text(*source_, std::string("a.") + table));
}

TEST_F(StructTransfer, KeysToTablesThatDoNotExistAreCarriedOverAsTheyAre) {
  source_->sql(
      "CREATE DATABASE a; SET foreign_key_checks=0; CREATE TABLE a.c (id int PRIMARY KEY, CONSTRAINT f FOREIGN KEY "
      "(id) REFERENCES gone (id) ON DELETE CASCADE); SET foreign_key_checks=1");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  EXPECT_EQ(create_text(*target_, "b.c"), create_text(*source_, "a.c"));
  EXPECT_EQ(status_.warnings_size(), 0) << status_.DebugString();
}

// TABLE_SCHEMA IN ('a', 'A') answers for one of them only.
TEST_F(StructTransfer, DatabasesMayDifferByCaseOnly) {
  for (const char* database : {"a", "A"})
    source_->sql(
        std::string("CREATE DATABASE ") + database + "; USE " + database +
        "; CREATE TABLE p (id int PRIMARY KEY AUTO_INCREMENT) AUTO_INCREMENT=7; CREATE TABLE c (id int PRIMARY "
        "KEY, p int, CONSTRAINT f_" +
        (*database == 'a' ? "one" : "two") +
        " FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE); CREATE SEQUENCE s");
  for (auto phase : {cluster::v1::TABLES, cluster::v1::FOREIGN_KEYS}) {
    auto s = spec(phase);
    s.add_includes("A.*");
    s.add_renames("A.*=B.*");
    if (phase == cluster::v1::FOREIGN_KEYS)
      for (const char* database : {"a", "A"})
        source_->sql(std::string("USE ") + database + "; INSERT INTO p VALUES (50); SELECT SETVAL(s, 5000)");
    ASSERT_EQ(code(run(s)), "OK");
  }
  for (auto [from, to] : {std::pair("a", "b"), std::pair("A", "B")}) {
    for (const char* table : {".c", ".p"})
      EXPECT_EQ(create_text(*target_, std::string(to) + table), create_text(*source_, std::string(from) + table));
    EXPECT_EQ(target_->query_value(std::string("SELECT next_not_cached_value FROM ") + to + ".s"),
              source_->query_value(std::string("SELECT next_not_cached_value FROM ") + from + ".s"));
  }
  EXPECT_EQ(status_.warnings_size(), 0) << status_.DebugString();
}

constexpr const char* kIndexed = R"(
  CREATE DATABASE a;
  CREATE TABLE a.p (id int PRIMARY KEY, code int, n int, UNIQUE KEY u (code, n), KEY by_code (code));
  CREATE TABLE a.t (id int, n int NOT NULL AUTO_INCREMENT, v varchar(300), w varchar(300), g int AS (id + 1) VIRTUAL,
    pos point NOT NULL, p int, PRIMARY KEY (id), UNIQUE KEY u (v(10)), KEY counter (n), KEY k (v(20) DESC, w),
    KEY g (g), KEY hidden (w) COMMENT 'it''s; here' IGNORED, FULLTEXT KEY f1 (v), FULLTEXT KEY f2 (w),
    SPATIAL KEY s (pos), KEY fk (p),
    CONSTRAINT to_p FOREIGN KEY (p) REFERENCES p (code) ON DELETE SET NULL);
  CREATE TABLE a.plain (a int, b int, KEY kb (b)) PARTITION BY HASH (a) PARTITIONS 3;
)";

// Lines of a definition without its counter: keys that were added later stand behind the others.
std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  std::stringstream stream(std::regex_replace(text, std::regex(" AUTO_INCREMENT=[0-9]+"), ""));
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty() && line.back() == ',') line.pop_back();
    result.push_back(line);
  }
  std::sort(result.begin(), result.end());
  return result;
}

TEST_F(StructTransfer, AddsDeferredIndexesToFilledTables) {
  source_->sql(kIndexed);
  auto s = spec(cluster::v1::TABLES);
  s.set_defer_indexes(true);
  ASSERT_EQ(code(run(s)), "OK");
  const std::string before = create_text(*target_, "b.t");
  for (const char* kept : {"PRIMARY KEY", "UNIQUE KEY `u`", "KEY `counter`", "FULLTEXT KEY `f1`"})
    EXPECT_NE(before.find(kept), std::string::npos) << before;
  for (const char* later : {"KEY `k`", "KEY `g`", "KEY `hidden`", "KEY `s`", "KEY `fk`"})
    EXPECT_EQ(before.find(later), std::string::npos) << before;
  EXPECT_EQ(create_text(*target_, "b.p").find("by_code"), std::string::npos);
  target_->sql("INSERT INTO b.p VALUES (1, 2, 3); INSERT INTO b.t (id, v, pos, p) VALUES (1, 'x', POINT(1, 2), 2)");
  // What the source has changed since comes through the log.
  source_->sql("CREATE INDEX newer ON a.t (w)");
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(code(run(cluster::v1::INDEXES)), "OK") << status_.DebugString();
    EXPECT_EQ(create_text(*target_, "b.t").find("newer"), std::string::npos);
    EXPECT_EQ(target_->query_value("SELECT COUNT(*) FROM b.t"), "1");
  }
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  source_->sql("DROP INDEX newer ON a.t");
  for (const char* table : {"p", "t", "plain"})
    EXPECT_EQ(lines(create_text(*target_, std::string("b.") + table)),
              lines(create_text(*source_, std::string("a.") + table)));
}

TEST_F(StructTransfer, DyingWhileIndexesAreAddedDoesNoHarm) {
  int died = 0;
  for (int looks = 1;; ++looks) {
    SetUp();
    source_->sql(kIndexed);
    auto s = spec(cluster::v1::TABLES);
    s.set_defer_indexes(true);
    ASSERT_EQ(code(run(s)), "OK");
    s.set_struct_phase(cluster::v1::INDEXES);
    s.set_epoch(++epoch_);
    CountingClock clock(looks);
    auto lease = std::make_shared<Lease>(clock);
    lease->extend(BootTime(500));
    FakeComponent dying(s, lease);
    const Status ended = run_struct_transfer(dying);
    if (!ended.ok()) ASSERT_EQ(code(ended), "LEASE_EXPIRED");
    ASSERT_EQ(code(run(cluster::v1::INDEXES)), "OK") << looks;
    ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK") << looks;
    ASSERT_EQ(lines(create_text(*target_, "b.t")), lines(create_text(*source_, "a.t"))) << looks;
    if (ended.ok()) break;
    ++died;
  }
  EXPECT_GE(died, 3);
}

// A stop does not wait for a statement that may take hours: without the interruption it would fail by its lock's time.
TEST_F(StructTransfer, AStopInterruptsIndexesThatAreBeingAdded) {
  source_->sql(kIndexed);
  auto s = spec(cluster::v1::TABLES);
  s.set_defer_indexes(true);
  ASSERT_EQ(code(run(s)), "OK");
  target_->sql("BEGIN; SELECT * FROM b.plain; SELECT * FROM b.t");  // holds both tables' metadata locks
  FakeComponent component(spec(cluster::v1::INDEXES));
  Status ended;
  std::thread running([&] { ended = run_struct_transfer(component); });
  EXPECT_TRUE(target_->becomes(
      "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%'", "2"));
  component.desire([](cluster::v1::ComponentDesired& desired) { desired.set_stop(true); });
  running.join();
  EXPECT_EQ(code(ended), "OK");
  target_->sql("ROLLBACK");
  EXPECT_EQ(create_text(*target_, "b.plain").find("KEY `kb`"), std::string::npos);
  ASSERT_EQ(code(run(cluster::v1::INDEXES)), "OK");
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  for (const char* table : {"p", "t", "plain"})
    EXPECT_EQ(lines(create_text(*target_, std::string("b.") + table)),
              lines(create_text(*source_, std::string("a.") + table)));
}

// A statement that the client lost, or a hand on the target: said by name, never passed over.
TEST_F(StructTransfer, RefusesIndexesThatAreNotTheSources) {
  source_->sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY, v int, w int, KEY k (v))");
  auto s = spec(cluster::v1::TABLES);
  s.set_defer_indexes(true);
  ASSERT_EQ(code(run(s)), "OK");
  target_->sql("CREATE INDEX k ON b.t (w)");
  Status refused = run(cluster::v1::INDEXES);
  ASSERT_EQ(code(refused), "UNSUPPORTED");
  EXPECT_NE(refused.error().cause().find("index k"), std::string::npos) << refused.error().cause();
}

TEST_F(StructTransfer, RefusesTablesWithoutRowsOfTheirOwn) {
  source_->sql(
      "CREATE DATABASE a; CREATE TABLE a.b (id int PRIMARY KEY); CREATE TABLE a.m (id int PRIMARY KEY) "
      "ENGINE=MRG_MyISAM UNION=()");
  Status refused = run(cluster::v1::TABLES);
  ASSERT_EQ(code(refused), "UNSUPPORTED");
  EXPECT_EQ(refused.error().object(), "a.m");
  EXPECT_TRUE(target_->query("SHOW TABLES FROM b").empty());
}

TEST_F(StructTransfer, DefaultsThatAreNoDatesAreCarried) {
  source_->sql(
      "CREATE DATABASE a; SET SESSION sql_mode='ALLOW_INVALID_DATES'; CREATE TABLE a.t (id int PRIMARY KEY, d date "
      "DEFAULT '2021-02-31', z datetime NOT NULL DEFAULT '0000-00-00'); SET SESSION sql_mode=DEFAULT");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  EXPECT_EQ(target_->query_value("SELECT column_default FROM information_schema.columns WHERE table_schema='b' AND "
                                 "column_name='d'"),
            "'2021-02-31'");
}

TEST_F(StructTransfer, WarnsOfKeysAndViewsThatLeaveTheProject) {
  source_->sql(
      "CREATE DATABASE a; CREATE DATABASE c; CREATE TABLE c.p (id int PRIMARY KEY); CREATE TABLE a.t (id int "
      "PRIMARY KEY, CONSTRAINT f FOREIGN KEY (id) REFERENCES c.p (id)); CREATE VIEW a.v AS SELECT * FROM c.p");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  ASSERT_EQ(status_.warnings_size(), 2) << status_.DebugString();
  EXPECT_NE(status_.warnings(0).find("c.p is not part"), std::string::npos);
  EXPECT_NE(status_.warnings(1).find("view a.v"), std::string::npos);
}

TEST_F(StructTransfer, WarnsOfViewsWhoseDefinerIsMissing) {
  source_->sql("CREATE USER IF NOT EXISTS ghost; CREATE DATABASE a; CREATE DEFINER=ghost VIEW a.v AS SELECT 1 AS x");
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  ASSERT_EQ(code(run(cluster::v1::FOREIGN_KEYS)), "OK");
  ASSERT_EQ(status_.warnings_size(), 1) << status_.DebugString();
  EXPECT_NE(status_.warnings(0).find("definer"), std::string::npos) << status_.warnings(0);
}

TEST_F(StructTransfer, ATargetThatKeepsNamesInLowerCaseTakesThem) {
  MariaDbServer folding({.binlog = false, .args = {"--lower-case-table-names=1"}});
  source_->sql(
      "CREATE DATABASE a; CREATE TABLE a.`Ärzte` (id int PRIMARY KEY, `Ämter` int, KEY k (`Ämter`)); CREATE TABLE "
      "a.Termine (id int PRIMARY KEY, CONSTRAINT f FOREIGN KEY (id) REFERENCES `Ärzte` (id))");
  const auto run_there = [&](cluster::v1::StructPhase phase) {
    auto there = spec(phase);
    there.set_defer_indexes(true);
    *there.mutable_target() = net::to_proto(folding.endpoint());
    return run(there);
  };
  for (const auto phase : {cluster::v1::TABLES, cluster::v1::TABLES, cluster::v1::INDEXES, cluster::v1::FOREIGN_KEYS})
    ASSERT_EQ(code(run_there(phase)), "OK") << cluster::v1::StructPhase_Name(phase);
  EXPECT_EQ(folding.query_value("SELECT GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables "
                                "WHERE table_schema = 'b'"),
            "ärzte,termine");
  EXPECT_NE(create_text(folding, "b.`ärzte`").find("KEY `k` (`Ämter`)"), std::string::npos);
  EXPECT_NE(create_text(folding, "b.termine").find("REFERENCES `ärzte` (`id`)"), std::string::npos);
}

TEST_F(StructTransfer, AnOlderEpochIsRefused) {
  source_->sql("CREATE DATABASE a; CREATE TABLE a.t (id int PRIMARY KEY)");
  auto old = spec(cluster::v1::TABLES);
  ASSERT_EQ(code(run(cluster::v1::TABLES)), "OK");
  EXPECT_EQ(code(run(old)), "STALE_EPOCH");
}

}  // namespace
}  // namespace sluice::agents
