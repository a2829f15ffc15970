#include "engines/mysql/dialect/ddl.hpp"
#include "engines/mysql/dialect/fold.hpp"

#include <gtest/gtest.h>

#include "engines/mysql/dialect/columns.hpp"
#include "engines/mysql/dialect/create_table.hpp"

namespace sluice::mysql {
namespace {

constexpr uint64_t kAnsiQuotes = 4, kNoBackslash = 1ULL << 20;

std::string names(const DdlStatement& s) {
  std::string text;
  for (const DdlTable& t : s.tables) {
    if (!text.empty()) text += " ";
    text += t.source.to_string();
    if (!t.rename_to.table.empty()) text += ">" + t.rename_to.to_string();
  }
  if (!s.reads.empty()) text += " <";
  for (const TableName& n : s.reads) text += " " + n.to_string();
  return text;
}

struct ParseCase {
  const char* sql;
  DdlKind kind;
  const char* names;
  bool needs_copy = false;
  uint64_t sql_mode = 0;
};

TEST(Ddl, Parses) {
  using K = DdlKind;
  const ParseCase cases[] = {
      {"CREATE TABLE t (a int)", K::kCreateTable, "d.t"},
      {"create table if not exists `x`.`t` (a int)", K::kCreateTable, "x.t"},
      {"CREATE OR REPLACE TABLE x . t (a int)", K::kCreateTable, "x.t"},
      {"/* c */ CREATE /* c */ TABLE -- c\n t /* c */ (a int)", K::kCreateTable, "d.t"},
      {"CREATE TABLE /*!32312 IF NOT EXISTS*/ t (a int)", K::kCreateTable, "d.t"},
      {"CREATE TABLE \"t\" (a int)", K::kCreateTable, "d.t", false, kAnsiQuotes},
      {"CREATE TABLE t (a varchar(9) DEFAULT '\\')", K::kCreateTable, "d.t", false, kNoBackslash},
      {"CREATE TABLE t LIKE x.u", K::kCreateTableLike, "d.t < x.u"},
      {"CREATE TABLE t (LIKE u)", K::kCreateTableLike, "d.t < d.u"},
      {"CREATE TABLE t AS SELECT * FROM u JOIN x.v ON u.a = v.a", K::kCreateTableSelect, "d.t < d.u x.v", true},
      {"CREATE TABLE t (a int) ENGINE=InnoDB IGNORE SELECT a FROM u", K::kCreateTableSelect, "d.t < d.u", true},
      {"CREATE TABLE t (SELECT 1 AS a)", K::kCreateTableSelect, "d.t", true},
      {"CREATE TABLE t WITH c AS (SELECT * FROM u) SELECT * FROM c", K::kCreateTableSelect, "d.t < d.u", true},
      {"CREATE TABLE t (a int) WITH SYSTEM VERSIONING", K::kCreateTable, "d.t"},
      {"CREATE TABLE t (a int PRIMARY KEY, FOREIGN KEY (a) REFERENCES x.p (id) ON DELETE CASCADE)", K::kCreateTable,
       "d.t < x.p"},
      {"CREATE TABLE t (a int REFERENCES p(id))", K::kCreateTable, "d.t < d.p"},
      {"CREATE TABLE t (a int GENERATED ALWAYS AS (b + 1) STORED, b int)", K::kCreateTable, "d.t"},
      {"CREATE TABLE t (a int DEFAULT nextval(x.s), b int DEFAULT (NEXT VALUE FOR s2))", K::kCreateTable,
       "d.t < x.s d.s2"},
      {"CREATE TABLE t (a int) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS "
       "THAN MAXVALUE)",
       K::kCreateTable, "d.t"},
      {"CREATE TABLE t (a int) /*!50100 PARTITION BY HASH (a) PARTITIONS 4 */", K::kCreateTable, "d.t"},
      {"CREATE TABLE t (a int) START TRANSACTION", K::kCreateTable, "d.t"},
      {"CREATE TEMPORARY TABLE t (a int)", K::kCreateTable, "d.t"},
      {"ALTER TABLE t ADD COLUMN b int", K::kAlterTable, "d.t"},
      {"ALTER ONLINE IGNORE TABLE IF EXISTS t WAIT 5 ADD b int, DROP c, ALGORITHM=INPLACE, LOCK=NONE", K::kAlterTable,
       "d.t"},
      {"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES p (id), ADD KEY (b)", K::kAlterTable, "d.t < d.p"},
      {"ALTER TABLE t RENAME TO x.u", K::kAlterTable, "d.t>x.u"},
      {"ALTER TABLE t RENAME u", K::kAlterTable, "d.t>d.u"},
      {"ALTER TABLE t RENAME = u, ADD b int", K::kAlterTable, "d.t>d.u"},
      {"ALTER TABLE t RENAME AS `to`", K::kAlterTable, "d.t>d.to"},
      {"ALTER TABLE t RENAME COLUMN a TO b, RENAME INDEX x TO y", K::kAlterTable, "d.t"},
      {"ALTER TABLE t EXCHANGE PARTITION p WITH TABLE x.u WITHOUT VALIDATION", K::kAlterTable, "d.t x.u", true},
      {"ALTER TABLE t CONVERT PARTITION p TO TABLE u", K::kAlterTable, "d.t d.u", true},
      {"ALTER TABLE t CONVERT TABLE u TO PARTITION p VALUES LESS THAN (5)", K::kAlterTable, "d.t d.u", true},
      {"ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", K::kAlterTable, "d.t"},
      {"ALTER TABLE t IMPORT TABLESPACE", K::kAlterTable, "d.t", true},
      {"ALTER TABLE t ADD id bigint AUTO_INCREMENT PRIMARY KEY", K::kAlterTable, "d.t", true},
      {"ALTER TABLE t MODIFY id bigint NOT NULL AUTO_INCREMENT", K::kAlterTable, "d.t"},
      {"ALTER TABLE t CHANGE id id2 bigint AUTO_INCREMENT PRIMARY KEY", K::kAlterTable, "d.t", true},
      {"ALTER TABLE t ADD u char(36) DEFAULT uuid()", K::kAlterTable, "d.t", true},
      {"ALTER TABLE t ADD u char(36) DEFAULT (concat('x', UUID()))", K::kAlterTable, "d.t", true},
      {"ALTER TABLE t ADD u uuid", K::kAlterTable, "d.t"},
      {"ALTER TABLE t ADD c datetime DEFAULT current_timestamp()", K::kAlterTable, "d.t"},
      {"ALTER TABLE t ADD (a int, b double DEFAULT rand())", K::kAlterTable, "d.t", true},
      {"ALTER TABLE t ADD PARTITION (PARTITION p9 VALUES LESS THAN (90))", K::kAlterTable, "d.t"},
      {"ALTER IGNORE TABLE t ADD UNIQUE KEY u (a)", K::kAlterTable, "d.t", true},
      {"ALTER IGNORE TABLE t ADD KEY u (a)", K::kAlterTable, "d.t"},
      {"ALTER TABLE t AUTO_INCREMENT = 100", K::kAlterTable, "d.t"},
      {"DROP TABLE IF EXISTS a, x.b , `c` /* generated by server */", K::kDropTable, "d.a x.b d.c"},
      {"DROP TABLES a WAIT 10", K::kDropTable, "d.a"},
      {"DROP TABLE a RESTRICT", K::kDropTable, "d.a"},
      {"DROP TEMPORARY TABLE a", K::kDropTable, "d.a"},
      {"RENAME TABLE a TO b, x.c NOWAIT TO y.d", K::kRenameTable, "d.a>d.b x.c>y.d"},
      {"RENAME TABLES IF EXISTS a TO b", K::kRenameTable, "d.a>d.b"},
      {"TRUNCATE t", K::kTruncateTable, "d.t"},
      {"TRUNCATE TABLE x.t NOWAIT", K::kTruncateTable, "x.t"},
      {"CREATE UNIQUE INDEX IF NOT EXISTS i USING BTREE ON x.t (a, b(10)) COMMENT 'on y'", K::kCreateIndex, "x.t"},
      {"CREATE FULLTEXT INDEX i ON t (a)", K::kCreateIndex, "d.t"},
      {"DROP INDEX i ON t ALGORITHM=INPLACE", K::kDropIndex, "d.t"},
      {"DROP INDEX IF EXISTS `PRIMARY` ON x.t WAIT 3", K::kDropIndex, "x.t"},
      {"CREATE DATABASE IF NOT EXISTS x CHARACTER SET utf8mb4", K::kCreateDatabase, ""},
      {"CREATE SCHEMA x", K::kCreateDatabase, ""},
      {"ALTER DATABASE x COLLATE utf8mb4_bin", K::kAlterDatabase, ""},
      {"DROP SCHEMA IF EXISTS x", K::kDropDatabase, ""},
      {"CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`a`@`%` SQL SECURITY INVOKER VIEW v (x) AS SELECT t.a FROM t, u AS w "
       "WHERE EXISTS (SELECT 1 FROM x.z)",
       K::kCreateView, "d.v < d.t d.u x.z"},
      {"ALTER VIEW v AS SELECT extract(day FROM c) FROM (t LEFT JOIN u ON t.a = u.a)", K::kAlterView, "d.v < d.t d.u"},
      {"CREATE VIEW v AS SELECT 1 FROM JSON_TABLE('[]', '$[*]' COLUMNS (a int PATH '$')) j", K::kCreateView, "d.v"},
      {"CREATE VIEW v AS SELECT * FROM a UNION ALL (SELECT * FROM b LIMIT 1)", K::kCreateView, "d.v < d.a d.b"},
      {"DROP VIEW IF EXISTS v, x.w CASCADE", K::kDropView, "d.v x.w"},
      {"CREATE SEQUENCE IF NOT EXISTS s START WITH 5 INCREMENT BY 2 ENGINE=InnoDB", K::kCreateSequence, "d.s"},
      {"ALTER SEQUENCE IF EXISTS x.s RESTART 10", K::kAlterSequence, "x.s"},
      {"DROP SEQUENCE s, x.r", K::kDropSequence, "d.s x.r"},
      {"SET STATEMENT max_statement_time=0 FOR ALTER TABLE t ADD b int", K::kAlterTable, "d.t"},
      {"CREATE DEFINER=CURRENT_USER() TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET @a = 1", K::kPassedOver, ""},
      {"CREATE DEFINER=root@localhost PROCEDURE p() BEGIN DROP TABLE t; END", K::kPassedOver, ""},
      {"CREATE USER 'a'@'b' IDENTIFIED BY 'c'", K::kPassedOver, ""},
      {"DROP EVENT e", K::kPassedOver, ""},
      {"GRANT SELECT ON *.* TO a", K::kPassedOver, ""},
      {"ANALYZE TABLE t", K::kPassedOver, ""},
      {"OPTIMIZE TABLE t", K::kPassedOver, ""},
      {"FLUSH TABLES", K::kPassedOver, ""},
      {"SAVEPOINT a", K::kPassedOver, ""},
      {"# Dummy event replacing event type 160 that slave cannot handle.", K::kPassedOver, ""},
      {"ROLLBACK TO `a`", K::kUnknown, ""},
      {"ROLLBACK", K::kTransaction, ""},
      {"BEGIN", K::kTransaction, ""},
      {"XA START 'x'", K::kTransaction, ""},
      {"START TRANSACTION", K::kTransaction, ""},
      {"INSERT INTO t VALUES (1)", K::kDataChange, ""},
      {"/*!40000 UPDATE t SET a = 1 */", K::kDataChange, ""},
      {"SELECT `d`.`f`(1)", K::kDataChange, ""},
      {"FROBNICATE t", K::kUnknown, ""},
      {"DROP TABLE a; DROP TABLE b", K::kUnknown, "d.a"},
      {"DROP TABLE a;", K::kDropTable, "d.a"},
      {"DROP TABLE a WAIT 5, b", K::kUnknown, "d.a"},
      {"RENAME TABLE a TO b x", K::kUnknown, "d.a>d.b"},
      {"TRUNCATE a, b", K::kUnknown, "d.a"},
      {"CREATE TABLE", K::kUnknown, ""},
      {"RENAME TABLE a", K::kUnknown, "d.a"},
  };
  for (const ParseCase& c : cases) {
    auto s = parse_ddl(c.sql, "d", c.sql_mode);
    ASSERT_TRUE(s.ok()) << c.sql;
    EXPECT_EQ(static_cast<int>(s->kind), static_cast<int>(c.kind)) << c.sql;
    EXPECT_EQ(names(*s), c.names) << c.sql;
    EXPECT_EQ(s->needs_copy, c.needs_copy) << c.sql << " " << s->needs_copy_reason;
    for (const DdlTable& t : s->tables) EXPECT_LT(t.begin, t.end) << c.sql;
  }
}

TEST(Ddl, TellsWhichStatementsChangeForeignKeys) {
  auto changes = [](const char* sql) { return parse_ddl(sql, "d", 0)->changes_foreign_keys; };
  EXPECT_TRUE(changes("ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES p (id)"));
  EXPECT_TRUE(changes("ALTER TABLE t ADD x int, DROP FOREIGN KEY f"));
  EXPECT_TRUE(changes("ALTER TABLE t ADD (x int REFERENCES p (id))"));
  EXPECT_TRUE(changes("ALTER TABLE t DROP CONSTRAINT f"));
  EXPECT_FALSE(changes("ALTER TABLE t ADD x int, DROP KEY k"));
  using Names = std::vector<std::string>;
  auto renamed = [](const char* sql) { return parse_ddl(sql, "d", 0)->renamed_columns; };
  EXPECT_EQ(renamed("ALTER TABLE t ADD x int, CHANGE COLUMN `a b` b int"), Names{"a b"});
  EXPECT_EQ(renamed("ALTER TABLE t RENAME COLUMN a TO b, RENAME KEY k TO l"), Names{"a"});
  EXPECT_EQ(renamed("ALTER TABLE t RENAME KEY k TO l, MODIFY a int, RENAME TO u"), Names{});
}

TableMapping mapping(std::vector<std::string> includes = {"a.*"}, std::vector<std::string> renames = {"a.*=b.*"},
                     std::vector<std::string> excludes = {}) {
  auto m = TableMapping::create(std::move(includes), std::move(excludes), std::move(renames));
  EXPECT_TRUE(m.ok());
  return std::move(m).value();
}

std::string rewritten(const std::string& sql, const TableMapping& m, DdlRewriteOptions options = {},
                      uint64_t sql_mode = 0) {
  auto s = parse_ddl(sql, "a", sql_mode);
  if (!s.ok()) return s.error().to_string();
  auto text = rewrite_ddl(sql, *s, m, sql_mode, options);
  return text.ok() ? *text : std::string(text.error().id());
}

TEST(Ddl, Rewrites) {
  const std::pair<const char*, const char*> cases[] = {
      {"CREATE TABLE t (a int)", "CREATE TABLE `b`.`t` (a int)"},
      {"CREATE TABLE a . `t` (a int) ENGINE=MyISAM", "CREATE TABLE `b`.`t` (a int) ENGINE=InnoDB"},
      {"CREATE TABLE t (engine int) engine = 'Aria' ROW_FORMAT=PAGE COMMENT='ENGINE=MyISAM'",
       "CREATE TABLE `b`.`t` (engine int) engine = InnoDB  COMMENT='ENGINE=MyISAM'"},
      {"CREATE TABLE t (a int) ENGINE=InnoDB ROW_FORMAT=DYNAMIC",
       "CREATE TABLE `b`.`t` (a int) ENGINE=InnoDB ROW_FORMAT=DYNAMIC"},
      {"CREATE TABLE t (a int) ENGINE=BLACKHOLE", "UNSUPPORTED"},
      {"CREATE TABLE t (a int) DATA DIRECTORY='/x' PARTITION BY HASH(a) (PARTITION p ENGINE = MyISAM)",
       "CREATE TABLE `b`.`t` (a int)  PARTITION BY HASH(a) (PARTITION p ENGINE = InnoDB)"},
      {"CREATE TABLE t (a int) /*!50100 PARTITION BY HASH (a) */",
       "CREATE TABLE `b`.`t` (a int)   PARTITION BY HASH (a)  "},
      {"CREATE TABLE t (a int) START TRANSACTION", "CREATE TABLE `b`.`t` (a int) "},
      {"CREATE TABLE t LIKE u", "CREATE TABLE `b`.`t` LIKE `b`.`u`"},
      {"CREATE TABLE t LIKE other.u", "UNSUPPORTED"},
      {"CREATE TABLE t (a int, FOREIGN KEY (a) REFERENCES p (id))",
       "CREATE TABLE `b`.`t` (a int, FOREIGN KEY (a) REFERENCES `b`.`p` (id))"},
      {"CREATE TABLE t (a int, FOREIGN KEY (a) REFERENCES other.p (id), KEY (a))",
       "CREATE TABLE `b`.`t` (a int , KEY (a))"},
      {"CREATE TABLE t (a int DEFAULT nextval(`a`.`s`))", "CREATE TABLE `b`.`t` (a int DEFAULT nextval(`b`.`s`))"},
      {"CREATE TABLE other.t (a int)", ""},
      {"CREATE TEMPORARY TABLE t (a int)", ""},
      {"ALTER TABLE t WAIT 5 ADD b int, ALGORITHM=INSTANT, LOCK=NONE", "ALTER TABLE `b`.`t`  ADD b int  "},
      {"ALTER TABLE t ALGORITHM=COPY", "ALTER TABLE `b`.`t` ALGORITHM=COPY"},
      {"ALTER TABLE t ENGINE=Aria", "ALTER TABLE `b`.`t` ENGINE=InnoDB"},
      {"ALTER TABLE t COMMENT='x' ENGINE MyISAM", "ALTER TABLE `b`.`t` COMMENT='x' ENGINE InnoDB"},
      {"ALTER TABLE t ADD COLUMN engine int", "ALTER TABLE `b`.`t` ADD COLUMN engine int"},
      {"ALTER TABLE t ALTER COLUMN engine SET DEFAULT 'v8', ENGINE=Aria",
       "ALTER TABLE `b`.`t` ALTER COLUMN engine SET DEFAULT 'v8', ENGINE=InnoDB"},
      {"ALTER TABLE t ALTER v SET DEFAULT (nextval(a.s2)), ALTER w SET DEFAULT NEXT VALUE FOR s3",
       "ALTER TABLE `b`.`t` ALTER v SET DEFAULT (nextval(`b`.`s2`)), ALTER w SET DEFAULT NEXT VALUE FOR `b`.`s3`"},
      {"ALTER TABLE t ALTER v SET DEFAULT (nextval(other.s))", "UNSUPPORTED"},
      {"ALTER TABLE t TABLESPACE engine ENGINE=Aria", "ALTER TABLE `b`.`t` TABLESPACE engine ENGINE=InnoDB"},
      {"ALTER TABLE t REORGANIZE PARTITION engine, p INTO (PARTITION engine VALUES LESS THAN (3) ENGINE = Aria)",
       "ALTER TABLE `b`.`t` REORGANIZE PARTITION engine, p INTO (PARTITION engine VALUES LESS THAN (3) ENGINE = "
       "InnoDB)"},
      {"ALTER TABLE t ADD PARTITION (PARTITION p VALUES IN (1) (SUBPARTITION engine ENGINE Aria))",
       "ALTER TABLE `b`.`t` ADD PARTITION (PARTITION p VALUES IN (1) (SUBPARTITION engine ENGINE InnoDB))"},
      {"ALTER TABLE t CONVERT TABLE u TO PARTITION engine VALUES LESS THAN (5) ENGINE=Aria",
       "ALTER TABLE `b`.`t` CONVERT TABLE `b`.`u` TO PARTITION engine VALUES LESS THAN (5) ENGINE=InnoDB"},
      {"CREATE TABLE t (a int REFERENCES nextval (id), KEY nextval (a), FOREIGN KEY setval (a) REFERENCES lastval "
       "(id))",
       "CREATE TABLE `b`.`t` (a int REFERENCES `b`.`nextval` (id), KEY nextval (a), FOREIGN KEY setval (a) REFERENCES "
       "`b`.`lastval` (id))"},
      {"ALTER TABLE t RENAME u", "ALTER TABLE `b`.`t` RENAME `b`.`u`"},
      {"ALTER TABLE t RENAME other.u", "UNSUPPORTED"},
      {"ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u",
       "ALTER TABLE `b`.`t` EXCHANGE PARTITION p WITH TABLE `b`.`u`"},
      {"ALTER TABLE t EXCHANGE PARTITION p WITH TABLE other.u", "UNSUPPORTED"},
      {"DROP TABLE t, other.x, a.u", "DROP TABLE IF EXISTS `b`.`t`, `b`.`u`"},
      {"DROP TABLE t", "DROP TABLE `b`.`t`"},
      {"DROP SEQUENCE s, r", "DROP SEQUENCE IF EXISTS `b`.`s`, `b`.`r`"},
      {"DROP TABLE IF EXISTS other.x, t /* generated by server */",
       "DROP TABLE IF EXISTS `b`.`t` /* generated by server */"},
      {"DROP TABLE other.x", ""},
      {"RENAME TABLE t NOWAIT TO u, other.x TO other.y", "RENAME TABLE `b`.`t` TO `b`.`u`"},
      {"RENAME TABLE t TO tmp, u TO t, tmp TO u",
       "RENAME TABLE `b`.`t` TO `b`.`tmp`, `b`.`u` TO `b`.`t`, `b`.`tmp` TO `b`.`u`"},
      {"RENAME TABLE t TO other.t", "UNSUPPORTED"},
      {"TRUNCATE t", "TRUNCATE `b`.`t`"},
      {"CREATE INDEX i ON t (c)", "CREATE INDEX i ON `b`.`t` (c)"},
      {"DROP INDEX i ON a.t WAIT 5", "DROP INDEX i ON `b`.`t` "},
      {"CREATE DATABASE a", "CREATE DATABASE `b`"},
      {"CREATE DATABASE IF NOT EXISTS other", ""},
      {"ALTER DATABASE CHARACTER SET utf8mb4", "ALTER DATABASE `b` CHARACTER SET utf8mb4"},
      {"ALTER DATABASE `a` COLLATE utf8mb4_bin", "ALTER DATABASE `b` COLLATE utf8mb4_bin"},
      {"DROP DATABASE a", "DROP DATABASE `b`"},
      {"CREATE VIEW v AS SELECT a.t.c, t.d FROM a.t",
       "CREATE OR REPLACE VIEW `b`.`v` AS SELECT `b`.`t`.c, t.d FROM `b`.`t`"},
      {"CREATE VIEW v AS SELECT * FROM other.t", "UNSUPPORTED"},
      {"CREATE VIEW v AS SELECT * FROM information_schema.tables",
       "CREATE OR REPLACE VIEW `b`.`v` AS SELECT * FROM information_schema.tables"},
      {"DROP VIEW v, other.w", "DROP VIEW IF EXISTS `b`.`v`"},
      {"ALTER ALGORITHM=MERGE VIEW v AS SELECT 1", "CREATE OR REPLACE ALGORITHM=MERGE VIEW `b`.`v` AS SELECT 1"},
      {"CREATE SEQUENCE s ENGINE=Aria", "CREATE SEQUENCE `b`.`s` ENGINE=InnoDB"},
      {"GRANT ALL ON a.* TO x", ""},
      {"INSERT INTO t VALUES (1)", "UNSUPPORTED"},
      {"ROLLBACK TO x", "UNSUPPORTED"},
  };
  for (const auto& [sql, wanted] : cases) EXPECT_EQ(rewritten(sql, mapping()), wanted) << sql;
}

// Columns, keys and partitions may be called as an option, a clause or a function is.
TEST(Ddl, NamesThatAreWordsOfTheGrammarStay) {
  const char* const words[] = {"engine",   "row_format", "comment",      "first",   "after",   "algorithm",
                               "data",     "nextval",    "lastval",      "period",  "vector",  "modify",
                               "exchange", "system",     "tablespace",   "storage", "wait",    "partitions",
                               "online",   "encryption", "`partition`",  "`key`",   "`index`", "`check`",
                               "`order`",  "`lock`",     "`references`", "`engine`"};
  const char* const clauses[] = {"ADD COLUMN W int",
                                 "ADD W int DEFAULT 1 FIRST",
                                 "ADD (W int, x int COMMENT 'W')",
                                 "ADD KEY W (W)",
                                 "ADD UNIQUE W (W)",
                                 "ADD CONSTRAINT W CHECK (W > 1)",
                                 "ADD CONSTRAINT W UNIQUE (W)",
                                 "MODIFY W int AFTER W",
                                 "MODIFY COLUMN W varchar(9) DEFAULT 'x'",
                                 "CHANGE W V int",
                                 "CHANGE COLUMN V W int AFTER W",
                                 "ALTER W SET DEFAULT 'v8'",
                                 "ALTER COLUMN W DROP DEFAULT",
                                 "ALTER INDEX W IGNORED",
                                 "DROP W",
                                 "DROP COLUMN W",
                                 "DROP KEY W",
                                 "RENAME COLUMN W TO x",
                                 "RENAME INDEX x TO W",
                                 "ORDER BY W DESC, W ASC, W",
                                 "DROP PARTITION p, W, W",
                                 "TRUNCATE PARTITION W, W",
                                 "REORGANIZE PARTITION W, W INTO (PARTITION W VALUES LESS THAN (5))",
                                 "PARTITION BY HASH (W DIV 4) PARTITIONS 3",
                                 "PARTITION BY RANGE COLUMNS (W) (PARTITION W VALUES LESS THAN (7) COMMENT = 'W')"};
  const auto check = [](std::string text, const std::string& word) {
    for (size_t at = 0; (at = text.find('W', at)) != std::string::npos;) {
      const bool whole = (at == 0 || !std::isalpha(static_cast<unsigned char>(text[at - 1]))) &&
                         (at + 1 == text.size() || !std::isalpha(static_cast<unsigned char>(text[at + 1])));
      if (whole) text.replace(at, 1, word);
      at += whole ? word.size() : 1;
    }
    std::string wanted = text;
    wanted.replace(wanted.find(" t ") + 1, 1, "`b`.`t`");
    EXPECT_EQ(rewritten(text, mapping()), wanted) << text;
  };
  for (const std::string word : words) {
    for (const std::string clause : clauses) {
      check("ALTER TABLE t " + clause, word);
      check("ALTER TABLE t ADD y int, " + clause, word);
    }
    check(
        "CREATE TABLE t (W int NOT NULL DEFAULT 5, V int COMMENT 'W', KEY W (W), UNIQUE KEY (W), CONSTRAINT W CHECK "
        "(W > 0), PRIMARY KEY W (W)) COMMENT 'W' PARTITION BY RANGE (W MOD 7) (PARTITION W VALUES LESS THAN (1 + 1))",
        word);
  }
}

TEST(Ddl, RenamedTablesKeepTheirNameInQueries) {
  TableMapping m = mapping({"a.*"}, {"a.t=b.u"});
  EXPECT_EQ(rewritten("CREATE VIEW v AS SELECT t.c, a.t.d FROM t WHERE t.e = 1", m),
            "CREATE OR REPLACE VIEW `a`.`v` AS SELECT t.c, `t`.d FROM `b`.`u` AS `t` WHERE t.e = 1");
  EXPECT_EQ(rewritten("CREATE VIEW v AS SELECT x.c FROM t x", m),
            "CREATE OR REPLACE VIEW `a`.`v` AS SELECT x.c FROM `b`.`u` x");
}

TEST(Ddl, LeavesForeignKeysOut) {
  const std::pair<const char*, const char*> cases[] = {
      {"CREATE TABLE t (a int, CONSTRAINT f FOREIGN KEY (a) REFERENCES p (id) ON DELETE SET NULL)",
       "CREATE TABLE `b`.`t` (a int )"},
      {"CREATE TABLE t (FOREIGN KEY (a) REFERENCES p (id), a int, KEY (a))", "CREATE TABLE `b`.`t` ( a int, KEY (a))"},
      {"CREATE TABLE t (a int REFERENCES p(id) MATCH FULL ON UPDATE NO ACTION ON DELETE CASCADE COMMENT 'x', b int)",
       "CREATE TABLE `b`.`t` (a int  COMMENT 'x', b int)"},
      {"CREATE TABLE t (a int REFERENCES p (id), FOREIGN KEY (a) REFERENCES p (id)) ENGINE=MyISAM",
       "CREATE TABLE `b`.`t` (a int  ) ENGINE=InnoDB"},
      {"ALTER TABLE t ADD b int, ADD CONSTRAINT FOREIGN KEY (b) REFERENCES p (id), ADD c int",
       "ALTER TABLE `b`.`t` ADD b int , ADD c int"},
      {"ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES p (id)", ""},
      {"ALTER TABLE t DROP FOREIGN KEY f, DROP COLUMN b", "ALTER TABLE `b`.`t`  DROP COLUMN b"},
      {"ALTER TABLE t DROP FOREIGN KEY f, ALGORITHM=INPLACE", ""},
  };
  DdlRewriteOptions options;
  options.drop_foreign_keys = true;
  for (const auto& [sql, wanted] : cases) EXPECT_EQ(rewritten(sql, mapping(), options), wanted) << sql;
}

TEST(Ddl, FoldsNames) {
  const std::pair<const char*, const char*> cases[] = {
      {"ALTER TABLE T ADD B int", "ALTER TABLE `app`.`t` ADD B int"},
      {"alter table t add B int", "alter table `app`.`t` add B int"},
      {"RENAME TABLE x.A TO B", "RENAME TABLE `x`.`a` TO `app`.`b`"},
      {"DROP TABLE IF EXISTS `T`, u", "DROP TABLE IF EXISTS `app`.`t`, `app`.`u`"},
      {"CREATE TABLE \u00c4\u00d6 (A int REFERENCES P (Id))",
       "CREATE TABLE `app`.`\u00e4\u00f6` (A int REFERENCES `app`.`p` (Id))"},
      {"CREATE TABLE c LIKE D", "CREATE TABLE `app`.`c` LIKE `app`.`d`"},
      {"CREATE VIEW V AS SELECT T.a FROM T", "CREATE VIEW `app`.`v` AS SELECT T.a FROM `app`.`t` AS `T`"},
      {"DROP DATABASE Other", "DROP DATABASE `other`"},
      {"GRANT ALL ON T TO X", "GRANT ALL ON T TO X"},
      {"no DDL of T", "no DDL of T"},
  };
  for (const auto& [sql, wanted] : cases) EXPECT_EQ(fold_names(sql, "App", 0), wanted) << sql;
  EXPECT_EQ(fold_names("ALTER TABLE x.t ADD B int", "x", 0), "ALTER TABLE x.t ADD B int");
  EXPECT_EQ(fold_name("A\u0416\u20ac\xff"), "a\u0436\u20ac\xff");
  EXPECT_TRUE(same_name("Stra\u00dfe_\u00c4", "STRA\u00dfE_\u00e4"));
  EXPECT_TRUE(same_name("\u0130", "i")) << "letters of other lengths";
  EXPECT_FALSE(same_name("a", "ab"));
  EXPECT_FALSE(same_name("a\u00c4", "a\u00d6"));
}

TEST(Ddl, TellsOfColumns) {
  auto news = [](const std::string& sql) {
    std::string text;
    for (const ColumnNews& one : column_news(sql, "d", 0))
      text += one.column + (one.renamed_from.empty() ? " " + one.type : " from " + one.renamed_from) + ", ";
    return text;
  };
  EXPECT_EQ(news("CREATE TABLE t (Id int, `u` uuid NOT NULL DEFAULT uuid(), PRIMARY KEY (id), KEY k (u), `key` inet6)"),
            "id INT, u UUID, key INET6, ");
  EXPECT_EQ(
      news("ALTER TABLE t ADD a uuid, ADD COLUMN IF NOT EXISTS B binary(16) AFTER c, ADD (c int, d inet4, KEY (d))"),
      "a UUID, b BINARY, c INT, d INET4, ");
  EXPECT_EQ(news("ALTER TABLE t MODIFY COLUMN IF EXISTS a uuid, CHANGE a b inet6 FIRST, RENAME COLUMN c TO D, DROP e"),
            "a UUID, a , b INET6, d from c, e , ");
  EXPECT_EQ(news("ALTER TABLE t DROP u, ADD (u binary(16)), ADD INDEX i (u), ENGINE=InnoDB, RENAME TO x"),
            "u , u BINARY, ");
  EXPECT_EQ(news("RENAME TABLE a TO b"), "");
}

TEST(Ddl, PutsTheComment) {
  DdlRewriteOptions options;
  options.comment = "p1 log:4 */ DROP";
  EXPECT_EQ(rewritten("TRUNCATE t", mapping(), options), "/* p1 log:4 * / DROP */ TRUNCATE `b`.`t`");
  EXPECT_EQ(rewritten("DROP TABLE IF EXISTS t", mapping(), options),
            "DROP TABLE IF EXISTS /* p1 log:4 * / DROP */ `b`.`t`");
  EXPECT_EQ(rewritten("DROP TABLE t, u", mapping(), options),
            "DROP TABLE IF EXISTS /* p1 log:4 * / DROP */ `b`.`t`, `b`.`u`");
}

TEST(Ddl, DropsOnlyDatabasesThatAreWholeInScope) {
  EXPECT_EQ(rewritten("DROP DATABASE a", mapping({"a.x*"})), "UNSUPPORTED");
  EXPECT_EQ(rewritten("DROP DATABASE a", mapping({"a.*"}, {"a.*=b.*"}, {"a.secret"})), "UNSUPPORTED");
  EXPECT_EQ(rewritten("DROP DATABASE a", mapping({"a.*", "c.*"}, {"a.*=b.*", "c.*=b.*"})), "UNSUPPORTED");
  EXPECT_EQ(rewritten("DROP DATABASE a", mapping({}, {})), "DROP DATABASE `a`");
}

TEST(Ddl, KeepsTokensApart) {
  EXPECT_EQ(rewritten("CREATE VIEW v AS SELECT * FROM t`x`", mapping()),
            "CREATE OR REPLACE VIEW `b`.`v` AS SELECT * FROM `b`.`t` `x`");
  EXPECT_EQ(rewritten("ALTER TABLE`t`NOWAIT`ADD` int", mapping()), "ALTER TABLE`b`.`t` `ADD` int");
  EXPECT_EQ(rewritten("CREATE TABLE t (a int)ENGINE'MyISAM'COMMENT 'x'", mapping()),
            "CREATE TABLE `b`.`t` (a int)ENGINE InnoDB COMMENT 'x'");
}

TEST(Ddl, QuotesSurviveRewriting) {
  EXPECT_EQ(rewritten("CREATE TABLE `we``ird` (`a` varchar(9) DEFAULT 't')", mapping()),
            "CREATE TABLE `b`.`we``ird` (`a` varchar(9) DEFAULT 't')");
  EXPECT_EQ(rewritten("CREATE TABLE \"t\" (\"a\" int)", mapping(), {}, kAnsiQuotes),
            "CREATE TABLE `b`.`t` (\"a\" int)");
}

TEST(CreateTable, Splits) {
  const char* text =
      "CREATE TABLE `t` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `p` int(11) DEFAULT NULL,\n  `g` int(11) "
      "GENERATED "
      "ALWAYS AS (`p` + 1) VIRTUAL,\n  PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`p`),\n  KEY `k` (`g`),\n  FULLTEXT KEY "
      "`ft` (`x`),\n  CONSTRAINT `f` FOREIGN KEY (`p`) REFERENCES `parent` (`id`) ON DELETE CASCADE,\n  CONSTRAINT `g` "
      "FOREIGN KEY (`p`) REFERENCES `other`.`x` (`id`),\n  CONSTRAINT `c` CHECK (`p` > 0)\n) ENGINE=MyISAM "
      "AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4";
  SplitOptions options;
  options.defer_indexes = true;
  auto parts = split_create_table(text, {"a", "t"}, mapping(), options);
  ASSERT_TRUE(parts.ok()) << parts.error().to_string();
  EXPECT_EQ(parts->create.find("CREATE TABLE `b`.`t` ("), 0u) << parts->create;
  EXPECT_EQ(parts->create.find("FOREIGN"), std::string::npos) << parts->create;
  EXPECT_NE(parts->create.find("FULLTEXT"), std::string::npos) << parts->create;
  EXPECT_NE(parts->create.find("UNIQUE KEY `u`"), std::string::npos);
  EXPECT_NE(parts->create.find("CHECK"), std::string::npos);
  EXPECT_NE(parts->create.find("GENERATED"), std::string::npos);
  EXPECT_NE(parts->create.find("ENGINE=InnoDB AUTO_INCREMENT=17"), std::string::npos);
  ASSERT_EQ(parts->deferred_indexes.size(), 1u);
  EXPECT_EQ(parts->deferred_indexes[0].text, "KEY `k` (`g`)");
  ASSERT_EQ(parts->foreign_keys.size(), 2u);
  EXPECT_EQ(parts->foreign_keys[0].name, "f");
  EXPECT_EQ(parts->foreign_keys[0].text,
            "CONSTRAINT `f` FOREIGN KEY (`p`) REFERENCES `b`.`parent` (`id`) ON DELETE CASCADE");
  EXPECT_TRUE(parts->foreign_keys[0].in_scope);
  EXPECT_FALSE(parts->foreign_keys[1].in_scope);
}

TEST(CreateTable, KeepsTheIndexThatAutoIncrementNeeds) {
  SplitOptions options;
  options.defer_indexes = true;
  auto parts = split_create_table("CREATE TABLE `t` (`n` int NOT NULL AUTO_INCREMENT, KEY `n` (`n`), KEY `m` (`m`))",
                                  {"a", "t"}, mapping(), options);
  ASSERT_TRUE(parts.ok());
  EXPECT_NE(parts->create.find("KEY `n`"), std::string::npos);
  ASSERT_EQ(parts->deferred_indexes.size(), 1u);
}

TEST(CreateTable, ComparesWithoutTheCounter) {
  const std::string before = "CREATE TABLE `t` (\n  `a` int COMMENT '\\n) ENGINE=x AUTO_INCREMENT=5'\n) ENGINE=InnoDB";
  const std::string after = " DEFAULT CHARSET=utf8mb4 COMMENT=' AUTO_INCREMENT=7'";
  EXPECT_EQ(without_counter(before + " AUTO_INCREMENT=17" + after), before + after);
  EXPECT_EQ(without_counter(before + " AUTO_INCREMENT=17"), before);
  EXPECT_EQ(without_counter(before + after), before + after);
  EXPECT_EQ(without_counter(before), before);
}

TEST(CreateTable, RewritesViews) {
  const char* text =
      "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS select `a`.`t`.`id` AS "
      "`id` "
      "from `a`.`t`";
  std::vector<TableName> reads;
  auto view = rewrite_view(text, {"a", "v"}, mapping(), true, &reads);
  ASSERT_TRUE(view.ok()) << view.error().to_string();
  EXPECT_EQ(
      *view,
      "CREATE OR REPLACE ALGORITHM=UNDEFINED  SQL SECURITY DEFINER VIEW `b`.`v` AS select `b`.`t`.`id` AS `id` from "
      "`b`.`t`");
  EXPECT_EQ(reads, (std::vector<TableName>{{"a", "t"}}));
}

// Every statement cut off at every byte, and with every byte replaced, is parsed and rewritten without harm.
TEST(Ddl, SurvivesHostileTexts) {
  const std::string texts[] = {
      "CREATE OR REPLACE TABLE a.t (x int REFERENCES p(i) ON DELETE SET NULL, FOREIGN KEY (x) REFERENCES q (i)) "
      "ENGINE=x "
      "PARTITION BY HASH(x) (PARTITION p ENGINE=y) /*!50100 UNION=(u) */",
      "ALTER ONLINE TABLE t WAIT 5 ADD (a int, FOREIGN KEY (a) REFERENCES p(a)), RENAME TO u, EXCHANGE PARTITION p "
      "WITH "
      "TABLE z, ALGORITHM=COPY",
      "CREATE ALGORITHM=x DEFINER=a@b VIEW v(c) AS WITH q(x) AS (SELECT 1 FROM z) SELECT a.t.* FROM (a.t x, b) JOIN q",
      "ALTER TABLE t ALTER engine SET DEFAULT (nextval(a.s)), TABLESPACE engine, REORGANIZE PARTITION engine INTO "
      "(PARTITION engine VALUES IN (1) (SUBPARTITION s ENGINE=x)), ORDER BY engine DESC, algorithm",
      "RENAME TABLE a TO b, c.d WAIT 1 TO e.f",
      "DROP TABLE IF EXISTS a, `b`.`c`, \"d\"",
      "SET STATEMENT a=(1) FOR CREATE SEQUENCE s ENGINE 'x'"};
  TableMapping m = mapping({}, {});
  auto feed = [&](const std::string& sql) {
    for (uint64_t mode : {uint64_t{0}, kAnsiQuotes | kNoBackslash}) {
      auto s = parse_ddl(sql, "a", mode);
      if (!s.ok()) continue;
      DdlRewriteOptions options{"c", true, true};
      (void)rewrite_ddl(sql, *s, m, mode, options).ok();
      (void)split_create_table(sql, {"a", "t"}, m, {}).ok();
    }
  };
  for (const std::string& text : texts) {
    for (size_t i = 0; i < text.size(); ++i) {
      feed(text.substr(0, i));
      feed(text.substr(i));
      for (char c : {'(', ')', ',', '.', '\'', '`', '\0', ';', '\xff'}) {
        std::string changed = text;
        changed[i] = c;
        feed(changed);
      }
    }
  }
  feed(std::string(200'000, '('));
  feed("CREATE VIEW v AS SELECT * FROM " + std::string(100'000, '('));
  feed("CREATE TABLE t (" + std::string(100'000, ',') + ")");
  std::string nested;
  for (int i = 0; i < 20'000; ++i) nested += "(SELECT * FROM ";
  feed("CREATE VIEW v AS SELECT * FROM " + nested);
}

}  // namespace
}  // namespace sluice::mysql
