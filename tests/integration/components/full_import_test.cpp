// Full-Import between real servers: equal results, changes in the window, what is refused, stop and resume.
#include <thread>

#include "tests/integration/components/full_import_fixture.hpp"

namespace sluice::agents {
namespace {

TEST_F(FullImport, TablesOfAllKindsAreEqual) {
  both(R"sql(
CREATE TABLE d.types (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT AS (id % 7) VIRTUAL, f FLOAT,
  d DOUBLE, n DECIMAL(20,4), b BIT(64), y YEAR, dt DATE, tm TIME(6), ts TIMESTAMP(6) NULL,
  l VARCHAR(20) CHARACTER SET latin1, t TEXT, bl LONGBLOB, e ENUM('b','a'), s SET('x','y'), j JSON, u UUID);
CREATE TABLE d.composite (a VARCHAR(20) COLLATE utf8mb4_general_ci, b INT, c DATETIME(3), v INT, PRIMARY KEY (a, b, c));
CREATE TABLE d.keyless (a INT, b VARCHAR(30), c FLOAT);
CREATE TABLE d.nullable_unique (a INT UNIQUE, b INT);
CREATE TABLE d.empty (a INT PRIMARY KEY);
CREATE TABLE d.`odd, name;` (`a b` INT PRIMARY KEY, `c,d` VARCHAR(9));
)sql");
  source().sql(R"sql(
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';
INSERT INTO d.types (id, f, d, n, b, y, dt, tm, ts, l, t, bl, e, s, j, u)
  SELECT seq - 1, seq / 3, seq * 1e-300, seq / 7, ~0 - seq, 1901 + seq % 200, '0000-00-00', SEC_TO_TIME(seq) ,
  FROM_UNIXTIME(seq * 1000), CHAR(seq % 256 USING latin1), CONCAT('\t\n\\', seq), UNHEX(SHA2(seq, 512)), 1 + seq % 2,
  seq % 4, JSON_OBJECT('k', seq), UUID() FROM d.seq_1_to_12000;
INSERT INTO d.types (id) VALUES (18446744073709551615);
INSERT INTO d.composite SELECT CONCAT(CHAR(97 + seq % 5), seq % 100), seq, NOW(3), seq FROM d.seq_1_to_8000;
INSERT INTO d.keyless SELECT seq % 5, REPEAT('z', seq % 3), 0.1 FROM d.seq_1_to_3000;
INSERT INTO d.nullable_unique VALUES (NULL, 1), (NULL, 1), (1, 2);
INSERT INTO d.`odd, name;` VALUES (1, ''), (2, NULL);
)sql");
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("COUNT(*)", "table_state", "state = 'COPIED' AND window_start <> '' AND window_end <> ''"), "6");
  EXPECT_EQ(meta("COUNT(*)", "table_state", "keyless = 1 AND window_start = window_end"), "2");
  const auto status = component_->status();
  EXPECT_FALSE(status.full_import().window_end().file().empty());
  EXPECT_EQ(status.rows(), 12001U + 8000 + 3000 + 3 + 2);
  for (const auto& table : status.tables()) EXPECT_TRUE(table.finished()) << table.source();
  // A second run finds everything done.
  spec_.set_epoch(2);
  ASSERT_OK(run());
  EXPECT_EQ(meta("MAX(round)", "table_state"), "1");
  EXPECT_EQ(component_->status().rows(), status.rows());
  EXPECT_EQ(component_->status().full_import().window_end().offset(), status.full_import().window_end().offset());
}

// The value was read at its old row and is read again at its new one: REPLACE. The old row's own event is in the
// window.
TEST_F(FullImport, AUniqueValueThatMovesBetweenChunks) {
  both(kTable);
  fill("t", 40'000);
  spec_.set_throttle_rows_per_second(10'000);
  spec_.set_readers(1);
  const pid_t pid = fork_import();
  ASSERT_TRUE(wait_for_chunks(1));
  source().sql("BEGIN; UPDATE d.t SET u = -1 WHERE id = 1; UPDATE d.t SET u = 1 WHERE id = 40000; COMMIT");
  EXPECT_EQ(wait_for_end(pid), 0);
  EXPECT_EQ(target().query_value("SELECT id FROM d.t WHERE u = 1"), "40000");
  EXPECT_EQ(target().query_value("SELECT COUNT(*) FROM d.t WHERE id = 1"), "0");
  EXPECT_EQ(target().query_value("SELECT COUNT(*) FROM d.t"), "39999");
}

TEST_F(FullImport, AWarningIsAnErrorAndCommitsNothing) {
  both("CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(10))");
  target().sql("ALTER TABLE d.t MODIFY v VARCHAR(3)");
  source().sql("INSERT INTO d.t VALUES (1, 'abc'), (2, 'abcd')");
  const Status status = run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::VALUE_REJECTED) << status.error().to_string();
  EXPECT_EQ(status.error().object(), "d.t");
  EXPECT_EQ(target().query_value("SELECT COUNT(*) FROM d.t"), "0");
  EXPECT_EQ(meta("COUNT(*)", "chunk"), "0");
  // Cured, it goes on.
  target().sql("ALTER TABLE d.t MODIFY v VARCHAR(10)");
  spec_.set_epoch(2);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
}

class ChangedInTheWindow : public FullImport, public ::testing::WithParamInterface<const char*> {};

TEST_P(ChangedInTheWindow, BeginsANewRound) {
  both(kTable);
  fill("t", 40'000);
  // As Struct-Transfer leaves it, so that the table is known to be ours.
  spec_.set_throttle_rows_per_second(15'000);
  const pid_t pid = fork_import();
  ASSERT_TRUE(wait_for_chunks(2));
  source().sql(GetParam());
  const auto position = source().query("SHOW MASTER STATUS");
  EXPECT_EQ(wait_for_end(pid), 0);
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("round", "table_state"), "2");
  const std::string start = meta("window_start", "table_state");
  const std::string offset = start.substr(start.find(':') + 1, start.find(';') - start.find(':') - 1);
  EXPECT_GE(std::stoull(offset), std::stoull(*position[0][1])) << start;
}

INSTANTIATE_TEST_SUITE_P(Ddl, ChangedInTheWindow,
                         ::testing::Values("ALTER TABLE d.t ADD COLUMN n INT NOT NULL DEFAULT 7 AFTER id, DROP INDEX u",
                                           "ALTER TABLE d.t DROP COLUMN x",
                                           "TRUNCATE TABLE d.t; INSERT INTO d.t VALUES (1, 1, 'after')",
                                           "CREATE TABLE d.t2 LIKE d.t; INSERT INTO d.t2 VALUES (5, 5, 'other'); "
                                           "RENAME TABLE d.t TO d.t3, d.t2 TO d.t; DROP TABLE d.t3"));

TEST_F(FullImport, ATableThatIsDroppedInTheWindowIsDroppedOnTheTarget) {
  both(kTable);
  fill("t", 40'000);
  spec_.set_throttle_rows_per_second(15'000);
  const pid_t pid = fork_import();
  ASSERT_TRUE(wait_for_chunks(2));
  source().sql("DROP TABLE d.t");
  EXPECT_EQ(wait_for_end(pid), 0);
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("state", "table_state"), "COPIED");
}

TEST_F(FullImport, ATargetWithRowsIsRefusedEmptiedOrKept) {
  both(kTable);
  fill("t", 100);
  target().sql("INSERT INTO d.t VALUES (3, 3, 'target'), (1000, 50, 'target'), (2000, 2000, 'target')");
  EXPECT_EQ(run().error().code(), ErrorCode::TARGET_NOT_EMPTY);
  EXPECT_EQ(target().query_value("SELECT COUNT(*) FROM d.t"), "3");
  spec_.set_epoch(2);
  spec_.set_allow_not_empty(true);
  ASSERT_OK(run());
  EXPECT_EQ(target().query_value("SELECT COUNT(*) FROM d.t WHERE x = 'target'"), "3");
  EXPECT_EQ(target().query_value("SELECT COUNT(*) FROM d.t"), "101");  // 100 - (id 3, u 50) + 3
  EXPECT_EQ(component_->status().warnings_size(), 1);

  SetUp();
  both(kTable);
  fill("t", 100);
  target().sql("INSERT INTO d.t VALUES (1000, 1000, 'target')");
  spec_.set_allow_not_empty(false);
  spec_.set_truncate_target(true);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
}

// However many chunks they are in: every row is recorded, and one warning tells how many.
TEST_F(FullImport, KeptRowsAreConflictsAndOneWarning) {
  both(kTable);
  fill("t", 20'000);
  target().sql("INSERT INTO d.t SELECT seq, seq, 'target' FROM d.seq_1_to_20000 WHERE seq % 40 = 0");
  spec_.set_allow_not_empty(true);
  ASSERT_OK(run());
  EXPECT_GT(std::stoi(meta("COUNT(*)", "chunk")), 1);
  const auto status = component_->status();
  ASSERT_EQ(status.warnings_size(), 1) << status.DebugString();
  EXPECT_NE(status.warnings(0).find("d.t: 500 rows"), std::string::npos) << status.warnings(0);
  EXPECT_EQ(meta("COUNT(*)", "conflict", "source_table = 't' AND kind = 'COPY' AND policy = 'SKIP'"), "500");
  EXPECT_EQ(meta("SUM(skipped)", "conflict_count"), "500");
}

TEST_F(FullImport, ATableWithoutKeyIsNotMixedWithOtherRows) {
  both("CREATE TABLE d.k (a INT, b INT, c VARCHAR(60))");
  fill("k", 10);
  target().sql("INSERT INTO d.k VALUES (1, 1, 'target')");
  spec_.set_allow_not_empty(true);
  const Status refused = run();
  EXPECT_EQ(refused.error().code(), ErrorCode::TARGET_NOT_EMPTY);
  EXPECT_EQ(refused.error().object(), "d.k");
  EXPECT_EQ(target().query_value("SELECT COUNT(*) FROM d.k"), "1");
  target().sql("DELETE FROM d.k");
  spec_.set_epoch(2);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
}

TEST_F(FullImport, StopsWhenDesiredAndResumes) {
  both(kTable);
  both("CREATE TABLE d.k (a INT, b INT, c VARCHAR(60))");
  fill("t", 60'000);
  fill("k", 30'000);
  spec_.set_throttle_rows_per_second(10'000);
  component_ = std::make_unique<FakeComponent>(spec_);
  Status status;
  std::thread import([&] { status = run_full_import(*component_); });
  EXPECT_TRUE(wait_for_chunks(2));
  component_->desire([](cluster::v1::ComponentDesired& desired) { desired.set_stop(true); });
  import.join();
  ASSERT_OK(status);
  EXPECT_TRUE(component_->status().full_import().window_end().file().empty());
  spec_.set_epoch(2);
  spec_.set_throttle_rows_per_second(0);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
}

TEST_F(FullImport, NamedTablesAreCopiedAgain) {
  both(kTable);
  both("CREATE TABLE d.other (id INT PRIMARY KEY)");
  fill("t", 1000);
  ASSERT_OK(run());
  source().sql("DELETE FROM d.t WHERE id > 10");
  target().sql("UPDATE sluice.table_state SET state = 'NEEDS_COPY' WHERE project = '" + spec_.project_id() + "'");
  *spec_.add_tables() = net::to_proto(TableName{"d", "t"});
  spec_.set_epoch(2);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("round", "table_state", "source_table = 't'"), "2");
  EXPECT_EQ(meta("round", "table_state", "source_table = 'other'"), "1");
  // Again after the end: nobody has asked for another one.
  spec_.set_epoch(3);
  ASSERT_OK(run());
  EXPECT_EQ(meta("round", "table_state", "source_table = 't'"), "2");
}

// What Incr-Sync asks for; a process may have died after it had begun to empty the table.
TEST_F(FullImport, AVoidCopyIsMadeAnew) {
  both(kTable);
  fill("t", 3000);
  ASSERT_OK(run());
  source().sql("UPDATE d.t SET x = 'changed' WHERE id < 100; DELETE FROM d.t WHERE id > 2000");
  target().sql("DELETE FROM d.t WHERE id < 500; UPDATE sluice.table_state SET state = 'NEEDS_COPY' WHERE project = '" +
               spec_.project_id() + "'");
  spec_.set_epoch(2);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("round", "table_state"), "2");
}

// A schema does not hold defaults, checks and kinds of indexes: what the log has of them before A is skipped.
TEST_F(FullImport, ATableIsCreatedFromTheTextAtA) {
  const auto same_text = [] {
    return source().query("SHOW CREATE TABLE d.t") == target().query("SHOW CREATE TABLE d.t");
  };
  both(kTable);
  fill("t", 100);
  ASSERT_OK(run());
  source().sql("ALTER TABLE d.t ALTER x SET DEFAULT 'new', ADD CHECK (id > 0)");
  target().sql("UPDATE sluice.table_state SET state = 'NEEDS_COPY' WHERE project = '" + spec_.project_id() + "'");
  spec_.set_epoch(2);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  EXPECT_TRUE(same_text());
  // As Struct-Transfer leaves it, before the source changed.
  source().sql("ALTER TABLE d.t ALTER x SET DEFAULT 'newer'");
  target().sql("DELETE FROM d.t; UPDATE sluice.table_state SET state = 'PENDING' WHERE project = '" +
               spec_.project_id() + "'");
  spec_.set_epoch(3);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  EXPECT_TRUE(same_text());
}

// Everything of a table without a key is as of one position, however long the copy takes.
TEST_F(FullImport, ATableWithoutAKeyIsOneSnapshot) {
  both("CREATE TABLE d.k (a INT, b INT, c VARCHAR(60))");
  source().sql("INSERT INTO d.k SELECT seq % 7, 1, REPEAT('x', seq % 3) FROM d.seq_1_to_30000");
  const auto before = source().query("SHOW MASTER STATUS");
  spec_.set_throttle_rows_per_second(30'000);
  const pid_t pid = fork_import();
  ASSERT_TRUE(wait_until([&] {
    return target().try_sql("SELECT 1 FROM sluice.table_state LIMIT 1") == 0 &&
           meta("COUNT(*)", "table_state", "state = 'COPYING'") == "1";
  }));
  source().sql("DELETE FROM d.k WHERE a = 3; UPDATE d.k SET b = 2; INSERT INTO d.k VALUES (100, 1, '')");
  EXPECT_EQ(wait_for_end(pid), 0);
  EXPECT_EQ(target().query_value("SELECT CONCAT(COUNT(*), ',', SUM(b), ',', SUM(a = 3)) FROM d.k"), "30000,30000,4286");
  EXPECT_EQ(meta("window_start = window_end", "table_state"), "1");
  EXPECT_EQ(meta("window_start", "table_state").find(*before[0][0] + ":" + *before[0][1]), 0U);
}

// Borders of chunks would have them sorted again and again, FORCE INDEX of an ignored key is an error.
TEST_F(FullImport, TablesWhoseKeyIsNoGoodForRangesAreReadInOnePiece) {
  for (MariaDbServer* server : {&source(), &target()}) {
    server->sql(std::string("CREATE TABLE d.prefix (t VARCHAR(100), v INT, PRIMARY KEY (t(6)));") +
                "CREATE TABLE d.hashed (u VARCHAR(5000) NOT NULL, v INT, UNIQUE (u));"
                "CREATE TABLE d.ignored (b INT NOT NULL, v INT NOT NULL, UNIQUE (v), UNIQUE KEY b (b) IGNORED);"
                "CREATE TABLE d.memory (b INT PRIMARY KEY, v INT) ENGINE=" +
                (server == &source() ? "MEMORY" : "InnoDB"));
  }
  for (const char* table : {"prefix", "hashed", "ignored", "memory"})
    source().sql(std::string("INSERT INTO d.") + table + " SELECT 100000+seq,seq FROM d.seq_1_to_20000");
  ASSERT_OK(run());
  EXPECT_EQ(differences({.definitions = false}), "");
  EXPECT_EQ(meta("GROUP_CONCAT(DISTINCT keyless)", "table_state", "source_table IN ('prefix','hashed')"), "1");
  EXPECT_EQ(meta("GROUP_CONCAT(DISTINCT keyless)", "table_state", "source_table IN ('memory','ignored')"), "0");
}

TEST_F(FullImport, WithoutLoadDataByInsert) {
  both(kTable);
  both("CREATE TABLE d.k (a INT, b INT, c VARCHAR(60))");
  fill("t", 20'000);
  fill("k", 5'000);
  target().sql("SET GLOBAL local_infile = 0");
  const Status status = run();
  target().sql("SET GLOBAL local_infile = 1");
  ASSERT_OK(status);
  EXPECT_EQ(differences(), "");
}

// Copies of child and parent run side by side, so a child may be there before its parent.
TEST_F(FullImport, ForeignKeysOfTheTargetAreNotChecked) {
  both(
      "CREATE TABLE d.parent (id INT PRIMARY KEY); CREATE TABLE d.child (id INT PRIMARY KEY, p INT, "
      "FOREIGN KEY (p) REFERENCES d.parent (id) ON DELETE CASCADE)");
  source().sql(
      "INSERT INTO d.parent SELECT seq FROM d.seq_1_to_2000; INSERT INTO d.child SELECT seq, 1 + seq % 2000 FROM "
      "d.seq_1_to_20000");
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
}

TEST_F(FullImport, ManySmallTables) {
  std::string create, insert;
  for (int i = 0; i < 60; ++i) {
    create += "CREATE TABLE d.s" + std::to_string(i) + " (id INT PRIMARY KEY, t TEXT);";
    insert += "INSERT INTO d.s" + std::to_string(i) + " VALUES (1, 'a'), (" + std::to_string(i + 2) + ", NULL);";
  }
  both(create);
  source().sql(insert);
  ASSERT_OK(run());
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(meta("COUNT(*)", "table_state", "state = 'COPIED'"), "60");
}

}  // namespace
}  // namespace sluice::agents
