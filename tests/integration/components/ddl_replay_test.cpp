// DDL as a real server logs it: every statement of a corpus is run on the source, read back from its binlog, rewritten
// for other names and run on the target. In the end all definitions must be equal.
#include <gtest/gtest.h>

#include "engines/mysql/dialect/ddl.hpp"
#include "tests/support/mariadb.hpp"

namespace sluice::mysql {
namespace {

using testing::MariaDbServer;

const char* const kCorpus[] = {
    "CREATE TABLE t1 (id int PRIMARY KEY AUTO_INCREMENT, v varchar(30) DEFAULT 'a.t1', KEY k (v)) COMMENT 'FROM a.t1'",
    "create table if not exists `a` . `t2` (id int, `select` int, g int as (id + 1) persistent, check (id > 0))",
    "CREATE /* c */ TABLE -- x\n t3 /*! (id int) */ ENGINE=MyISAM ROW_FORMAT=FIXED",
    "CREATE TABLE t4 LIKE t1",
    "CREATE TABLE t5 AS SELECT id, v FROM t1",
    "CREATE OR REPLACE TABLE t5 (x uuid, y inet6)",
    "CREATE TABLE t6 (id int PRIMARY KEY, p int REFERENCES t1 (id) ON DELETE CASCADE, CONSTRAINT f6 FOREIGN KEY (p) "
    "REFERENCES a.t1 (id))",
    "CREATE TABLE t7 (id int) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS "
    "THAN "
    "(20))",
    "ALTER TABLE t7 ADD PARTITION (PARTITION p2 VALUES LESS THAN MAXVALUE)",
    "ALTER TABLE t7 REORGANIZE PARTITION p0, p1 INTO (PARTITION p01 VALUES LESS THAN (20))",
    "ALTER TABLE t7 DROP PARTITION p01",
    "ALTER ONLINE TABLE t1 WAIT 5 ADD COLUMN IF NOT EXISTS e enum('x','y') AFTER id, ADD UNIQUE KEY u (e, v), "
    "LOCK=NONE",
    "ALTER TABLE t2 ADD (m int, n double), MODIFY `select` bigint NOT NULL, RENAME COLUMN id TO ident, FORCE",
    "ALTER TABLE t2 CHANGE m m2 text CHARACTER SET latin1, ALTER n SET DEFAULT 5, COMMENT='x' ENGINE=Aria",
    "ALTER TABLE t4 ADD CONSTRAINT FOREIGN KEY (id) REFERENCES t1 (id)",
    "CREATE TABLE t11 (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES t1 (id)) ENGINE=MyISAM",
    "ALTER TABLE a.t3 RENAME TO a.t3b",
    "RENAME TABLE t3b TO tmp, t4 TO t3, tmp TO t4",
    "CREATE UNIQUE INDEX i1 ON t3 (id, v) COMMENT 'ON x'",
    "CREATE FULLTEXT INDEX IF NOT EXISTS i2 ON a.t3 (v)",
    "DROP INDEX i1 ON t3",
    "ALTER TABLE t6 DROP FOREIGN KEY f6, ADD KEY kk (p), ALGORITHM=COPY",
    "TRUNCATE TABLE t4",
    "CREATE VIEW v1 AS SELECT a.t1.id, t1.v FROM t1 JOIN a.t3 AS x ON x.id = t1.id",
    "CREATE OR REPLACE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW v2 (c) AS WITH q AS (SELECT id FROM v1) SELECT q.id "
    "FROM q "
    "WHERE EXISTS (SELECT 1 FROM (SELECT * FROM t5) y)",
    "ALTER VIEW v1 AS SELECT id, v FROM t3 UNION SELECT id, v FROM t1",
    "CREATE VIEW v3 AS SELECT 1 AS one",
    "DROP VIEW v3",
    "CREATE SEQUENCE s1 START WITH 7 INCREMENT BY 3",
    "ALTER SEQUENCE s1 MAXVALUE 1000",
    "CREATE TABLE t8 (id bigint PRIMARY KEY DEFAULT (NEXT VALUE FOR s1), j json)",
    "CREATE SEQUENCE s2",
    "DROP SEQUENCE s2",
    "CREATE TABLE gone (id int)",
    "CREATE TABLE gone2 (id int)",
    "CREATE TABLE other.kept (id int)",
    "DROP TABLE IF EXISTS gone, other.kept, never",
    "SET STATEMENT max_statement_time=0 FOR ALTER TABLE t8 ADD k2 int",
    "CREATE TABLE t9 (c char(5) DEFAULT 'a''b\\\\', d timestamp DEFAULT '2020-01-01 00:00:00', UNIQUE (c))",
    "ALTER DATABASE a COLLATE utf8mb4_unicode_ci",
    "CREATE TABLE t10 (c varchar(10))",
    "CREATE USER IF NOT EXISTS somebody",
    "CREATE TRIGGER g AFTER INSERT ON t10 FOR EACH ROW BEGIN SET @a = 1; END",
    "CREATE PROCEDURE p() DROP TABLE t10",
    "ANALYZE TABLE t10",
};

// The statements of the log with the database that was the default.
struct Logged {
  std::string database, sql;
};
std::vector<Logged> logged(MariaDbServer& server) {
  std::vector<Logged> statements;
  for (const auto& file : server.query("SHOW BINARY LOGS")) {
    for (const auto& row : server.query("SHOW BINLOG EVENTS IN '" + file[0].value_or("") + "'")) {
      if (row[2].value_or("") != "Query") continue;
      std::string text = row[5].value_or(""), database;
      size_t end = text.find("`; ");
      if (text.rfind("use `", 0) == 0 && end != std::string::npos) {
        database = text.substr(5, end - 5);
        text = text.substr(end + 3);
      }
      statements.push_back({database, text});
    }
  }
  return statements;
}

TEST(DdlReplay, EndsWithEqualDefinitions) {
  MariaDbServer source, target({2, false, {}});
  source.sql("CREATE DATABASE a CHARACTER SET utf8mb4; CREATE DATABASE other; RESET MASTER; USE a");
  target.sql("CREATE DATABASE b CHARACTER SET utf8mb4; SET foreign_key_checks=0, sql_mode='NO_ENGINE_SUBSTITUTION'");
  for (const char* sql : kCorpus) source.sql(sql);
  // It fails, and is logged for what it dropped.
  EXPECT_NE(source.try_sql("DROP TABLE a.gone2, a.never"), 0U);
  source.sql(
      "USE a; SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'; CREATE TABLE \"ansi\" (\"a\" varchar(9) DEFAULT "
      "'\\')");
  source.sql("SET sql_mode='NO_ENGINE_SUBSTITUTION'");  // also decides how SHOW BINLOG EVENTS quotes
  auto mapping = TableMapping::create({"a.*"}, {}, {"a.*=b.*"});
  ASSERT_TRUE(mapping.ok());
  size_t applied = 0;
  for (const Logged& event : logged(source)) {
    uint64_t sql_mode = event.sql.find("\"ansi\"") == std::string::npos ? 0 : 4 | (1ULL << 20);
    auto statement = parse_ddl(event.sql, event.database, sql_mode);
    ASSERT_TRUE(statement.ok()) << event.sql << "\n" << statement.error().to_string();
    ASSERT_NE(static_cast<int>(statement->kind), static_cast<int>(DdlKind::kUnknown)) << event.sql;
    if (statement->kind == DdlKind::kTransaction || statement->kind == DdlKind::kPassedOver) continue;
    DdlRewriteOptions options;
    options.comment = "np_1 log.1:4";
    auto text = rewrite_ddl(event.sql, *statement, *mapping, sql_mode, options);
    ASSERT_TRUE(text.ok()) << event.sql << "\n" << text.error().to_string();
    if (text->empty()) continue;
    if (sql_mode != 0) target.sql("SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'");
    ASSERT_NO_THROW(target.sql(*text)) << event.sql << "\n" << *text;
    ++applied;
  }
  EXPECT_GT(applied, 30u);
  target.sql("SET sql_mode='NO_ENGINE_SUBSTITUTION'");
  source.sql("USE a");
  target.sql("USE b");
  auto tables = source.query("SHOW TABLES FROM a");
  EXPECT_EQ(tables, target.query("SHOW TABLES FROM b"));
  EXPECT_GT(tables.size(), 12u);
  auto replace_all = [](std::string text, const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
    return text;
  };
  for (const auto& row : tables) {
    std::string name = "`" + row[0].value_or("") + "`";
    std::string wanted = source.query("SHOW CREATE TABLE a." + name)[0][1].value_or("");
    wanted = replace_all(replace_all(wanted, "`a`.`", "`b`.`"), "ENGINE=MyISAM", "ENGINE=InnoDB");
    wanted = replace_all(replace_all(wanted, "ENGINE=Aria", "ENGINE=InnoDB"), " ROW_FORMAT=FIXED", "");
    wanted = replace_all(wanted, " PAGE_CHECKSUM=1", "");
    EXPECT_EQ(target.query("SHOW CREATE TABLE b." + name)[0][1].value_or(""), wanted) << name;
  }
  EXPECT_EQ(target.query_value("SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='b'"),
            "utf8mb4_unicode_ci");
}

}  // namespace
}  // namespace sluice::mysql
