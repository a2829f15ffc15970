// The comparison that the other tests trust sees every kind of difference, and nothing where there is none.
#include "tests/support/compare.hpp"

#include <gmock/gmock.h>

namespace sluice::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr const char* kTables = R"sql(
CREATE TABLE parent (id INT PRIMARY KEY);
CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, a INT DEFAULT 1, b VARCHAR(20) CHARACTER SET utf8mb4, p INT,
  g INT AS (a + 1) STORED, KEY ab (a, b(5)), KEY p (p), CONSTRAINT pos CHECK (a > 0),
  CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE) COMMENT 'c';
CREATE TABLE parts (id INT NOT NULL) PARTITION BY HASH (id) PARTITIONS 2;
CREATE TABLE keyless (a INT);
CREATE VIEW v AS SELECT a FROM t;
CREATE SEQUENCE s;
INSERT INTO parent VALUES (1);
INSERT INTO t (a, b, p) VALUES (1, 'é', 1), (2, NULL, NULL);
INSERT INTO keyless VALUES (1), (1), (2);
)sql";

class CompareTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* database : {"one", "two"})
      server().sql("SET foreign_key_checks=0; CREATE OR REPLACE DATABASE " + std::string(database) +
                   " CHARACTER SET utf8mb4; SET foreign_key_checks=1; USE " + database + ";" + kTables);
  }
  static MariaDbServer& server() {
    static MariaDbServer instance({.binlog = false});
    return instance;
  }
  static std::vector<std::string> differences(CompareOptions options = {}) {
    options.database_renames = {{"one", "two"}};
    return compare_databases(server(), server(), {"one"}, options);
  }
  static void change(const std::string& sql) { server().sql("USE two;" + sql); }
};

TEST_F(CompareTest, WhatDiffersOnPurposeIsEqual) {
  EXPECT_THAT(differences(), IsEmpty());
  server().sql("ALTER TABLE one.keyless ENGINE=MyISAM");
  change("ALTER TABLE t AUTO_INCREMENT = 100, DROP KEY p, ADD KEY p (p)");
  EXPECT_THAT(differences(), IsEmpty());
  server().sql("ALTER TABLE two.keyless ENGINE=MyISAM");
  EXPECT_THAT(differences(), ElementsAre(HasSubstr("InnoDB"), HasSubstr("MyISAM")));
}

TEST_F(CompareTest, TablesViewsAndSequencesOfOneSideOnlyAreSeen) {
  change("DROP TABLE keyless; DROP VIEW v; DROP SEQUENCE s; CREATE TABLE extra (a INT); CREATE VIEW w AS SELECT 1");
  EXPECT_THAT(differences(), ElementsAre("one.keyless: missing on the target", "one.s: missing on the target",
                                         "one.v: missing on the target", "one.extra: on the target only",
                                         "one.w: on the target only"));
  EXPECT_THAT(differences({.ignore_tables = {"one.keyless", "one.s", "one.v", "one.extra", "one.w"}}), IsEmpty());
}

TEST_F(CompareTest, EveryPartOfADefinitionIsSeen) {
  const std::pair<const char*, const char*> kChanges[] = {
      {"ALTER TABLE t MODIFY a INT DEFAULT 2", "one.t: only in source: column 2 a"},
      {"ALTER TABLE t MODIFY a INT NOT NULL DEFAULT 1", "one.t: only in source: column 2 a"},
      {"ALTER TABLE t MODIFY a BIGINT DEFAULT 1", "one.t: only in source: column 2 a"},
      {"ALTER TABLE t MODIFY b VARCHAR(20) COLLATE utf8mb4_bin", "one.t: only in source: column 3 b"},
      {"ALTER TABLE t DROP COLUMN g, ADD COLUMN g INT AS (1 + a) STORED", "one.t: only in source: column 5 g"},
      {"ALTER TABLE t MODIFY p INT COMMENT 'x'", "one.t: only in source: column 4 p"},
      {"ALTER TABLE t DROP KEY ab", "one.t: only in source: index ab BTREE (a,b(5))"},
      {"ALTER TABLE t DROP KEY ab, ADD KEY ab (a, b(6))", "one.t: only in source: index ab"},
      {"ALTER TABLE t DROP KEY ab, ADD UNIQUE KEY ab (a, b(5))", "one.t: only in source: index ab"},
      {"ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, a)", "one.t: only in source: unique index PRIMARY"},
      {"ALTER TABLE t DROP FOREIGN KEY fk", "one.t: only in source: foreign key fk (p) to parent (id) DELETE CASCADE"},
      {"ALTER TABLE t DROP FOREIGN KEY fk; ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id)",
       "one.t: only in source: foreign key fk"},
      {"ALTER TABLE t DROP CONSTRAINT pos", "one.t: only in source: check pos"},
      {"ALTER TABLE t COMMENT 'd'", "one.t: only in source: BASE TABLE"},
      {"ALTER TABLE parts COALESCE PARTITION 1", "one.parts: only in source: partition 2"},
      {"CREATE OR REPLACE VIEW v AS SELECT b AS a FROM t", "one.v: only in source:"},
      {"ALTER DATABASE two COLLATE utf8mb4_bin", "one.: only in source: collation utf8mb4_general_ci"},
  };
  for (const auto& [sql, expected] : kChanges) {
    SCOPED_TRACE(sql);
    SetUp();
    change(sql);
    const auto found = differences();
    EXPECT_THAT(found, ::testing::Contains(StartsWith(expected)));
    EXPECT_THAT(differences({.definitions = false}), IsEmpty());
  }
}

TEST_F(CompareTest, RowsAreCompared) {
  change("UPDATE t SET b = 'e' WHERE id = 1; DELETE FROM keyless WHERE a = 1 LIMIT 1");
  EXPECT_THAT(differences(), ElementsAre(StartsWith("one.keyless: only in source: 31"),
                                         StartsWith("one.t: only in source: 31,31,C3A9,"),
                                         StartsWith("one.t: only in target: 31,31,65,")));
}

TEST_F(CompareTest, AnotherOrderOfColumnsIsADifference) {
  change("ALTER TABLE keyless ADD COLUMN z INT FIRST");
  EXPECT_THAT(differences({.definitions = false}), ElementsAre("one.keyless: the columns differ"));
}

}  // namespace
}  // namespace sluice::testing
