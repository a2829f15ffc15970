// BinlogReader against a real MariaDB server: what the log's decoder says is what a SELECT says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/integration/mysql/binlog_recorder.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace sluice::mysql {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace binlog_testing;
using testing::MariaDbOptions;
using testing::MariaDbServer;

Position end_of(MariaDbServer& server) {
  auto row = server.query("SHOW MASTER STATUS").at(0);
  return {*row.at(0), std::stoull(*row.at(1)), server.query_value("SELECT @@global.gtid_binlog_pos")};
}

class BinlogTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    MariaDbOptions options;
    options.args = {"--max-allowed-packet=67108864"};
    server_ = new MariaDbServer(options);
  }
  static void TearDownTestSuite() { delete std::exchange(server_, nullptr); }
  void SetUp() override {
    server().sql(
        "SET GLOBAL binlog_row_metadata=FULL; SET GLOBAL log_bin_compress=0; SET GLOBAL binlog_checksum='CRC32';"
        "DROP DATABASE IF EXISTS t; CREATE DATABASE t CHARACTER SET utf8mb4");
    start_ = end_of(server());
  }
  static MariaDbServer& server() { return *server_; }

  // Everything since the start of the test, from its end to ours.
  Recorder& read() {
    recorder_ = std::make_unique<Recorder>(end_of(server()));
    CatalogSource source(server().endpoint());
    Status status = read_with(server().endpoint(), start_, source, *recorder_);
    EXPECT_TRUE(status.ok()) << status.error().to_string();
    return *recorder_;
  }
  Error read_error() {
    Recorder recorder(end_of(server()));
    CatalogSource source(server().endpoint());
    Status status = read_with(server().endpoint(), start_, source, recorder);
    return status.ok() ? Error(ErrorCode::INTERNAL, "it was read without an error") : status.error();
  }
  void expect_same(Recorder& recorder, const std::string& table) {
    ASSERT_TRUE(recorder.schemas.count(table)) << table;
    EXPECT_EQ(select_rows(server().endpoint(), *recorder.schemas[table]), recorder.tables[table]) << table;
  }

  static MariaDbServer* server_;
  Position start_;
  std::unique_ptr<Recorder> recorder_;
};
MariaDbServer* BinlogTest::server_ = nullptr;

TEST_F(BinlogTest, ReadsInsertUpdateDeleteAsTransactions) {
  server().sql("CREATE TABLE t.a (id INT PRIMARY KEY, v VARCHAR(20))");
  server().sql(
      "INSERT INTO t.a VALUES (1,'one'),(2,NULL); UPDATE t.a SET v='two' WHERE id=2; DELETE FROM t.a WHERE id=1");
  Recorder& recorder = read();
  EXPECT_THAT(recorder.notes,
              ElementsAre("begin", "ddl CREATE TABLE t.a (id INT PRIMARY KEY, v VARCHAR(20))", "commit", "begin",
                          "insert a 1|'one'", "insert a 2|NULL", "commit", "begin", "update a 2|NULL -> 2|'two'",
                          "commit", "begin", "delete a 1|'one'", "commit"));
  EXPECT_EQ(end_of(server()), recorder.last);
  EXPECT_EQ(server().query_value("SELECT @@global.gtid_binlog_pos"), recorder.gtids.back());
}

// Every type, with its least and greatest values, NULL and odd ones.
const char* const kAllTypes =
    "CREATE TABLE t.all_types (id INT PRIMARY KEY,"
    " i1 TINYINT, u1 TINYINT UNSIGNED, i2 SMALLINT, u2 SMALLINT UNSIGNED, i3 MEDIUMINT, u3 MEDIUMINT UNSIGNED,"
    " i4 INT, u4 INT UNSIGNED, i8 BIGINT, u8 BIGINT UNSIGNED, f FLOAT, d DOUBLE,"
    " n1 DECIMAL(65,30), n2 DECIMAL(1,1), n3 DECIMAL(18,9), n4 DECIMAL(10,0), b1 BIT(1), b64 BIT(64), y YEAR,"
    " dt DATE, t0 TIME, t3 TIME(3), t6 TIME(6), dt0 DATETIME, dt2 DATETIME(2), dt6 DATETIME(6),"
    " ts0 TIMESTAMP NULL, ts4 TIMESTAMP(4) NULL, ts6 TIMESTAMP(6) NULL,"
    " c CHAR(10), cl CHAR(5) CHARACTER SET latin1, c255 CHAR(255), vc VARCHAR(20), vl VARCHAR(300) CHARACTER SET "
    "latin1,"
    " vg VARCHAR(20) CHARACTER SET gbk, tt TINYTEXT, tx TEXT, mt MEDIUMTEXT, lt LONGTEXT,"
    " bn BINARY(8), vb VARBINARY(300), tb TINYBLOB, bl BLOB, mb MEDIUMBLOB, lb LONGBLOB,"
    " e ENUM('x','y','é') CHARACTER SET latin1, s SET('a','b','c'), j JSON, g GEOMETRY, p POINT, uu UUID, i6 INET6, "
    "i44 INET4,"
    " cc VARCHAR(100) COMPRESSED, cb BLOB COMPRESSED)";

const char* const kAllTypesRows =
    "INSERT INTO t.all_types VALUES (1,-128,0,-32768,0,-8388608,0,-2147483648,0,-9223372036854775808,0,-3.402823e38,"
    "-1.7976931348623157e308,-99999999999999999999999999999999999.999999999999999999999999999999,-0.9,-999999999."
    "999999999,"
    "-9999999999,0,0,1901,'1000-01-01','-838:59:59','-00:00:00.1','-838:59:59.999999','1000-01-01','1000-01-01 "
    "00:00:00.01',"
    "'1000-01-01 00:00:00.000001','1970-01-01 00:00:01','1970-01-01 00:00:01.0001','1970-01-01 00:00:01.000001',"
    "'','','','','','','','','','','','','','','','',1,'','{}',ST_GeomFromText('POINT(1 "
    "2)',4326),ST_GeomFromText('POINT(-1 0)'),"
    "'00000000-0000-0000-0000-000000000000','::','0.0.0.0','','');"
    "INSERT INTO t.all_types VALUES (2,127,255,32767,65535,8388607,16777215,2147483647,4294967295,9223372036854775807,"
    "18446744073709551615,3.402823e38,1.7976931348623157e308,"
    "99999999999999999999999999999999999.999999999999999999999999999999,0.9,0.000000001,9999999999,1,"
    "0xffffffffffffffff,2155,"
    "'9999-12-31','838:59:59','838:59:59.999','838:59:59.999999','9999-12-31 23:59:59','9999-12-31 23:59:59.99',"
    "'9999-12-31 23:59:59.999999','2038-01-19 03:14:07','2038-01-19 03:14:07.9999','2038-01-19 03:14:07.999999',"
    "REPEAT('ü',10),'äöü€','c255','it''s \\\\ "
    "\\n',REPEAT('é',300),'你好',REPEAT('x',255),REPEAT('y',60000),REPEAT('z',70000),"
    "REPEAT('ü',40000),'12345678',REPEAT(0xff00,150),0x00,0x0001ff,REPEAT('m',70000),REPEAT('l',70000),3,'a,b,c',"
    "'{\"a\": [1, 2.5, null, \"ü\"]}',ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'),ST_GeomFromText('POINT(1e300 "
    "-1e300)'),"
    "'ffffffff-ffff-ffff-ffff-ffffffffffff','2001:db8::1','255.255.255.255',REPEAT('c',100),REPEAT('blob',1000));"
    "INSERT INTO t.all_types (id) VALUES (3);"
    "SET sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';"
    "INSERT INTO t.all_types (id,f,d,n2,y,dt,dt0,dt6,ts0,ts6,bn,vb,e,t3,t6,uu,i6,c,b64,n3) VALUES "
    "(4,0.1,-0.0,0,0,'0000-00-00',"
    "'2024-02-31','2024-00-00','0000-00-00','0000-00-00',0x6100000000000000,0x6100,'no "
    "such','-12:34:56.789','-00:00:01.5',"
    "'6ccd780c-baba-1026-9564-5b8c656024db','::ffff:192.0.2.128','a  ',5,0.5);"
    "SET sql_mode=DEFAULT";

TEST_F(BinlogTest, EveryTypeComesOutAsASelectSaysIt) {
  for (const char* metadata : {"FULL", "MINIMAL", "NO_LOG"}) {
    SCOPED_TRACE(metadata);
    server().sql(std::string("SET GLOBAL binlog_row_metadata=") + metadata + "; DROP TABLE IF EXISTS t.all_types");
    start_ = end_of(server());
    server().sql(kAllTypes);
    server().sql(kAllTypesRows);
    expect_same(read(), "all_types");
    server().sql(
        "UPDATE t.all_types SET id=id+10; UPDATE t.all_types SET i1=NULL, lt='changed', t6='01:02:03.4' WHERE id=12;"
        "INSERT INTO t.all_types SELECT * FROM t.all_types WHERE id=12 ON DUPLICATE KEY UPDATE u1=7;"
        "DELETE FROM t.all_types WHERE id=11");
    expect_same(read(), "all_types");
  }
}

TEST_F(BinlogTest, FullMetadataNeedsNoCatalog) {
  server().sql(
      "CREATE TABLE t.a (id INT UNSIGNED, k CHAR(3), e ENUM('ä','b'), v BINARY(4), PRIMARY KEY (k, id));"
      "INSERT INTO t.a VALUES (4294967295,'x','ä',0x01)");
  Recorder recorder(end_of(server()));
  NoSource none;
  Status status = read_with(server().endpoint(), start_, none, recorder);
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  const TableSchema& schema = *recorder.schemas["a"];
  EXPECT_EQ("k", schema.columns[1].name);
  EXPECT_EQ(3U, schema.columns[1].length);
  EXPECT_EQ("utf8mb4", schema.columns[1].charset);
  EXPECT_THAT(schema.columns[2].labels, ElementsAre("ä", "b"));
  ASSERT_NE(nullptr, schema.row_key());
  EXPECT_EQ(2U, schema.row_key()->parts.size());
  EXPECT_EQ(1U, schema.row_key()->parts[0].column);
  expect_same(recorder, "a");
}

// MariaDB's log shows UUID as BINARY(16), in bytes of its own.
TEST_F(BinlogTest, ABinaryThatMayBeAUuidIsRefused) {
  server().sql(
      "CREATE TABLE t.a (id INT PRIMARY KEY, u UUID, i INET4, b BINARY(16));"
      "INSERT INTO t.a VALUES (1, '123e4567-e89b-12d3-a456-426655440000', '1.2.3.4', 0x01)");
  Recorder recorder(end_of(server()));
  NoSource none;
  none.type.reset();
  Status status = read_with(server().endpoint(), start_, none, recorder);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ("SCHEMA_MISMATCH", status.error().id());
  EXPECT_THAT(status.error().cause(), HasSubstr("column u"));
}

TEST_F(BinlogTest, WithoutMetadataAndCatalogItStops) {
  server().sql("SET GLOBAL binlog_row_metadata=NO_LOG; CREATE TABLE t.a (id INT); INSERT INTO t.a VALUES (1)");
  Recorder recorder(end_of(server()));
  NoSource none;
  Status status = read_with(server().endpoint(), start_, none, recorder);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ("SCHEMA_MISMATCH", status.error().id());
  EXPECT_EQ("t.a", status.error().object());
}

TEST_F(BinlogTest, ADefinitionThatDoesNotFitTheLogIsRefused) {
  server().sql(
      "SET GLOBAL binlog_row_metadata=NO_LOG; CREATE TABLE t.a (id INT, v INT); INSERT INTO t.a VALUES (1,2);"
      "ALTER TABLE t.a MODIFY v VARCHAR(20)");
  EXPECT_EQ("SCHEMA_MISMATCH", read_error().id());
}

TEST_F(BinlogTest, GeneratedColumnsAreKnown) {
  server().sql(
      "CREATE TABLE t.a (id INT PRIMARY KEY, v INT AS (id*2) VIRTUAL, s INT AS (id*3) STORED,"
      " u TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP);"
      "INSERT INTO t.a (id) VALUES (1),(2); UPDATE t.a SET id=5 WHERE id=2");
  Recorder& recorder = read();
  const TableSchema& schema = *recorder.schemas["a"];
  EXPECT_TRUE(schema.columns[1].generated && schema.columns[2].generated && schema.columns[3].on_update_now);
  expect_same(recorder, "a");
}

TEST_F(BinlogTest, ALargeTransactionIsOne) {
  server().sql(
      "CREATE TABLE t.a (id INT PRIMARY KEY, v VARCHAR(200));"
      "USE t; INSERT INTO t.a SELECT seq, REPEAT(CHAR(65 + seq % 26), 200) FROM seq_1_to_200000");
  recorder_ = std::make_unique<Recorder>(end_of(server()));
  recorder_->noting_rows = false;
  CatalogSource source(server().endpoint());
  Status status = read_with(server().endpoint(), start_, source, *recorder_);
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(200'000U, recorder_->rows);
  EXPECT_EQ(2U, recorder_->gtids.size());
  expect_same(*recorder_, "a");
}

TEST_F(BinlogTest, AValueGreaterThanAPacketArrives) {
  server().sql(
      "CREATE TABLE t.a (id INT PRIMARY KEY, v LONGBLOB);"
      "INSERT INTO t.a VALUES (1, REPEAT('abcdefgh', 2500000))");
  EXPECT_EQ(1U, read().tables["a"].count("1|'" + server().query_value("SELECT v FROM t.a") + "'"));
}

TEST_F(BinlogTest, GoesOnInTheNextFile) {
  server().sql(
      "CREATE TABLE t.a (id INT PRIMARY KEY); INSERT INTO t.a VALUES (1); FLUSH BINARY LOGS;"
      "INSERT INTO t.a VALUES (2); FLUSH BINARY LOGS; INSERT INTO t.a VALUES (3)");
  Recorder& recorder = read();
  EXPECT_EQ(3U, recorder.tables["a"].size());
  EXPECT_EQ(end_of(server()), recorder.last);
}

TEST_F(BinlogTest, ChecksumOnAndOffAndCompression) {
  server().sql(
      "CREATE TABLE t.a (id INT PRIMARY KEY, v TEXT); SET GLOBAL binlog_checksum='NONE';"
      "INSERT INTO t.a VALUES (1, 'plain'); SET GLOBAL binlog_checksum='CRC32'");
  server().sql("SET GLOBAL log_bin_compress=1; SET GLOBAL log_bin_compress_min_len=10");
  server().sql(
      "USE t; INSERT INTO t.a SELECT seq, REPEAT('squeeze ', 50) FROM seq_10_to_1000;"
      "UPDATE t.a SET v=REPEAT('again ', 50) WHERE id>900; DELETE FROM t.a WHERE id BETWEEN 100 AND 200;"
      "CREATE TABLE t.b (a_rather_long_name_that_is_worth_compressing_in_a_query INT, another_name_of_a_column INT)");
  Recorder& recorder = read();
  EXPECT_THAT(recorder.notes, ::testing::Contains(HasSubstr("ddl CREATE TABLE t.b (a_rather_long_name_that")));
  expect_same(recorder, "a");
}

TEST_F(BinlogTest, StartsWhereChecksumsAreOff) {
  server().sql("SET GLOBAL binlog_checksum='NONE'; CREATE TABLE t.a (id INT)");
  start_ = end_of(server());
  server().sql("INSERT INTO t.a VALUES (1)");
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 1", "commit"));
}

TEST_F(BinlogTest, CreateTableSelectIsOneTransaction) {
  server().sql("CREATE TABLE t.a (id INT); INSERT INTO t.a VALUES (1),(2)");
  start_ = end_of(server());
  server().sql("CREATE TABLE t.b AS SELECT * FROM t.a");
  Recorder& recorder = read();
  ASSERT_EQ(5U, recorder.notes.size());
  EXPECT_THAT(recorder.notes[1], HasSubstr("ddl CREATE TABLE `t`.`b`"));
  EXPECT_EQ("insert b 1", recorder.notes[2]);
  EXPECT_EQ("commit", recorder.notes[4]);
}

TEST_F(BinlogTest, DdlHasItsSurroundings) {
  server().sql("SET NAMES latin1; SET SESSION time_zone='SYSTEM', sql_mode='ANSI_QUOTES'; SET foreign_key_checks=0");
  server().sql("CREATE TABLE t.\"a\" (id INT PRIMARY KEY COMMENT '\xe4'); SET NAMES utf8mb4; SET sql_mode=DEFAULT");
  server().sql("SET foreign_key_checks=1");
  Recorder& recorder = read();
  EXPECT_THAT(recorder.notes,
              ElementsAre("begin", "ddl CREATE TABLE t.\"a\" (id INT PRIMARY KEY COMMENT 'ä')", "commit"));
  EXPECT_THAT(recorder.zones[0], HasSubstr(":"));
}

TEST_F(BinlogTest, TwoPhaseAlterIsAppliedOnce) {
  server().sql("CREATE TABLE t.a (id INT)");
  start_ = end_of(server());
  server().sql("SET binlog_alter_two_phase=1; ALTER TABLE t.a ADD v INT; SET binlog_alter_two_phase=0");
  EXPECT_THAT(read().notes, ElementsAre("begin", "ddl ALTER TABLE t.a ADD v INT", "commit"));
}

TEST_F(BinlogTest, XaBranchesComeWhenTheyAreCommitted) {
  server().sql("CREATE TABLE t.a (id INT PRIMARY KEY, v TEXT)");
  start_ = end_of(server());
  server().sql("XA START 'keep'; INSERT INTO t.a VALUES (1,'x'); XA END 'keep'; XA PREPARE 'keep'");
  Position prepared = end_of(server());
  Recorder& first = read();
  EXPECT_TRUE(first.notes.empty());
  EXPECT_EQ(prepared, first.last);
  // A session that holds a prepared branch may do nothing else: another one works on.
  MariaDbServer::Row id = server().query("SELECT CONNECTION_ID()").at(0);
  server().sql(
      "XA COMMIT 'keep'; INSERT INTO t.a VALUES (2,NULL);"
      "XA START 'drop'; INSERT INTO t.a VALUES (3,''); XA END 'drop'; XA PREPARE 'drop'; XA ROLLBACK 'drop';"
      "XA START 'once'; UPDATE t.a SET id=9 WHERE id=2; XA END 'once'; XA COMMIT 'once' ONE PHASE");
  Recorder& recorder = read();
  EXPECT_THAT(recorder.notes, ElementsAre("begin", "insert a 1|'x'", "commit", "begin", "insert a 2|NULL", "commit",
                                          "begin", "update a 2|NULL -> 9|NULL", "commit"));
  // Who begins after the XA PREPARE finds it in the older part of the log.
  start_ = prepared;
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 1|'x'", "commit", "begin", "insert a 2|NULL", "commit",
                                        "begin", "update a 2|NULL -> 9|NULL", "commit"));
}

TEST_F(BinlogTest, ABranchIsFoundInOlderFilesWhileTheyAreThere) {
  server().sql("CREATE TABLE t.a (id INT PRIMARY KEY)");
  auto prepare = [&](const std::string& xid, int id) {
    auto session = std::move(Connection::open(server().endpoint(), {})).value();
    for (auto& sql : {"XA START '" + xid + "'", "INSERT INTO t.a VALUES (" + std::to_string(id) + ")",
                      "XA END '" + xid + "'", "XA PREPARE '" + xid + "'"}) {
      EXPECT_TRUE(session->exec(sql).ok()) << sql;
    }
    return session;  // holds the branch
  };
  std::vector<std::unique_ptr<Connection>> sessions;
  // An identity that was used before does not mislead, nor does the log of what nobody asked for.
  sessions.push_back(prepare("one", 1));
  EXPECT_TRUE(sessions.back()->exec("XA COMMIT 'one'").ok());
  sessions.push_back(prepare("one", 2));
  sessions.push_back(prepare("two", 3));
  server().sql("INSERT INTO t.a VALUES (4); FLUSH BINARY LOGS; INSERT INTO t.a VALUES (5)");
  sessions.push_back(prepare("three", 6));
  server().sql("FLUSH BINARY LOGS; INSERT INTO t.a VALUES (7)");
  start_ = end_of(server());
  for (size_t n : {3, 1, 2})
    EXPECT_TRUE(sessions[n]->exec(n == 3 ? "XA COMMIT 'three'" : n == 1 ? "XA COMMIT 'one'" : "XA COMMIT 'two'").ok());
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 6", "commit", "begin", "insert a 2", "commit", "begin",
                                        "insert a 3", "commit"));
  // What has been purged cannot be had.
  server().sql("PURGE BINARY LOGS TO '" + start_.file + "'");
  if (server().query("SHOW BINARY LOGS").at(0).at(0) != start_.file) return;  // the server still sends an old file
  Error error = read_error();
  EXPECT_EQ("POSITION_LOST", error.id());
  EXPECT_THAT(error.cause(), AllOf(HasSubstr("XA COMMIT"), HasSubstr("no longer holds")));
}

// MariaDB cannot cut such a branch back, so it logs what was undone.
TEST_F(BinlogTest, WhatABranchUndidIsNotApplied) {
  server().sql("CREATE TABLE t.a (id INT PRIMARY KEY); CREATE TABLE t.m (id INT) ENGINE=MyISAM");
  start_ = end_of(server());
  server().sql(
      "XA START 'x'; INSERT INTO t.m VALUES (1); SAVEPOINT a; INSERT INTO t.a VALUES (100); ROLLBACK TO a;"
      "INSERT INTO t.a VALUES (101); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'");
  Error error = read_error();
  EXPECT_EQ("UNSUPPORTED", error.id());
  EXPECT_THAT(error.cause(), HasSubstr("savepoint a"));
}

TEST_F(BinlogTest, RollbackOfMixedEngines) {
  server().sql("CREATE TABLE t.i (id INT) ENGINE=InnoDB; CREATE TABLE t.m (id INT) ENGINE=MyISAM");
  start_ = end_of(server());
  server().sql(
      "BEGIN; INSERT INTO t.i VALUES (1); INSERT INTO t.m VALUES (2); SAVEPOINT s; INSERT INTO t.i VALUES (3); "
      "ROLLBACK TO s; ROLLBACK; INSERT INTO t.i VALUES (4)");
  Recorder& recorder = read();
  EXPECT_EQ(server().query_value("SELECT COUNT(*) FROM t.m"), "1");
  EXPECT_THAT(recorder.notes, ElementsAre("begin", "insert m 2", "commit", "begin", "insert i 4", "commit"));
}

TEST_F(BinlogTest, OtherDatabasesOnlyMoveThePosition) {
  server().sql("CREATE DATABASE IF NOT EXISTS other; CREATE OR REPLACE TABLE other.x (id INT)");
  start_ = end_of(server());
  server().sql("INSERT INTO other.x VALUES (1),(2); INSERT INTO other.x VALUES (3)");
  Recorder& recorder = read();
  EXPECT_TRUE(recorder.notes.empty());
  EXPECT_EQ(end_of(server()), recorder.last);
  server().sql("DROP DATABASE other");
}

TEST_F(BinlogTest, StartsByGtidAndFallsBackToIt) {
  server().sql("CREATE TABLE t.a (id INT); INSERT INTO t.a VALUES (1)");
  Position middle = end_of(server());
  server().sql("INSERT INTO t.a VALUES (2); FLUSH BINARY LOGS; INSERT INTO t.a VALUES (3)");
  start_ = {"", 0, middle.gtids};
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 2", "commit", "begin", "insert a 3", "commit"));
  EXPECT_EQ(end_of(server()), recorder_->last);
  start_ = {"elsewhere.000001", 4711, middle.gtids};
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 2", "commit", "begin", "insert a 3", "commit"));
  start_ = {middle.file, 4, middle.gtids};  // a file of that name, but not the one of these GTIDs
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 2", "commit", "begin", "insert a 3", "commit"));
}

TEST_F(BinlogTest, AFileStartWithoutGtidsLearnsThem) {
  start_.gtids.clear();
  server().sql("CREATE TABLE t.a (id INT)");
  EXPECT_EQ(end_of(server()), read().last);
}

TEST_F(BinlogTest, APurgedPositionIsLost) {
  server().sql("CREATE TABLE t.a (id INT); INSERT INTO t.a VALUES (1); FLUSH BINARY LOGS; INSERT INTO t.a VALUES (2)");
  // A file that a reader of an earlier test still holds is not purged; the server notices its end at a heartbeat.
  const Position end = end_of(server());
  const auto purged = [&] {
    server().sql("PURGE BINARY LOGS TO '" + end.file + "'");
    return *server().query("SHOW BINARY LOGS").at(0).at(0) == end.file;
  };
  ASSERT_TRUE(testing::wait_until(purged));
  Position by_file = {start_.file, start_.offset, ""};
  std::swap(start_, by_file);
  EXPECT_EQ("POSITION_LOST", read_error().id());
  start_ = {"", 0, by_file.gtids};
  EXPECT_EQ("POSITION_LOST", read_error().id());
  start_ = {"", 0, "0-1-999999999"};
  EXPECT_EQ("SOURCE_DIVERGED", read_error().id());
}

TEST_F(BinlogTest, AStatementInTheLogStops) {
  server().sql("CREATE TABLE t.a (id INT PRIMARY KEY); INSERT INTO t.a VALUES (1)");
  server().sql("SET SESSION binlog_format=STATEMENT; /* hidden */ UPDATE t.a SET id=2; SET SESSION binlog_format=ROW");
  Error error = read_error();
  EXPECT_EQ("STATEMENT_IN_LOG", error.id());
  EXPECT_THAT(error.cause(), HasSubstr("UPDATE t.a"));
  EXPECT_THAT(error.position(), HasSubstr(start_.file + ":"));
}

TEST_F(BinlogTest, AnImageWithoutAllColumnsStops) {
  server().sql("CREATE TABLE t.a (id INT PRIMARY KEY, v INT); INSERT INTO t.a VALUES (1,1)");
  server().sql("SET SESSION binlog_row_image=MINIMAL; UPDATE t.a SET v=2; SET SESSION binlog_row_image=FULL");
  Error error = read_error();
  EXPECT_EQ("BINLOG_FORMAT", error.id());
  EXPECT_EQ("t.a", error.object());
  EXPECT_THAT(error.cause(), HasSubstr("binlog_row_image=FULL"));
}

TEST_F(BinlogTest, AKilledDumpIsALostConnection) {
  class Killer : public Recorder {
   public:
    explicit Killer(MariaDbServer& server) : Recorder({"binlog.999999", 0, ""}), server_(server) {}
    Status on_idle() override {
      if (!std::exchange(killed_, true)) {
        server_.sql("KILL " +
                    server_.query_value("SELECT id FROM information_schema.processlist WHERE command='Binlog Dump'"));
      }
      return Recorder::on_idle();
    }

   private:
    MariaDbServer& server_;
    bool killed_ = false;
  } killer(server());
  CatalogSource source(server().endpoint());
  Status status = read_with(server().endpoint(), start_, source, killer);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ("CONNECTION_LOST", status.error().id()) << status.error().to_string();
}

TEST_F(BinlogTest, AnotherReaderWithTheSameServerIdEndsTheFirst) {
  class Rival : public Recorder {
   public:
    Rival(MariaDbServer& server, Position from)
        : Recorder({"binlog.999999", 0, ""}), server_(server), from_(std::move(from)) {}
    Status on_idle() override {
      if (!other_) other_ = std::move(BinlogReader::open(server_.endpoint(), from_, options(), none_)).value();
      return Recorder::on_idle();
    }

   private:
    MariaDbServer& server_;
    Position from_;
    NoSource none_;
    std::unique_ptr<BinlogReader> other_;
  } rival(server(), start_);
  CatalogSource source(server().endpoint());
  EXPECT_EQ("SERVER_ID_TAKEN", read_with(server().endpoint(), start_, source, rival).error().id());
}

TEST_F(BinlogTest, AFrozenServerIsALostConnectionAndStopWorksFromAnotherThread) {
  CatalogSource source(server().endpoint());
  BinlogOptions quick = options();
  quick.read_timeout = std::chrono::milliseconds(1000);
  auto reader = std::move(BinlogReader::open(server().endpoint(), start_, quick, source)).value();
  Recorder recorder({"binlog.999999", 0, ""});
  server().freeze();
  Status status = reader->read(recorder);
  server().thaw();
  EXPECT_EQ("CONNECTION_LOST", status.error().id());

  reader = std::move(BinlogReader::open(server().endpoint(), start_, options(), source)).value();
  std::thread stopper([&] { reader->stop(); });
  status = reader->read(recorder);
  stopper.join();
  EXPECT_EQ("CANCELLED", status.error().id());
}

TEST_F(BinlogTest, ARestartOfTheServerIsReadThrough) {
  server().sql("CREATE TABLE t.a (id INT PRIMARY KEY); INSERT INTO t.a VALUES (1)");
  server().restart();
  server().sql("INSERT INTO t.a VALUES (2)");
  EXPECT_EQ(2U, read().tables["a"].size());
  server().kill9();
  server().restart();
  server().sql("INSERT INTO t.a VALUES (3)");
  EXPECT_EQ(3U, read().tables["a"].size());
}

TEST(BinlogEncryption, AnEncryptedLogArrivesInClear) {
  testing::TempDir folder("sluice-binlog-keys");
  std::ofstream(folder.file("keys")) << "1;770A8A65DA156D24EE2A093277530142A7ADDD9ADEA9978FDA19F21E6BE98788\n";
  std::filesystem::permissions(folder.file("keys"), std::filesystem::perms(0644));
  MariaDbOptions encrypted;
  encrypted.args = {"--plugin-load-add=file_key_management", "--file-key-management-filename=" + folder.file("keys"),
                    "--encrypt-binlog=1"};
  MariaDbServer server(encrypted);
  server.sql("CREATE DATABASE t");
  Position start = end_of(server);
  server.sql("CREATE TABLE t.a (id INT); INSERT INTO t.a VALUES (1); FLUSH BINARY LOGS; INSERT INTO t.a VALUES (2)");
  Recorder recorder(end_of(server));
  CatalogSource source(server.endpoint());
  Status status = read_with(server.endpoint(), start, source, recorder);
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(2U, recorder.tables["a"].size());
  EXPECT_EQ(end_of(server), recorder.last);
}

TEST_F(BinlogTest, SystemVersionedTablesAreRefused) {
  server().sql("CREATE TABLE t.a (id INT PRIMARY KEY) WITH SYSTEM VERSIONING; INSERT INTO t.a VALUES (1)");
  EXPECT_EQ("UNSUPPORTED", read_error().id());
  start_ = end_of(server());
  server().sql(
      "CREATE TABLE t.b (id INT, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START,"
      " e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING;"
      "INSERT INTO t.b (id) VALUES (1)");
  Error error = read_error();
  EXPECT_EQ("UNSUPPORTED", error.id());
  EXPECT_EQ("t.b", error.object());
}

TEST_F(BinlogTest, EveryDomainOfGtidsIsFollowed) {
  server().sql(
      "CREATE TABLE t.a (id INT PRIMARY KEY); SET gtid_domain_id=5; INSERT INTO t.a VALUES (1); SET gtid_domain_id=0");
  Position middle = end_of(server());
  EXPECT_EQ(middle, read().last);
  server().sql("INSERT INTO t.a VALUES (2); SET gtid_domain_id=5; INSERT INTO t.a VALUES (3); SET gtid_domain_id=0");
  start_ = {"", 0, middle.gtids};
  EXPECT_THAT(read().notes, ElementsAre("begin", "insert a 2", "commit", "begin", "insert a 3", "commit"));
  EXPECT_EQ(end_of(server()).to_string(), recorder_->last.to_string());
}

TEST_F(BinlogTest, TheImageMayLeaveOutUnchangedColumns) {
  server().sql("CREATE TABLE t.a (id INT, v INT, w TEXT); INSERT INTO t.a VALUES (1,1,'x')");
  // Without a key the before image is whole, and so the after image can be completed.
  server().sql("SET SESSION binlog_row_image=MINIMAL; UPDATE t.a SET v=2; SET SESSION binlog_row_image=FULL");
  EXPECT_THAT(read().notes, ::testing::Contains("update a 1|1|'x' -> 1|2|'x'"));
}

TEST_F(BinlogTest, SequencesAreNotTables) {
  server().sql("CREATE SEQUENCE t.s; SELECT NEXTVAL(t.s); CREATE TABLE t.a (id INT); INSERT INTO t.a VALUES (1)");
  Recorder& recorder = read();
  EXPECT_EQ(0U, recorder.tables.count("s"));
  EXPECT_EQ(1U, recorder.tables["a"].size());
}

}  // namespace
}  // namespace sluice::mysql
