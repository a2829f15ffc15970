// Digests against a real server: every difference shows, nothing else does.
#include "engines/mysql/digest.hpp"

#include <gtest/gtest.h>

#include <set>

#include "engines/mysql/catalog.hpp"
#include "tests/support/mariadb.hpp"

namespace sluice::mysql {
namespace {

using sluice::testing::MariaDbServer;

class DigestTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new MariaDbServer(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    server_->sql("CREATE OR REPLACE DATABASE d CHARACTER SET utf8mb4");
    data_ = std::move(*Connection::open(server_->endpoint(), {}));
    catalog_ = std::move(*Connection::open(server_->endpoint(), {.purpose = Purpose::kCatalog}));
  }
  ChunkDigest digest(const std::string& table, DigestMethod method = DigestMethod::kSha1Sum) {
    const auto schema = read_table(*catalog_, {"d", table});
    EXPECT_TRUE(schema.ok());
    const auto result = digest_chunk(*data_, *schema, Chunk(), method);
    EXPECT_TRUE(result.ok()) << result.error().to_string();
    return result.ok() ? *result : ChunkDigest{99, "failed"};
  }
  static MariaDbServer* server_;
  std::unique_ptr<Connection> data_, catalog_;
};
MariaDbServer* DigestTest::server_ = nullptr;

TEST_F(DigestTest, RowsThatLookAlikeDiffer) {
  // Pairs that a careless digest takes for the same: NULL and '', moved separators, pads, one bit, signs.
  server_->sql(
      R"(CREATE TABLE d.t (id INT PRIMARY KEY, a VARCHAR(20), b VARCHAR(20), v VARBINARY(10), n INT,
        f FLOAT, d DOUBLE))");
  const std::vector<std::string> rows = {"'',NULL,'',0,0,0",
                                         "NULL,'','',0,0,0",
                                         "NULL,NULL,'',0,0,0",
                                         "'','','',0,0,0",
                                         "'a','bc','',0,0,0",
                                         "'ab','c','',0,0,0",
                                         "'a ','bc','',0,0,0",
                                         "'A','bc','',0,0,0",
                                         "'a','bc','\\0',0,0,0",
                                         "'a','bc','',NULL,0,0",
                                         "'a','bc','',1,0,0",
                                         "'a','bc','',0,1.1,0",
                                         "'a','bc','',0,1.1000001,0",
                                         "'a','bc','',0,0,0.1",
                                         "'a','bc','',0,0,0.10000000000000002",
                                         "'N;','bc','',0,0,0",
                                         "'1:','x','',0,0,0",
                                         "'á','bc','',0,0,0"};
  std::set<std::string> digests;
  for (const auto& row : rows) {
    server_->sql("REPLACE INTO d.t VALUES (1," + row + ")");
    digests.insert(digest("t").digest);
  }
  EXPECT_EQ(digests.size(), rows.size());
}

TEST_F(DigestTest, DigestsOfEqualRowsAreEqualWhateverTheOrder) {
  server_->sql(
      R"(CREATE TABLE d.a (id INT PRIMARY KEY, v VARCHAR(40), t LONGTEXT, ts TIMESTAMP(3) NULL,
        e ENUM('x','y'), u UUID);
    CREATE TABLE d.b LIKE d.a;
    INSERT INTO d.a SELECT seq, MD5(seq), REPEAT(MD5(seq),seq*20), '2020-01-01', 1+seq%2,
      INSERT(INSERT(MD5(seq),13,1,'4'),17,1,'8') FROM d.seq_1_to_200;
    INSERT INTO d.b SELECT * FROM d.a ORDER BY id DESC)");
  for (const auto method : {DigestMethod::kSha1Sum, DigestMethod::kSha2Sum}) {
    EXPECT_EQ(digest("a", method), digest("b", method));
    EXPECT_EQ(digest("a", method).rows, 200U);
  }
  server_->sql("UPDATE d.b SET t=INSERT(t,70000,1,'#') WHERE id=150");  // inside a value above 64 KiB
  EXPECT_NE(digest("a").digest, digest("b").digest);
}

TEST_F(DigestTest, SwappedValuesAndDuplicatesShow) {
  server_->sql(R"(CREATE TABLE d.k (a INT, b INT); INSERT INTO d.k VALUES (1,2),(3,4);
    CREATE TABLE d.l (a INT, b INT); INSERT INTO d.l VALUES (1,4),(3,2);
    CREATE TABLE d.m (a INT, b INT); INSERT INTO d.m VALUES (1,2),(3,4),(7,7),(7,7))");
  EXPECT_NE(digest("k"), digest("l"));
  EXPECT_NE(digest("k").digest, digest("m").digest);
}

TEST_F(DigestTest, EmptyIsZero) {
  server_->sql("CREATE TABLE d.t (a INT PRIMARY KEY)");
  EXPECT_EQ(digest("t"), (ChunkDigest{0, "0"}));
}

TEST_F(DigestTest, CharactersAreComparedWhereCharsetsDiffer) {
  server_->sql(
      R"(CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(20) CHARACTER SET latin1, x TEXT CHARACTER SET utf16);
      INSERT INTO d.t VALUES (1,'é','中')
    )");
  const auto latin = read_table(*catalog_, {"d", "t"}).value();
  const ConvertedColumns both{"v", "x"};
  const auto before = digest_chunk(*data_, latin, Chunk(), DigestMethod::kSha1Sum, both);
  ASSERT_TRUE(before.ok()) << before.error().to_string();
  const auto raw = digest("t");
  server_->sql("ALTER TABLE d.t MODIFY v VARCHAR(20) CHARACTER SET utf8mb4, MODIFY x TEXT CHARACTER SET gbk");
  const auto utf8 = read_table(*catalog_, {"d", "t"}).value();
  EXPECT_EQ(*before, digest_chunk(*data_, utf8, Chunk(), DigestMethod::kSha1Sum, both).value());
  EXPECT_NE(raw.digest, digest("t").digest);
}

TEST_F(DigestTest, AValueThatCannotBeDigestedIsAnError) {
  server_->sql("CREATE TABLE d.t (id INT PRIMARY KEY, a LONGTEXT); INSERT INTO d.t VALUES (1,REPEAT('x',3000000))");
  const auto schema = read_table(*catalog_, {"d", "t"}).value();
  ASSERT_TRUE(digest_chunk(*data_, schema, Chunk(), DigestMethod::kSha1Sum).ok());
  server_->sql(
      "CREATE TABLE d.w (id INT PRIMARY KEY, a MEDIUMTEXT, b MEDIUMTEXT, c MEDIUMTEXT); INSERT INTO d.w VALUES "
      "(1,REPEAT('x',60000),REPEAT('y',60000),REPEAT('z',60000)),(2,'','','')");
  const auto packet = server_->query_value("SELECT @@global.max_allowed_packet");
  server_->sql("SET GLOBAL max_allowed_packet=65536");
  auto small = Connection::open(server_->endpoint(), {});
  ASSERT_TRUE(small.ok());
  const auto wide = read_table(*catalog_, {"d", "w"}).value();
  EXPECT_FALSE(digest_chunk(**small, wide, Chunk(), DigestMethod::kSha1Sum).ok());
  server_->sql("SET GLOBAL max_allowed_packet=" + packet);
}

TEST_F(DigestTest, RowsOfAChunkComeInKeyOrderWithTheirKeys) {
  server_->sql(
      "CREATE TABLE d.t (b VARCHAR(10), a INT, x INT, PRIMARY KEY (a,b)); INSERT INTO d.t VALUES "
      "('q',2,0),('p''',2,0),('z',1,0)");
  const auto schema = read_table(*catalog_, {"d", "t"}).value();
  std::vector<std::string> keys;
  std::set<std::string> digests;
  const auto status = digest_rows(*data_, schema, Chunk(), DigestMethod::kSha1Sum,
                                  [&](const std::vector<std::string>& key, std::string_view row) -> Status {
                                    keys.push_back(key[0] + key[1]);
                                    digests.insert(std::string(row));
                                    return {};
                                  });
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(keys, (std::vector<std::string>{"1'z'", "2'p\\''", "2'q'"}));
  EXPECT_EQ(digests.size(), 3U);
}

}  // namespace
}  // namespace sluice::mysql
