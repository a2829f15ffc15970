// Chunks from one real server to another: every type exact, warnings are errors, nothing half committed, the fence.
#include "sinks/database/loader.hpp"

#include <gtest/gtest.h>

#include "engines/mysql/catalog.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/ok.hpp"
#include "tests/support/server_pair.hpp"

namespace sluice::database {
namespace {

using testing::MariaDbServer;
using testing::source_server;
using testing::target_server;

class Loader : public ::testing::Test {
 protected:
  void SetUp() override {
    for (MariaDbServer* server : {&source_server(), &target_server()}) {
      server->sql("DROP DATABASE IF EXISTS d; CREATE DATABASE d CHARACTER SET utf8mb4");
    }
    owner_ = {"np_" + std::to_string(++counter_), "loader", 1, "sluice"};
    mysql::ConnectOptions options;
    auto plain = mysql::Connection::open(target_server().endpoint(), options);
    ASSERT_OK(plain);
    ASSERT_OK(create_bookkeeping(**plain, "sluice"));
    ASSERT_OK(take_over(target_server().endpoint(), owner_));
    auto source = mysql::Connection::open(source_server().endpoint(), options);
    ASSERT_OK(source);
    source_ = std::move(*source);
    options.local_infile = true;
    auto target = open_registered(target_server().endpoint(), options, owner_, *Lease::unlimited());
    ASSERT_OK(target);
    target_ = std::move(*target);
    auto load_data = prepare_for_loading(*target_);
    ASSERT_OK(load_data);
    EXPECT_TRUE(*load_data);
  }

  void TearDown() override { source_.reset(); }  // a scan that was cut short holds its table until the socket closes

  static void both(const std::string& sql) {
    source_server().sql(sql);
    target_server().sql(sql);
  }
  static Result<SchemaPtr> definition(MariaDbServer& server, const std::string& table) {
    mysql::ConnectOptions options;
    options.purpose = mysql::Purpose::kCatalog;
    SLUICE_ASSIGN(auto connection, mysql::Connection::open(server.endpoint(), options));
    SLUICE_ASSIGN(auto schema, mysql::read_table(*connection, {"d", table}));
    return std::make_shared<const TableSchema>(std::move(schema));
  }
  Result<LoadResult> load(const std::string& table, LoadLimits limits = {}, mysql::Chunk chunk = {},
                          OnDuplicate on_duplicate = OnDuplicate::kReplace) {
    SLUICE_ASSIGN(auto from, definition(source_server(), table));
    SLUICE_ASSIGN(auto to, definition(target_server(), table));
    SLUICE_ASSIGN(auto plan, LoadPlan::create(from, to, on_duplicate, true));
    ChunkRow row;
    row.table = {"d", table};
    row.round = 1;
    row.number = chunk.number;
    return load_chunk(*source_, *target_, plan, chunk, row, owner_, *Lease::unlimited(), limits);
  }
  static std::string differences() { return testing::differences(source_server(), target_server(), {"d"}); }
  std::string chunks() const {
    return target_server().query_value("SELECT COUNT(*) FROM sluice.chunk WHERE project = '" + owner_.project + "'");
  }

  Owner owner_;
  std::unique_ptr<mysql::Connection> source_, target_;
  static inline int counter_ = 0;
};

const char* const kAllTypes = R"sql(
CREATE TABLE d.types (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, g INT AS (t1 * 2) STORED, v INT AS (t1 + 1) VIRTUAL,
  t1 TINYINT, t2 SMALLINT UNSIGNED, t3 MEDIUMINT, t4 INT UNSIGNED, t5 BIGINT, f FLOAT, f2 FLOAT(7,2), d DOUBLE,
  n DECIMAL(38,10), b1 BIT(1), b64 BIT(64), y YEAR, dt DATE, ti TIME(3), dm DATETIME(6), ts TIMESTAMP(6) NULL,
  c CHAR(10), vc VARCHAR(50), l1 VARCHAR(50) CHARACTER SET latin1, w VARCHAR(20) CHARACTER SET utf16,
  gb VARCHAR(20) CHARACTER SET gbk, tx LONGTEXT, bi BINARY(5), vb VARBINARY(300), bl LONGBLOB,
  e ENUM('2','1','x,y','it''s'), s SET('a','b','c'), j JSON, ge GEOMETRY, u UUID, i4 INET4, i6 INET6,
  inv INT INVISIBLE) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
)sql";

const char* const kRows = R"sql(
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', SESSION time_zone = '+00:00';
INSERT INTO d.types (id) VALUES (0);
INSERT INTO d.types (id, t1, t2, t3, t4, t5, f, f2, d, n, b1, b64, y, dt, ti, dm, ts, c, vc, l1, w, gb, tx, bi, vb, bl,
  e, s, j, ge, u, i4, i6, inv) VALUES
 (1, -128, 65535, -8388608, 4294967295, -9223372036854775808, 1.1, 12345.67, 1.7976931348623157e308,
  -9999999999999999999999999999.0123456789, b'1', 18446744073709551615, 2155, '9999-12-31', '-838:59:59.999',
  '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999999', 'a\tb\nc\\', '\\N', _latin1 x'e4f6fc5c',
  _utf16 x'00610141000a005c', _gbk x'b0a15c41', '\0\\0\r\n\Z\'"', x'0001', x'005c090a0d1a', x'00ff5c', 1, 7,
  '{"a": "\\u00e4"}', ST_GeomFromText('POINT(1 2)', 4326), '550e8400-e29b-41d4-a716-446655440000', '192.168.0.1',
  '2001:db8::1', 5),
 (18446744073709551615, 127, 0, 8388607, 0, 9223372036854775807, 3.4028235e38, -0.01, 4.9e-324, 0.0000000001, b'0', 0,
  0, '0000-00-00', '838:59:59.000', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '', '', '', '', '', '', '', '', '', 4,
  0, '[]', NULL, NULL, NULL, NULL, 0),
 (7, 0, 1, 1, 1, 1, 1.1754944e-38, 0, -0.1, 1, b'1', 9223372036854775808, 1901, '2024-02-31', '00:00:00.001',
  '1000-01-01 00:00:00.000001', '1970-01-01 00:00:01.000000', 'x', CONCAT(CHAR(240,159,152,128 USING utf8mb4), ' '),
  'y', 'z', 'q', REPEAT('long\n', 200000), 'abc', REPEAT(x'00', 300), REPEAT(x'09', 700000), 3, 5, 'null',
  ST_GeomFromText('LINESTRING(0 0,1 1)'), '00000000-0000-0000-0000-000000000000', '0.0.0.0', '::', NULL);
)sql";

TEST_F(Loader, EveryTypeByLoadData) {
  both(kAllTypes);
  source_server().sql(kRows);
  auto loaded = load("types");
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->rows, 4U);
  EXPECT_EQ(loaded->transactions, 1U);
  EXPECT_EQ(differences(), "");
  EXPECT_EQ(chunks(), "1");
}

TEST_F(Loader, EveryTypeByInsert) {
  both(kAllTypes);
  source_server().sql(kRows);
  LoadLimits limits;
  limits.use_load_data = false;
  ASSERT_OK(load("types", limits));
  EXPECT_EQ(differences(), "");
}

TEST_F(Loader, ManyRowsInPiecesUnderABudget) {
  both("CREATE TABLE d.many (id INT PRIMARY KEY, t VARCHAR(100))");
  source_server().sql("INSERT INTO d.many SELECT seq, REPEAT(CHAR(65 + seq % 26), seq % 100) FROM d.seq_1_to_50000");
  ByteBudget budget(100'000);
  LoadLimits limits;
  limits.piece_bytes = 40'000;
  limits.budget = &budget;
  uint64_t paced = 0;
  limits.pace = [&](uint64_t rows, uint64_t) {
    paced += rows;
    return Status();
  };
  ASSERT_OK(load("many", limits));
  EXPECT_EQ(paced, 50'000U);
  EXPECT_EQ(budget.used_bytes(), 0U);
  EXPECT_EQ(differences(), "");
}

TEST_F(Loader, ARowLargerThanTheBudgetPassesAlone) {
  both("CREATE TABLE d.wide (id INT PRIMARY KEY, t LONGBLOB)");
  source_server().sql(
      "INSERT INTO d.wide SELECT seq, REPEAT(CHAR(seq), IF(seq = 5, 3000000, 20000)) FROM d.seq_1_to_20");
  ByteBudget budget(100'000);
  LoadLimits limits;
  limits.budget = &budget;
  ASSERT_OK(load("wide", limits));
  EXPECT_EQ(differences(), "");
}

TEST_F(Loader, AKeylessTableIsCommittedInParts) {
  both("CREATE TABLE d.keyless (a INT, t TEXT)");
  source_server().sql("INSERT INTO d.keyless SELECT seq % 10, REPEAT('x', 100) FROM d.seq_1_to_5000");
  LoadLimits limits;
  limits.piece_bytes = 10'000;
  limits.commit_bytes = 100'000;
  auto loaded = load("keyless", limits);
  ASSERT_OK(loaded);
  EXPECT_GT(loaded->transactions, 3U);
  EXPECT_EQ(std::to_string(loaded->transactions), chunks());
  EXPECT_EQ(differences(), "");
}

// LOAD DATA LOCAL would cut the value and go on.
TEST_F(Loader, AWarningRollsBack) {
  source_server().sql(
      "CREATE TABLE d.cut (id INT PRIMARY KEY, t VARCHAR(10)); INSERT INTO d.cut VALUES (1,'a'),(2,'abcdef')");
  target_server().sql("CREATE TABLE d.cut (id INT PRIMARY KEY, t VARCHAR(3))");
  for (const OnDuplicate on_duplicate : {OnDuplicate::kReplace, OnDuplicate::kKeep}) {
    for (const bool use_load_data : {true, false}) {
      LoadLimits limits;
      limits.use_load_data = use_load_data;
      const auto loaded = load("cut", limits, {}, on_duplicate);
      ASSERT_FALSE(loaded.ok());
      EXPECT_EQ(loaded.error().code(), ErrorCode::VALUE_REJECTED) << loaded.error().to_string();
      EXPECT_EQ(loaded.error().object(), "d.cut");
      EXPECT_NE(loaded.error().cause().find("row 2"), std::string::npos) << loaded.error().to_string();
      EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM d.cut"), "0");
      EXPECT_EQ(chunks(), "0");
    }
  }
}

// What a generated column rounds or cuts was rounded or cut on the source too; a written column beside it is watched.
TEST_F(Loader, WarningsOfGeneratedColumnsAreNoLoss) {
  const std::string computed =
      " q DECIMAL(10,2), n INT, a DECIMAL(12,2) AS (q*1.19) STORED, b INT AS (CAST(s AS INT)) VIRTUAL, "
      "`ä at row 1` TINYINT AS (n) STORED, c VARCHAR(2) AS (s) STORED, d INT AS (s) STORED, KEY(b)) CHARSET=utf8mb4";
  source_server().sql("SET SESSION sql_mode=''; CREATE TABLE d.computed (id INT PRIMARY KEY, s VARCHAR(20)," +
                      computed +
                      "; INSERT INTO d.computed (id,s,q,n) SELECT seq,CONCAT('x',seq),seq/100,seq FROM "
                      "d.seq_1_to_40000");
  target_server().sql("CREATE TABLE d.computed (id INT PRIMARY KEY, s VARCHAR(20)," + computed);
  const auto loaded = load("computed");
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->transactions, 1U);
  EXPECT_EQ(loaded->rows, 40'000U);
  EXPECT_EQ(differences(), "");
  target_server().sql("CREATE OR REPLACE TABLE d.computed (id INT PRIMARY KEY, s VARCHAR(5)," + computed);
  mysql::Chunk chunk;
  chunk.number = 1;
  const auto cut = load("computed", {}, chunk);
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code(), ErrorCode::VALUE_REJECTED);
  EXPECT_NE(cut.error().cause().find("column 's'"), std::string::npos) << cut.error().to_string();
}

TEST_F(Loader, RoundingInGeneratedColumnsIsNoLossByInsert) {
  both("CREATE TABLE d.computed (id INT PRIMARY KEY, q DECIMAL(10,2), a DECIMAL(12,2) AS (q*1.19) STORED)");
  source_server().sql("INSERT INTO d.computed (id,q) SELECT seq,seq/100 FROM d.seq_1_to_20000");
  LoadLimits limits;
  limits.use_load_data = false;
  ASSERT_OK(load("computed", limits));
  EXPECT_EQ(differences(), "");
}

// What a source that is not strict keeps for a label that it does not know.
TEST_F(Loader, EmptyEnumsStayWhatTheyAre) {
  for (const bool by_load : {true, false}) {
    both("CREATE OR REPLACE TABLE d.en (id INT PRIMARY KEY, e ENUM('a','0','b'), f ENUM('x','y') NOT NULL, s CHAR(2))");
    source_server().sql(
        "SET SESSION sql_mode=''; INSERT INTO d.en SELECT seq, IF(seq % 3, 'none', '0'), IF(seq % 2, 'none', 'y'), "
        "'ab' "
        "FROM d.seq_1_to_40000");
    LoadLimits limits;
    limits.use_load_data = by_load;
    mysql::Chunk chunk;
    chunk.number = by_load ? 0 : 10;
    ASSERT_OK(load("en", limits, chunk));
    EXPECT_EQ(differences(), "");
    EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM d.en WHERE f = 0"), "20000");
    // Another value that is cut does not hide among them.
    target_server().sql(
        "CREATE OR REPLACE TABLE d.en (id INT PRIMARY KEY, e ENUM('a','0','b'), f ENUM('x','y') NOT NULL, "
        "s CHAR(1))");
    ++chunk.number;
    EXPECT_FALSE(load("en", limits, chunk).ok());
  }
}

TEST_F(Loader, ADuplicateIsReplacedOrKept) {
  both("CREATE TABLE d.dup (id INT PRIMARY KEY, u INT UNIQUE, t VARCHAR(9))");
  source_server().sql("INSERT INTO d.dup VALUES (1, 10, 'new'), (2, 20, 'new'), (3, 30, 'new')");
  const std::string old = "DELETE FROM d.dup; INSERT INTO d.dup VALUES (7, 10, 'old'), (2, 21, 'old')";
  for (const bool use_load_data : {true, false}) {
    LoadLimits limits;
    limits.use_load_data = use_load_data;
    mysql::Chunk chunk;
    chunk.number = use_load_data ? 0 : 1;
    target_server().sql(old);
    auto kept = load("dup", limits, chunk, OnDuplicate::kKeep);
    ASSERT_OK(kept);
    EXPECT_EQ(kept->duplicates, 2U);
    EXPECT_EQ(kept->conflicts.size(), 2U);
    auto recorded = read_conflicts(*target_, owner_);
    ASSERT_OK(recorded);
    ASSERT_EQ(recorded->size(), use_load_data ? 2U : 4U);
    EXPECT_EQ(recorded->back().kind, "COPY");
    EXPECT_NE(recorded->back().cause.find("Duplicate entry"), std::string::npos) << recorded->back().cause;
    EXPECT_EQ(read_conflict_totals(*target_, owner_)->skipped, recorded->size());
    EXPECT_EQ(target_server().query_value("SELECT GROUP_CONCAT(id, t ORDER BY id) FROM d.dup"), "2old,3new,7old");
    target_server().sql(old);
    chunk.number += 2;
    ASSERT_OK(load("dup", limits, chunk));
    EXPECT_EQ(differences(), "");
  }
}

TEST_F(Loader, AnOlderEpochCommitsNothing) {
  both("CREATE TABLE d.fenced (id INT PRIMARY KEY)");
  source_server().sql("INSERT INTO d.fenced VALUES (1)");
  target_server().sql("UPDATE sluice.fence SET epoch = 2 WHERE project = '" + owner_.project + "'");
  EXPECT_EQ(load("fenced").error().code(), ErrorCode::STALE_EPOCH);
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM d.fenced"), "0");
  EXPECT_EQ(chunks(), "0");
}

TEST_F(Loader, AnErrorOfTheSourceSideCommitsNothing) {
  both("CREATE TABLE d.stopped (id INT PRIMARY KEY, t VARCHAR(1000))");
  source_server().sql("INSERT INTO d.stopped SELECT seq, REPEAT('x', 1000) FROM d.seq_1_to_20000");
  LoadLimits limits;
  int pieces = 0;
  limits.pace = [&](uint64_t, uint64_t) {
    return ++pieces < 5 ? Status() : Status(Error(ErrorCode::CANCELLED, "stopped by the test"));
  };
  const auto loaded = load("stopped", limits);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), ErrorCode::CANCELLED) << loaded.error().to_string();
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM d.stopped"), "0");
}

TEST_F(Loader, ATargetThatWouldChangeValuesIsRefused) {
  const std::vector<std::pair<std::string, std::string>> pairs{
      {"c VARCHAR(9) CHARACTER SET utf8mb4", "c VARCHAR(9) CHARACTER SET latin1"},
      {"c ENUM('a','b')", "c ENUM('b','a')"},
      {"c DECIMAL(10,4)", "c DECIMAL(10,2)"},
      {"c BINARY(3)", "c BINARY(4)"},
      {"c INT", "c INT UNSIGNED"},
      {"c INT", "x INT"},
      {"c DATETIME(6)", "c DATETIME(3)"}};
  int number = 0;
  for (const auto& [from, to] : pairs) {
    const std::string table = "other" + std::to_string(++number);
    source_server().sql("CREATE TABLE d." + table + " (id INT PRIMARY KEY, " + from + ")");
    target_server().sql("CREATE TABLE d." + table + " (id INT PRIMARY KEY, " + to + ")");
    const auto loaded = load(table);
    ASSERT_FALSE(loaded.ok()) << to;
    EXPECT_EQ(loaded.error().code(), ErrorCode::VALUE_REJECTED) << to;
  }
}

}  // namespace
}  // namespace sluice::database
