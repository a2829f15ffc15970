// BinlogReader against a real MySQL: the one of `./dev setup mysql`, or an 8.0 or later that SLUICE_TEST_MYSQL_URL
// names (user with all privileges; GTIDs on). Skipped without either: Debian 12 has no MySQL server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "engines/mysql/binlog/events.hpp"
#include "tests/integration/mysql/binlog_recorder.hpp"
#include "tests/support/mysql_server.hpp"

namespace sluice::mysql {
namespace {

using namespace binlog_testing;
using sluice::testing::MySqlServer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BinlogMySqlTest : public ::testing::Test {
 protected:
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    const char* url = std::getenv("SLUICE_TEST_MYSQL_URL");
    if (url != nullptr) {
      endpoint_ = std::move(Endpoint::parse_url(url)).value();
    } else {
      if (const std::string why = MySqlServer::missing(); !why.empty()) GTEST_SKIP() << why;
      if (server_ == nullptr) server_ = std::make_unique<MySqlServer>();
      endpoint_ = server_->endpoint();
    }
    ConnectOptions options;
    options.purpose = Purpose::kCatalog;
    connection_ = std::move(Connection::open(endpoint_, options)).value();
    sql("SET GLOBAL binlog_row_metadata=FULL");
    sql("DROP DATABASE IF EXISTS t");
    sql("CREATE DATABASE t");
    start_ = end();
  }
  void sql(const std::string& statement) {
    auto result = connection_->exec(statement);
    ASSERT_TRUE(result.ok()) << result.error().to_string();
  }
  Position end() {
    auto row = connection_->query("SHOW BINARY LOG STATUS");
    if (!row.ok()) row = connection_->query("SHOW MASTER STATUS");
    auto& cells = row->rows.at(0);
    std::string gtids = *cells.at(4);
    std::erase(gtids, '\n');
    return {*cells.at(0), std::stoull(*cells.at(1)), gtids};
  }
  Recorder& read() {
    recorder_ = std::make_unique<Recorder>(end());
    CatalogSource source(endpoint_);
    Status status = read_with(endpoint_, start_, source, *recorder_);
    EXPECT_TRUE(status.ok()) << status.error().to_string();
    return *recorder_;
  }
  Error read_error() {
    Recorder recorder(end());
    CatalogSource source(endpoint_);
    Status status = read_with(endpoint_, start_, source, recorder);
    return status.ok() ? Error(ErrorCode::INTERNAL, "it was read without an error") : status.error();
  }
  void expect_at_end(const Position& position) {
    Position server = end();
    server.gtids = *normalize_gtid_set(server.gtids);
    EXPECT_EQ(server.to_string(), position.to_string());
  }
  void expect_same(const std::string& table) {
    Recorder& recorder = read();
    ASSERT_TRUE(recorder.schemas.count(table)) << table;
    EXPECT_EQ(select_rows(endpoint_, *recorder.schemas[table]), recorder.tables[table]) << table;
  }

  inline static std::unique_ptr<MySqlServer> server_;
  Endpoint endpoint_;
  std::unique_ptr<Connection> connection_;
  Position start_;
  std::unique_ptr<Recorder> recorder_;
};

TEST_F(BinlogMySqlTest, TransactionsAndGtids) {
  sql("CREATE TABLE t.a (id INT PRIMARY KEY, v VARCHAR(20))");
  sql("INSERT INTO t.a VALUES (1,'one'),(2,NULL)");
  sql("UPDATE t.a SET v='two' WHERE id=2");
  sql("DELETE FROM t.a WHERE id=1");
  Recorder& recorder = read();
  EXPECT_THAT(recorder.notes,
              ElementsAre("begin", "ddl CREATE TABLE t.a (id INT PRIMARY KEY, v VARCHAR(20))", "commit", "begin",
                          "insert a 1|'one'", "insert a 2|NULL", "commit", "begin", "update a 2|NULL -> 2|'two'",
                          "commit", "begin", "delete a 1|'one'", "commit"));
  expect_at_end(recorder.last);
}

TEST_F(BinlogMySqlTest, EveryTypeComesOutAsASelectSaysIt) {
  for (const char* metadata : {"FULL", "MINIMAL"}) {
    SCOPED_TRACE(metadata);
    sql(std::string("SET GLOBAL binlog_row_metadata=") + metadata);
    sql("DROP TABLE IF EXISTS t.a");
    start_ = end();
    sql("CREATE TABLE t.a (id INT PRIMARY KEY, i1 TINYINT, u8 BIGINT UNSIGNED, f FLOAT, d DOUBLE, n DECIMAL(30,10), b "
        "BIT(20),"
        " y YEAR, dt DATE, t6 TIME(6), dt3 DATETIME(3), ts6 TIMESTAMP(6) NULL, c CHAR(10), cl CHAR(5) CHARACTER SET "
        "latin1,"
        " vc VARCHAR(300), bn BINARY(8), vb VARBINARY(30), tx TEXT, bl LONGBLOB, e ENUM('x','y'), s SET('a','b','c'), "
        "j JSON,"
        " g GEOMETRY, gen INT AS (id * 2) VIRTUAL, inv INT INVISIBLE)");
    sql("INSERT INTO t.a (id,i1,u8,f,d,n,b,y,dt,t6,dt3,ts6,c,cl,vc,bn,vb,tx,bl,e,s,j,g,inv) VALUES (1,-128,"
        "18446744073709551615,0.1,-1e300,-12345678901234567890.0123456789,1048575,2155,'9999-12-31','-838:59:59.000000'"
        ","
        "'2024-05-06 07:08:09.123','2038-01-19 03:14:07.999999','abc','äé',REPEAT('ü',300),'ab',0x00ff00,'text',"
        "REPEAT('x',100000),'y','a,c','{\"b\": [1, 2.5, 1e30, -0.001, null, true, \"q\\\\\"uo\\\\\\\\te\\\\u0001\"], "
        "\"aa\": "
        "{}, \"c\": "
        "{\"d\": 123456789012, \"big\": 18446744073709551615}}',ST_GeomFromText('POINT(1 2)',4326),7),"
        "(2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,"
        "NULL,NULL)");
    sql("INSERT INTO t.a (id, j) VALUES (3, JSON_OBJECT('d', CAST('2015-01-15' AS DATE), 't', CAST('-10:11:12.5' AS "
        "TIME(6)), "
        "'dt', CAST('2015-01-15 23:24:25.12' AS DATETIME(6)), 'n', 12.30, 'bin', x'00ff', 'pi', PI(), 'whole', 1e0, "
        "'h', 1e15, 'g', 123456789.125e0))");
    sql("INSERT INTO t.a (id, j) VALUES (4, '[]'), (5, '\"s\"'), (6, '17'), (7, CONCAT('[\"', REPEAT('x', 70000), '\", "
        "1, 70000, -70000]'))");
    sql("UPDATE t.a SET id = id + 10, j = JSON_SET(COALESCE(j, '{}'), '$.new', 1)");
    expect_same("a");
  }
}

TEST_F(BinlogMySqlTest, CompressedTransactions) {
  sql("CREATE TABLE t.a (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT)");
  sql("SET SESSION binlog_transaction_compression=ON");
  sql("INSERT INTO t.a (v) VALUES (REPEAT('compress ', 100)), ('x')");
  sql("SET SESSION cte_max_recursion_depth=200000");
  sql("USE t");
  sql("INSERT INTO t.a (v) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT "
      "HEX(i * 7919) FROM n");
  sql("SET SESSION binlog_transaction_compression=OFF");
  sql("DELETE FROM t.a WHERE id < 10");
  expect_same("a");
  expect_at_end(recorder_->last);
}

TEST_F(BinlogMySqlTest, CreateTableSelectIsOneTransaction) {
  sql("CREATE TABLE t.a (id INT)");
  sql("INSERT INTO t.a VALUES (1)");
  start_ = end();
  sql("CREATE TABLE t.b AS SELECT * FROM t.a");
  Recorder& recorder = read();
  ASSERT_EQ(4U, recorder.notes.size());
  EXPECT_THAT(recorder.notes[1], HasSubstr("ddl CREATE TABLE `t`.`b`"));
  EXPECT_THAT(recorder.notes[1], ::testing::Not(HasSubstr("START TRANSACTION")));
  EXPECT_EQ("insert b 1", recorder.notes[2]);
}

TEST_F(BinlogMySqlTest, XaBranches) {
  sql("CREATE TABLE t.a (id INT PRIMARY KEY)");
  start_ = end();
  sql("SET SESSION xa_detach_on_prepare=ON");
  for (const char* name : {"keep", "drop"}) {
    std::string xid = std::string("'") + name + "'";
    sql("XA START " + xid);
    sql(std::string("INSERT INTO t.a VALUES (") + (name[0] == 'k' ? "1" : "2") + ")");
    sql("XA END " + xid);
    sql("XA PREPARE " + xid);
  }
  EXPECT_TRUE(read().notes.empty());
  sql("XA COMMIT 'keep'");
  sql("XA ROLLBACK 'drop'");
  sql("XA START 'once'");
  sql("INSERT INTO t.a VALUES (3)");
  sql("XA END 'once'");
  sql("XA COMMIT 'once' ONE PHASE");
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 1", "commit", "begin", "insert a 3", "commit"));
}

TEST_F(BinlogMySqlTest, StartsByGtidAndTagsAreRead) {
  sql("CREATE TABLE t.a (id INT PRIMARY KEY)");
  Position middle = end();
  sql("INSERT INTO t.a VALUES (1)");
  sql("SET SESSION gtid_next='AUTOMATIC:sluice'");
  sql("INSERT INTO t.a VALUES (2)");
  sql("SET SESSION gtid_next='AUTOMATIC'");
  sql("FLUSH BINARY LOGS");
  sql("INSERT INTO t.a VALUES (3)");
  start_ = {"", 0, middle.gtids};
  Recorder& recorder = read();
  EXPECT_THAT(recorder.notes, ElementsAre("begin", "insert a 1", "commit", "begin", "insert a 2", "commit", "begin",
                                          "insert a 3", "commit"));
  EXPECT_THAT(recorder.gtids[1], HasSubstr(":sluice:"));
  start_ = recorder.last;
  start_.file.clear();
  sql("INSERT INTO t.a VALUES (4)");
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 4", "commit"));
}

TEST_F(BinlogMySqlTest, Refusals) {
  sql("CREATE TABLE t.a (id INT PRIMARY KEY, j JSON)");
  sql("INSERT INTO t.a VALUES (1, '{\"a\": 1, \"b\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}')");
  start_ = end();
  sql("SET SESSION binlog_row_value_options='PARTIAL_JSON'");
  sql("UPDATE t.a SET j=JSON_SET(j, '$.a', 2)");
  sql("SET SESSION binlog_row_value_options=''");
  EXPECT_EQ("BINLOG_FORMAT", read_error().id());
  start_ = end();
  sql("SET SESSION binlog_format=STATEMENT");
  sql("UPDATE t.a SET id=2");
  sql("SET SESSION binlog_format=ROW");
  EXPECT_EQ("STATEMENT_IN_LOG", read_error().id());
  start_ = end();
  sql("SET SESSION binlog_row_image=MINIMAL");
  sql("UPDATE t.a SET id=3");
  sql("SET SESSION binlog_row_image=FULL");
  EXPECT_EQ("BINLOG_FORMAT", read_error().id());
  start_ = {"", 0, "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"};
  EXPECT_FALSE(read_error().retryable()) << read_error().to_string();
}

}  // namespace
}  // namespace sluice::mysql
