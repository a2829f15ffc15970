// Scan and literals against a real server: canonical values, chunks over every kind of key, byte-exact round trips.
#include "engines/mysql/scan.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/record.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/sql_text.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"

namespace sluice::mysql {
namespace {

using sluice::testing::MariaDbServer;

class ScanTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new MariaDbServer(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    server_->sql("CREATE OR REPLACE DATABASE d CHARACTER SET utf8mb4; CREATE OR REPLACE DATABASE e");
    data_ = open(Purpose::kData);
    catalog_ = open(Purpose::kCatalog);
  }
  static std::unique_ptr<Connection> open(Purpose purpose) {
    auto connection = Connection::open(server_->endpoint(), {.purpose = purpose});
    EXPECT_TRUE(connection.ok()) << connection.error().to_string();
    return std::move(*connection);
  }
  TableSchema read(const std::string& table, const std::string& database = "d") {
    auto schema = read_table(*catalog_, {database, table});
    EXPECT_TRUE(schema.ok()) << schema.error().to_string();
    return schema.ok() ? *schema : TableSchema();
  }
  // Walks the table in chunks of `rows` and returns the key of every row, as text, in the order in which it came.
  std::vector<std::string> walk(const TableSchema& schema, uint64_t rows, size_t* chunks = nullptr) {
    std::vector<std::string> keys;
    std::vector<std::string> after;
    size_t count = 0;
    for (uint64_t number = 0;; ++number) {
      auto next = next_chunk(*data_, schema, after, number, rows);
      EXPECT_TRUE(next.ok()) << next.error().to_string();
      if (!next.ok() || !next->has_value()) break;
      const Chunk chunk = Chunk::decode((*next)->encode()).value();
      size_t inside = 0;
      const auto status = scan_chunk(*data_, schema, chunk, [&](std::span<const ValueView> values) -> Status {
        std::string key;
        for (const auto& part : schema.row_key()->parts) {
          append_literal(key, schema.columns[part.column], values[part.column]);
          key += '|';
        }
        keys.push_back(key);
        ++inside;
        return {};
      });
      EXPECT_TRUE(status.ok()) << status.error().to_string();
      EXPECT_LE(inside, rows);
      EXPECT_TRUE(chunk.upto.empty() || inside == rows);
      after = chunk.upto;
      ++count;
    }
    if (chunks != nullptr) *chunks = count;
    return keys;
  }
  void expect_walk(const std::string& table, uint64_t rows) {
    const auto schema = read(table);
    ASSERT_NE(schema.row_key(), nullptr) << table;
    size_t chunks = 0;
    const auto keys = walk(schema, rows, &chunks);
    const auto count = std::stoull(server_->query_value("SELECT COUNT(*) FROM d." + table));
    EXPECT_EQ(keys.size(), count) << table;
    EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), count) << table;
    EXPECT_EQ(chunks, count / rows + 1) << table;
  }
  // How the server would find the rows of the second chunk.
  std::string plan(const TableSchema& schema, uint64_t rows) {
    const auto first = next_chunk(*data_, schema, {}, 0, rows);
    const auto second = next_chunk(*data_, schema, (*first)->upto, 1, rows);
    const auto explained =
        data_->query("EXPLAIN SELECT * FROM " + quote_table(schema.database, schema.name) + " FORCE INDEX (" +
                     quote_name(schema.row_key()->name) + ") WHERE " + (*second)->condition(schema));
    EXPECT_TRUE(explained.ok()) << explained.error().to_string();
    return explained->rows[0][3].value_or("");
  }
  static MariaDbServer* server_;
  std::unique_ptr<Connection> data_, catalog_;
};
MariaDbServer* ScanTest::server_ = nullptr;

constexpr const char* kEveryType =
    R"((id INT PRIMARY KEY, ti TINYINT, tu TINYINT UNSIGNED, bs BIGINT, bu BIGINT UNSIGNED,
    f FLOAT, ff FLOAT(7,4), db DOUBLE, dd DOUBLE(10,2), de DECIMAL(65,30), dz DECIMAL(8,2) ZEROFILL, zf INT(7) ZEROFILL,
    b1 BIT(1), b64 BIT(64), y YEAR, da DATE, ti0 TIME, ti6 TIME(6), dt0 DATETIME, dt6 DATETIME(6),
    ts0 TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL, c CHAR(10), vl VARCHAR(20) CHARACTER SET latin1,
    vu VARCHAR(20) CHARACTER SET utf8mb4, vw VARCHAR(20) CHARACTER SET utf16, vg VARCHAR(20) CHARACTER SET gbk,
    u2 VARCHAR(20) CHARACTER SET ucs2, sj VARCHAR(20) CHARACTER SET sjis, tx LONGTEXT, bi BINARY(5), vb VARBINARY(50),
    bl LONGBLOB, e ENUM('a','b'), s SET('x','y','z'), j JSON, g GEOMETRY, u UUID, i4 INET4, i6 INET6))";

void insert_extremes(MariaDbServer& server) {
  server.sql(R"(SET sql_mode='ALLOW_INVALID_DATES', time_zone='+03:00';
    INSERT INTO d.t (id) VALUES (0);
    INSERT INTO d.t VALUES (1,-128,0,-9223372036854775808,0,-3.402823466e38,-999.9999,-1.7976931348623157e308,
      -12345678.91,
      -99999999999999999999999999999999999.999999999999999999999999999999,0,0,0,0,0,'0000-00-00','-838:59:59',
      '-838:59:59.999999','0000-00-00','0000-00-00','0000-00-00',0,'','','','','','','','','','','','a','','null',
      ST_GeomFromText('POINT(1 2)',4326),'00000000-0000-0000-0000-000000000000','0.0.0.0','::');
    INSERT INTO d.t VALUES (2,127,255,9223372036854775807,18446744073709551615,3.402823466e38,999.0001,
      1.7976931348623157e308,12345678.91,99999999999999999999999999999999999.999999999999999999999999999999,999999.99,
      9999999,1,x'FFFFFFFFFFFFFFFF',2155,'9999-12-31','838:59:59','838:59:59.999999','9999-12-31 23:59:59',
      '9999-12-31 23:59:59.999999','2038-01-19 06:14:07','2038-01-19 06:14:07.999999','a b',
      'é\\''"','😀\n\r\0\Z','😀x','中文','é',
      '表','it''s \\ "q" %_','ab','a\0b\\''','\0\\''',  'b','x,y,z','{"k": "v\\u0041"}',
      ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))'),'ffffffff-ffff-ffff-ffff-ffffffffffff',
      '255.255.255.255','ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');
    INSERT INTO d.t (id,f,db,da,dt0,ts6,vl,vb,s,ti6,c) VALUES (3,1.1,5e-324,'2023-02-31','2021-02-29 01:02:03',
      '2021-06-01 12:00:00.000001',
      'tail  ','tail  ',0,'00:00:00.1','x  '))");
}

TEST_F(ScanTest, ValuesAreCanonical) {
  server_->sql(std::string("CREATE TABLE d.t ") + kEveryType);
  insert_extremes(*server_);
  const auto schema = read("t");
  std::map<int64_t, std::map<std::string, std::string>> rows;
  const auto status = scan_chunk(*data_, schema, Chunk(), [&](std::span<const ValueView> values) -> Status {
    auto& row = rows[values[0].i];
    for (size_t i = 0; i < values.size(); ++i) {
      const auto& v = values[i];
      std::string text = "NULL";
      if (!v.null && v.physical == Physical::kBytes) {
        text = v.bytes;
      } else {
        append_literal(text = "", schema.columns[i], v);
      }
      row[schema.columns[i].name] = text;
    }
    return {};
  });
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  ASSERT_EQ(rows.size(), 4U);
  for (const auto& [name, text] : rows[0]) EXPECT_EQ(text, name == "id" ? "0" : "NULL") << name;
  auto& low = rows[1];
  EXPECT_EQ(low["bs"], "-9223372036854775808");
  EXPECT_EQ(low["dz"], "0.00");
  EXPECT_EQ(low["da"], "0000-00-00");
  EXPECT_EQ(low["ti6"], "-838:59:59.999999");
  EXPECT_EQ(low["ts6"], "0000-00-00 00:00:00.000000");
  EXPECT_EQ(low["y"], "0");
  EXPECT_EQ(low["bi"], std::string(5, '\0'));
  EXPECT_EQ(low["g"].substr(0, 4), std::string("\xe6\x10\0\0", 4));
  auto& high = rows[2];
  EXPECT_EQ(high["bu"], "18446744073709551615");
  EXPECT_EQ(high["b64"], "18446744073709551615");
  EXPECT_EQ(high["db"], "1.7976931348623157e+308");
  EXPECT_EQ(high["de"], "99999999999999999999999999999999999.999999999999999999999999999999");
  EXPECT_EQ(high["dz"], "999999.99");
  EXPECT_EQ(high["ts6"], "2038-01-19 03:14:07.999999");
  EXPECT_EQ(high["vl"], "\xe9\\'\"");
  EXPECT_EQ(high["vw"], std::string("\xd8\x3d\xde\x00\x00\x78", 6));
  EXPECT_EQ(high["vg"], "\xd6\xd0\xce\xc4");
  EXPECT_EQ(high["sj"], "\x95\x5c");
  EXPECT_EQ(high["bi"], std::string("ab\0\0\0", 5));
  EXPECT_EQ(high["e"], "2");
  EXPECT_EQ(high["s"], "7");
  EXPECT_EQ(high["u"], "ffffffff-ffff-ffff-ffff-ffffffffffff");
  auto& odd = rows[3];
  EXPECT_EQ(odd["f"], "1.100000023841858e+00");
  EXPECT_EQ(odd["db"], "5e-324");
  EXPECT_EQ(odd["da"], "2023-02-31");
  EXPECT_EQ(odd["ts6"], "2021-06-01 09:00:00.000001");
  EXPECT_EQ(odd["vl"], "tail  ");
  EXPECT_EQ(odd["c"], "x");
}

TEST_F(ScanTest, LiteralsWriteBackExactly) {
  server_->sql(std::string("CREATE TABLE d.t ") + kEveryType + "; CREATE TABLE e.t " + kEveryType);
  insert_extremes(*server_);
  const auto schema = read("t");
  std::vector<std::string> inserts;
  ASSERT_TRUE(scan_chunk(*data_, schema, Chunk(), [&](std::span<const ValueView> values) -> Status {
                std::string sql = "INSERT INTO e.t VALUES (";
                for (size_t i = 0; i < values.size(); ++i) {
                  if (i > 0) sql += ',';
                  append_literal(sql, schema.columns[i], values[i]);
                }
                inserts.push_back(sql + ")");
                return {};
              }).ok());
  for (const auto& sql : inserts) {
    const auto done = data_->exec(sql);
    ASSERT_TRUE(done.ok()) << done.error().to_string();
    EXPECT_EQ(done->warnings, 0U) << sql;
  }
  EXPECT_EQ(sluice::testing::compare_databases(*server_, *server_, {"d"}, {.database_renames = {{"d", "e"}}}),
            std::vector<std::string>());
}

TEST_F(ScanTest, ExactConditionsFindTheRowAndOnlyIt) {
  server_->sql(std::string("CREATE TABLE d.t ") + kEveryType);
  insert_extremes(*server_);
  const auto schema = read("t");
  std::vector<std::pair<int64_t, std::string>> conditions;
  ASSERT_TRUE(scan_chunk(*data_, schema, Chunk(), [&](std::span<const ValueView> values) -> Status {
                std::string sql;
                for (size_t i = 1; i < values.size(); ++i) {
                  if (i > 1) sql += " AND ";
                  append_exact_condition(sql, schema.columns[i], values[i]);
                }
                conditions.emplace_back(values[0].i, sql);
                return {};
              }).ok());
  for (const auto& [id, sql] : conditions) {
    const auto found = data_->query("SELECT id FROM d.t WHERE " + sql);
    ASSERT_TRUE(found.ok()) << found.error().to_string();
    ASSERT_EQ(found->rows.size(), 1U) << sql;
    EXPECT_EQ(found->rows[0][0], std::to_string(id));
  }
  server_->sql(
      "CREATE TABLE d.k (a VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci); INSERT INTO d.k VALUES "
      "('a'),('A'),('a ')");
  const auto k = read("k");
  for (const char* text : {"a", "A", "a "}) {
    std::string sql = "SELECT COUNT(*) FROM d.k WHERE ";
    append_exact_condition(sql, k.columns[0], ValueView::of_bytes(text));
    EXPECT_EQ(data_->query_value(sql).value(), "1") << text;
  }
}

TEST_F(ScanTest, WalksEveryKindOfKeyByIndex) {
  struct Case {
    const char* table;
    const char* definition;
    const char* values;
    bool by_index = true;
  };
  const Case cases[] = {
      {"ints", "a INT PRIMARY KEY", "CAST(seq AS SIGNED)*3-1000"},
      {"unsigned_big", "a BIGINT UNSIGNED PRIMARY KEY", "18446744073709551615-seq"},
      {"utf8", "a VARCHAR(20) CHARACTER SET utf8mb4 PRIMARY KEY", "CONCAT(ELT(1+seq%4,'a','É','Ä''','中'),seq)"},
      {"latin", "a VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci PRIMARY KEY",
       "CONCAT(ELT(1+seq%3,'a','é','Z\\\\'),seq)"},
      {"utf16", "a VARCHAR(20) CHARACTER SET utf16 PRIMARY KEY", "CONCAT(ELT(1+seq%3,'a','é','中'),seq)"},
      {"gbk", "a VARCHAR(20) CHARACTER SET gbk PRIMARY KEY", "CONCAT(ELT(1+seq%3,'a','中','乗'),seq)"},
      {"fixed", "a CHAR(20) PRIMARY KEY", "CONCAT('k ',seq)"},
      {"bytes", "a BINARY(8) PRIMARY KEY", "UNHEX(LEFT(MD5(seq),16))"},
      {"varbytes", "a VARBINARY(40) PRIMARY KEY", "UNHEX(MD5(seq))"},
      {"decimals", "a DECIMAL(20,6) PRIMARY KEY", "CAST(seq AS SIGNED)/7-10"},
      {"dates", "a DATETIME(6) PRIMARY KEY", "'2020-01-01'+INTERVAL seq*1000001 MICROSECOND"},
      {"times", "a TIME(3) PRIMARY KEY", "SEC_TO_TIME(CAST(seq AS SIGNED)-500.125)"},
      {"stamps", "a TIMESTAMP(6) PRIMARY KEY", "'2020-01-01'+INTERVAL seq*1000001 MICROSECOND"},
      {"uuids", "a UUID PRIMARY KEY", "INSERT(INSERT(MD5(seq),13,1,'4'),17,1,'8')"},
      {"inets", "a INET6 PRIMARY KEY", "CONCAT('2001:db8::',HEX(seq))"},
      {"bits", "a BIT(40) PRIMARY KEY", "seq*1000003"},
      {"doubles", "a DOUBLE PRIMARY KEY", "CAST(seq AS SIGNED)/7-20"},
      {"floats", "a FLOAT PRIMARY KEY", "seq/8"},
      {"composite", "a INT, b VARCHAR(20), c DATE, x INT, PRIMARY KEY (b,a,c)",
       "seq%10,CONCAT('B',seq%7),'2020-01-01'+INTERVAL seq DAY,1"},
      {"enums", "e ENUM('z','y','x'), a INT, PRIMARY KEY (e,a)", "1+seq%3,seq"},
      {"sets", "s SET('z','y','x'), a INT, PRIMARY KEY (s,a)", "seq%8,seq", false},
      {"second", "x INT, a VARCHAR(30) NOT NULL, UNIQUE KEY `odd``name` (a)", "seq,MD5(seq)"},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.table);
    server_->sql(std::string("CREATE TABLE d.") + each.table + " (" + each.definition + ")");
    server_->sql(std::string("INSERT INTO d.") + each.table + " SELECT " + each.values + " FROM d.seq_1_to_1000");
    expect_walk(each.table, 93);
    expect_walk(each.table, 1000);
    if (each.by_index) EXPECT_EQ(plan(read(each.table), 50), "range");
  }
}

TEST_F(ScanTest, EmptyTablesAndTablesWithoutAKeyAreOneChunk) {
  server_->sql(
      "CREATE TABLE d.empty (a INT PRIMARY KEY); CREATE TABLE d.keyless (a INT, b INT UNIQUE); INSERT INTO d.keyless "
      "VALUES (1,1),(1,NULL)");
  EXPECT_TRUE(walk(read("empty"), 10).empty());
  const auto keyless = read("keyless");
  EXPECT_EQ(keyless.row_key(), nullptr);
  const auto only = next_chunk(*data_, keyless, {}, 0, 1);
  ASSERT_TRUE(only.ok() && only->has_value());
  EXPECT_EQ((*only)->condition(keyless), "1");
  size_t rows = 0;
  ASSERT_TRUE(scan_chunk(*data_, keyless, **only, [&](std::span<const ValueView>) -> Status {
                ++rows;
                return {};
              }).ok());
  EXPECT_EQ(rows, 2U);
  EXPECT_FALSE(next_chunk(*data_, keyless, {}, 1, 1)->has_value());
}

// Borders of a key that no index holds in order would have the whole table sorted, and FORCE INDEX of an ignored one is
// an error.
TEST_F(ScanTest, KeysThatAreNoGoodForRangesAreOneChunk) {
  server_->sql(R"(CREATE TABLE d.prefix (t VARCHAR(100), v INT, PRIMARY KEY (t(3)));
    CREATE TABLE d.hashed (u VARCHAR(5000) NOT NULL, v INT, UNIQUE KEY (u));
    CREATE TABLE d.ignored (b INT NOT NULL, v INT NOT NULL, UNIQUE KEY v (v), UNIQUE KEY b (b) IGNORED);
    CREATE TABLE d.memory (b INT PRIMARY KEY, v INT) ENGINE=MEMORY)");
  for (const char* table : {"prefix", "hashed", "memory"}) {
    server_->sql(std::string("INSERT INTO d.") + table + " SELECT 100+seq,seq FROM d.seq_1_to_20");
    const auto schema = read(table);
    ASSERT_NE(schema.row_key(), nullptr) << table;
    EXPECT_EQ(schema.range_key(), nullptr) << table;
    const auto only = next_chunk(*data_, schema, {}, 0, 5);
    ASSERT_TRUE(only.ok() && only->has_value()) << table;
    EXPECT_EQ((*only)->condition(schema), "1") << table;
    EXPECT_FALSE(next_chunk(*data_, schema, {}, 1, 5)->has_value());
    size_t rows = 0;
    ASSERT_TRUE(scan_chunk(*data_, schema, **only, [&](std::span<const ValueView>) -> Status {
                  ++rows;
                  return {};
                }).ok());
    EXPECT_EQ(rows, 20U) << table;
  }
  const auto ignored = read("ignored");
  EXPECT_EQ(ignored.range_key()->name, "v");
  EXPECT_TRUE(next_chunk(*data_, ignored, {}, 0, 5).ok());
}

}  // namespace
}  // namespace sluice::mysql
