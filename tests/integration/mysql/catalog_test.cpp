// Catalog against a real server.
#include "engines/mysql/catalog.hpp"

#include <gtest/gtest.h>

#include "tests/support/mariadb.hpp"

namespace sluice::mysql {
namespace {

using sluice::testing::MariaDbServer;

class CatalogTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new MariaDbServer(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    server_->sql("CREATE OR REPLACE DATABASE d CHARACTER SET utf8mb4");
    auto connection = Connection::open(server_->endpoint(), {.purpose = Purpose::kCatalog});
    ASSERT_TRUE(connection.ok()) << connection.error().to_string();
    connection_ = std::move(*connection);
  }
  TableSchema read(const std::string& table) {
    auto schema = read_table(*connection_, {"d", table});
    EXPECT_TRUE(schema.ok()) << schema.error().to_string();
    return schema.ok() ? *schema : TableSchema();
  }
  static MariaDbServer* server_;
  std::unique_ptr<Connection> connection_;
};
MariaDbServer* CatalogTest::server_ = nullptr;

TEST_F(CatalogTest, ColumnsOfEveryType) {
  server_->sql(R"(CREATE TABLE d.t (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, ti TINYINT, f FLOAT, dd DOUBLE UNSIGNED,
    de DECIMAL(20,5), bi BIT(9), y YEAR, dt DATETIME(3), ts TIMESTAMP(6) NULL ON UPDATE CURRENT_TIMESTAMP(6),
    ti2 TIME(2),
    c CHAR(7) CHARACTER SET latin1, v VARCHAR(30) CHARACTER SET utf16 COLLATE utf16_bin NOT NULL, tx MEDIUMTEXT,
    bin BINARY(16), vb VARBINARY(20), bl LONGBLOB, e ENUM('a','b''c','ö\\x'), s SET('x','y'), j JSON, g POINT, u UUID,
    i4 INET4, i6 INET6, gv INT AS (ti+1) VIRTUAL, gs INT AS (ti+2) STORED, inv INT INVISIBLE,
    zf INT(5) UNSIGNED ZEROFILL))");
  const auto t = read("t");
  ASSERT_EQ(t.columns.size(), 27U);
  EXPECT_EQ(t.engine, "InnoDB");
  const auto& c = [&](const char* name) -> const Column& {
    return t.columns[static_cast<size_t>(t.column_index(name))];
  };
  EXPECT_TRUE(c("id").is_unsigned && c("id").auto_increment && !c("id").nullable);
  EXPECT_EQ(c("ti").type, ColumnType::kTinyInt);
  EXPECT_TRUE(c("ti").nullable && !c("ti").is_unsigned && !c("ti").generated);
  EXPECT_TRUE(c("dd").is_unsigned);
  EXPECT_EQ(c("de").length, 20U);
  EXPECT_EQ(c("de").scale, 5);
  EXPECT_EQ(c("bi").length, 9U);
  EXPECT_EQ(c("dt").scale, 3);
  EXPECT_EQ(c("ts").scale, 6);
  EXPECT_TRUE(c("ts").on_update_now);
  EXPECT_EQ(c("ti2").scale, 2);
  EXPECT_EQ(c("c").charset, "latin1");
  EXPECT_EQ(c("c").length, 7U);
  EXPECT_EQ(c("v").collation, "utf16_bin");
  EXPECT_EQ(c("v").length, 30U);
  EXPECT_EQ(c("tx").type, ColumnType::kText);
  EXPECT_EQ(c("bin").length, 16U);
  EXPECT_EQ(c("vb").length, 20U);
  EXPECT_TRUE(c("bl").charset.empty());
  EXPECT_EQ(c("e").labels, (std::vector<std::string>{"a", "b'c", "ö\\x"}));
  EXPECT_EQ(c("s").labels, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(c("j").type, ColumnType::kText);  // MariaDB's JSON is LONGTEXT
  EXPECT_EQ(c("g").type, ColumnType::kGeometry);
  EXPECT_EQ(c("u").type, ColumnType::kUuid);
  EXPECT_EQ(c("i4").type, ColumnType::kInet4);
  EXPECT_EQ(c("i6").type, ColumnType::kInet6);
  EXPECT_TRUE(c("gv").generated && c("gs").generated);
  EXPECT_TRUE(c("inv").invisible);
  EXPECT_EQ(c("zf").sql_type, "int(5) unsigned zerofill");
  for (const auto& column : t.columns) EXPECT_FALSE(column.sql_type.empty()) << column.name;
}

TEST_F(CatalogTest, KeysAndForeignKeys) {
  server_->sql(R"(CREATE TABLE d.p (a INT, b INT, PRIMARY KEY (b,a));
    CREATE TABLE d.c (id INT NOT NULL, pa INT, pb INT, t TEXT, n VARCHAR(9) NOT NULL, KEY plain (t(10)),
      UNIQUE KEY un (n), PRIMARY KEY (id),
      CONSTRAINT fk FOREIGN KEY (pb,pa) REFERENCES p (b,a) ON DELETE CASCADE ON UPDATE SET NULL))");
  const auto c = read("c");
  ASSERT_GE(c.keys.size(), 3U);
  EXPECT_TRUE(c.keys[0].primary);
  EXPECT_EQ(c.keys[1].name, "un");
  EXPECT_TRUE(c.keys[1].unique);
  const auto plain = std::find_if(c.keys.begin(), c.keys.end(), [](const Key& k) { return k.name == "plain"; });
  ASSERT_NE(plain, c.keys.end());
  EXPECT_EQ(plain->parts[0].prefix_length, 10U);
  EXPECT_FALSE(plain->unique);
  ASSERT_EQ(c.foreign_keys.size(), 1U);
  const auto& fk = c.foreign_keys[0];
  EXPECT_EQ(fk.columns, (std::vector<std::string>{"pb", "pa"}));
  EXPECT_EQ(fk.referenced_columns, (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(fk.referenced_table, "p");
  EXPECT_EQ(fk.on_delete, ForeignKeyAction::kCascade);
  EXPECT_EQ(fk.on_update, ForeignKeyAction::kSetNull);
  const auto p = read("p");
  ASSERT_NE(p.row_key(), nullptr);
  EXPECT_EQ(p.row_key()->parts[0].column, 1U);
  const auto children = foreign_keys_to(*connection_, {{"d", "p"}});
  ASSERT_TRUE(children.ok());
  ASSERT_EQ(children->size(), 1U);
  EXPECT_EQ(children.value()[0].child, (TableName{"d", "c"}));
  EXPECT_TRUE(children.value()[0].key.changes_child());
}

TEST_F(CatalogTest, ManyTablesInFewQueries) {
  std::vector<TableName> names;
  for (int i = 0; i < 40; ++i) {
    server_->sql("CREATE TABLE d.t" + std::to_string(i) + " (a INT PRIMARY KEY, b INT UNIQUE)");
    names.push_back({"d", "t" + std::to_string(i)});
  }
  names.push_back({"d", "missing"});
  const auto before = std::stoull(server_->query_value(
      "SELECT variable_value FROM information_schema.global_status WHERE variable_name='QUESTIONS'"));
  const auto tables = read_tables(*connection_, names);
  const auto after = std::stoull(server_->query_value(
      "SELECT variable_value FROM information_schema.global_status WHERE variable_name='QUESTIONS'"));
  ASSERT_TRUE(tables.ok());
  EXPECT_EQ(tables->size(), 40U);
  EXPECT_EQ(tables->at({"d", "t7"}).keys.size(), 2U);
  EXPECT_LT(after - before, 15U);
  EXPECT_EQ(read_table(*connection_, {"d", "missing"}).error().code(), ErrorCode::NOT_FOUND);
}

TEST_F(CatalogTest, ListsWhatIsInScope) {
  server_->sql(R"(CREATE TABLE d.a (i INT); CREATE TABLE d.b (i INT) ENGINE=MyISAM; CREATE VIEW d.v AS SELECT 1)");
  const auto mapping = TableMapping::create({"d.*"}, {"d.b"}, {});
  ASSERT_TRUE(mapping.ok());
  const auto databases = list_databases(*connection_, *mapping);
  ASSERT_TRUE(databases.ok());
  EXPECT_EQ(*databases, std::vector<std::string>{"d"});
  const auto tables = list_tables(*connection_, *mapping);
  ASSERT_TRUE(tables.ok());
  ASSERT_EQ(tables->size(), 2U);
  EXPECT_EQ(tables.value()[0].name.table, "a");
  EXPECT_TRUE(tables.value()[0].transactional());
  EXPECT_EQ(tables.value()[1].type, "VIEW");
  const auto all = list_tables(*connection_, TableMapping());
  ASSERT_TRUE(all.ok());
  for (const auto& table : *all) EXPECT_EQ(table.name.database, "d");
}

TEST_F(CatalogTest, Definitions) {
  server_->sql("CREATE TABLE d.`a``b` (i INT); CREATE VIEW d.v AS SELECT 1 AS one");
  EXPECT_NE(show_create_table(*connection_, {"d", "a`b"})->find("CREATE TABLE `a``b`"), std::string::npos);
  EXPECT_NE(show_create_database(*connection_, "d")->find("utf8mb4"), std::string::npos);
  EXPECT_NE(show_create_view(*connection_, {"d", "v"})->find("VIEW `d`.`v`"), std::string::npos);
  EXPECT_EQ(show_create_table(*connection_, {"d", "none"}).error().code(), ErrorCode::NOT_FOUND);
  EXPECT_EQ(variable(*connection_, "server_id").value(), "1");
  EXPECT_EQ(variable(*connection_, "no_such_thing").error().code(), ErrorCode::NOT_FOUND);
  EXPECT_EQ(variable(*connection_, "x; DROP").error().code(), ErrorCode::INVALID_ARGUMENT);
  EXPECT_FALSE(show_grants(*connection_)->empty());
}

TEST_F(CatalogTest, TableIdsShowTruncateAndRename) {
  server_->sql(
      "CREATE TABLE d.`t-ä` (i INT); CREATE TABLE d.u (i INT); CREATE TABLE d.p (i INT) PARTITION BY HASH(i) "
      "PARTITIONS 3");
  const TableName name{"d", "t-ä"};
  const auto first = server_table_id(*connection_, name);
  ASSERT_TRUE(first.ok()) << first.error().to_string();
  EXPECT_FALSE(first->empty());
  server_->sql("TRUNCATE d.`t-ä`");
  const auto truncated = server_table_id(*connection_, name).value();
  EXPECT_NE(truncated, *first);
  server_->sql("RENAME TABLE d.`t-ä` TO d.x, d.u TO d.`t-ä`");
  EXPECT_NE(server_table_id(*connection_, name).value(), truncated);
  EXPECT_EQ(server_table_id(*connection_, {"d", "x"}).value(), truncated);
  const auto partitions = server_table_id(*connection_, {"d", "p"}).value();
  EXPECT_EQ(std::count(partitions.begin(), partitions.end(), ','), 2);
  EXPECT_EQ(server_table_id(*connection_, {"d", "none"}).value(), "");
}

TEST(Catalog, ServersThatFoldNamesFindThem) {
  MariaDbServer server({.binlog = false, .args = {"--lower-case-table-names=1"}});
  server.sql("CREATE DATABASE Shop; CREATE TABLE Shop.Orders (Id INT PRIMARY KEY)");
  auto connection = Connection::open(server.endpoint(), {.purpose = Purpose::kCatalog});
  ASSERT_TRUE(connection.ok());
  const auto schema = read_table(**connection, {"Shop", "Orders"});
  ASSERT_TRUE(schema.ok()) << schema.error().to_string();
  EXPECT_EQ(schema->name, "orders");
  EXPECT_EQ(schema->columns[0].name, "Id");
  ASSERT_EQ(schema->keys.size(), 1U);
  // Letters that are not ASCII as well; and tables that refer to one are found by its name as it was written.
  server.sql(
      "CREATE TABLE Shop.`Ärzte` (id INT PRIMARY KEY); CREATE TABLE Shop.Termine (id INT PRIMARY KEY, CONSTRAINT f "
      "FOREIGN KEY (id) REFERENCES `Ärzte` (id))");
  const auto doctors = read_table(**connection, {"Shop", "Ärzte"});
  ASSERT_TRUE(doctors.ok()) << doctors.error().to_string();
  EXPECT_EQ(doctors->name, "ärzte");
  const auto children = foreign_keys_to(**connection, {{"Shop", "Ärzte"}});
  ASSERT_TRUE(children.ok()) << children.error().to_string();
  ASSERT_EQ(children->size(), 1U);
  EXPECT_EQ((*children)[0].child, (TableName{"shop", "termine"}));
}

}  // namespace
}  // namespace sluice::mysql
