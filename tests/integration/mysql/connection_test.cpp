// Connection against a real server: sessions, errors, streaming, LOAD DATA, what happens to bytes.
#include "engines/mysql/connection.hpp"

#include <gtest/gtest.h>
#include <mysql.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/support/mariadb.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/wait.hpp"

namespace sluice::mysql {
namespace {

using sluice::testing::Direction;
using sluice::testing::MariaDbServer;
using sluice::testing::OnPattern;
using sluice::testing::TcpProxy;
using sluice::testing::wait_until;

class ConnectionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new MariaDbServer(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override { server_->sql("CREATE OR REPLACE DATABASE d"); }

  static std::unique_ptr<Connection> connect(ConnectOptions options = {}) {
    auto connection = Connection::open(server_->endpoint(), options);
    EXPECT_TRUE(connection.ok()) << connection.error().to_string();
    return connection.ok() ? std::move(*connection) : nullptr;
  }
  static ErrorCode error_of_opening(const Endpoint& endpoint) {
    const auto connection = Connection::open(endpoint, {.connect_timeout = std::chrono::seconds(5)});
    return connection.ok() ? ErrorCode::INTERNAL : connection.error().code();
  }
  static ErrorCode error_of(Connection& connection, const std::string& sql) {
    const auto result = connection.exec(sql);
    EXPECT_FALSE(result.ok()) << sql;
    return result.ok() ? ErrorCode::INTERNAL : result.error().code();
  }
  static MariaDbServer* server_;
};
MariaDbServer* ConnectionTest::server_ = nullptr;

TEST_F(ConnectionTest, TellsVersionIdAndLimits) {
  const auto c = connect();
  EXPECT_TRUE(c->version().mariadb);
  EXPECT_GT(c->version().number, 100'000U);
  EXPECT_GE(c->max_allowed_packet(), 1U << 20);
  EXPECT_EQ(c->query_value("SELECT CONNECTION_ID()").value(), std::to_string(c->id()));
}

TEST_F(ConnectionTest, SessionIsStrictUtcAndBinary) {
  const auto c = connect();
  EXPECT_EQ(c->query_value("SELECT @@time_zone").value(), "+00:00");
  EXPECT_EQ(c->query_value("SELECT @@character_set_client").value(), "binary");
  EXPECT_EQ(c->query_value("SELECT @@tx_isolation").value(), "READ-COMMITTED");
  const auto mode = c->query_value("SELECT @@sql_mode").value();
  EXPECT_NE(mode.find("STRICT_ALL_TABLES"), mode.npos);
  EXPECT_EQ(mode.find("NO_ZERO"), mode.npos);
}

TEST_F(ConnectionTest, FailuresToOpenAreTyped) {
  EXPECT_EQ(error_of_opening(server_->endpoint("sluice", "wrong")), ErrorCode::ACCESS_DENIED);
  auto unknown = server_->endpoint();
  unknown.host = "no-such-host.invalid";
  EXPECT_EQ(error_of_opening(unknown), ErrorCode::UNKNOWN_HOST);
  auto closed = server_->endpoint();
  closed.port = sluice::testing::free_port();
  EXPECT_EQ(error_of_opening(closed), ErrorCode::CONNECT_FAILED);
  auto tls = server_->endpoint();
  tls.ssl_mode = SslMode::kRequired;
  EXPECT_EQ(error_of_opening(tls), ErrorCode::TLS_FAILED);
  const auto failed = Connection::open(server_->endpoint("sluice", "the-secret"), {});
  EXPECT_EQ(failed.error().to_string().find("the-secret"), std::string::npos);
}

TEST_F(ConnectionTest, OpensByUnixSocket) {
  auto endpoint = server_->endpoint();
  endpoint.socket = server_->socket();
  endpoint.host = "nowhere.invalid";
  EXPECT_TRUE(Connection::open(endpoint, {}).ok());
}

TEST_F(ConnectionTest, ErrorsOfStatementsAreTyped) {
  const auto c = connect();
  ASSERT_TRUE(c->exec("CREATE TABLE d.t (a INT PRIMARY KEY, b TINYINT NOT NULL, c VARCHAR(2))").ok());
  ASSERT_TRUE(c->exec("INSERT INTO d.t VALUES (1,1,'a')").ok());
  EXPECT_EQ(error_of(*c, "INSERT INTO d.t VALUES (1,1,'a')"), ErrorCode::DUPLICATE_KEY);
  EXPECT_EQ(c->last_errno(), 1062U);
  EXPECT_EQ(error_of(*c, "INSERT INTO d.t VALUES (2,300,'a')"), ErrorCode::VALUE_REJECTED);
  EXPECT_EQ(error_of(*c, "INSERT INTO d.t VALUES (2,NULL,'a')"), ErrorCode::VALUE_REJECTED);
  EXPECT_EQ(error_of(*c, "INSERT INTO d.t VALUES (2,1,'abc')"), ErrorCode::VALUE_REJECTED);
  EXPECT_EQ(error_of(*c, "INSERT INTO d.none VALUES (1)"), ErrorCode::NOT_FOUND);
  EXPECT_EQ(error_of(*c, "SELEKT 1"), ErrorCode::STATEMENT_FAILED);
  EXPECT_EQ(error_of(*c, "CREATE TABLE d.t (a INT)"), ErrorCode::ALREADY_EXISTS);
  EXPECT_TRUE(c->alive());
}

TEST_F(ConnectionTest, LimitsOfTheServerAreTyped) {
  const auto c = connect();
  ASSERT_TRUE(c->exec("SET max_heap_table_size=16384").ok());
  ASSERT_TRUE(c->exec("CREATE TABLE d.m (a CHAR(250)) ENGINE=MEMORY").ok());
  EXPECT_EQ(error_of(*c, "INSERT INTO d.m SELECT seq FROM d.seq_1_to_10000"), ErrorCode::DATABASE_DISK_FULL);
  server_->sql("CREATE OR REPLACE USER few@'%' IDENTIFIED BY 'p' WITH MAX_USER_CONNECTIONS 1");
  const auto only = Connection::open(server_->endpoint("few", "p"), {});
  ASSERT_TRUE(only.ok()) << only.error().to_string();
  EXPECT_EQ(error_of_opening(server_->endpoint("few", "p")), ErrorCode::TOO_MANY_CONNECTIONS);
}

TEST_F(ConnectionTest, ErrorsDoNotRepeatValues) {
  const auto c = connect();
  const auto failed = c->exec("INSERT INTO d.none VALUES (4711,'card number')");
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().cause().find("INSERT INTO d.none"), std::string::npos);
  EXPECT_EQ(failed.error().cause().find("4711"), std::string::npos);
  EXPECT_EQ(failed.error().cause().find("card"), std::string::npos);
}

TEST_F(ConnectionTest, MissingPrivilegeAndReadOnlyAreTyped) {
  server_->sql(
      "CREATE OR REPLACE USER poor@'%' IDENTIFIED BY 'p'; CREATE TABLE d.t (a INT); GRANT SELECT ON d.* TO poor@'%'");
  auto c = Connection::open(server_->endpoint("poor", "p"), {});
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(error_of(**c, "INSERT INTO d.t VALUES (1)"), ErrorCode::MISSING_PRIVILEGE);
  EXPECT_EQ(error_of(**c, "CREATE DATABASE e"), ErrorCode::MISSING_PRIVILEGE);
  EXPECT_EQ(error_of(**c, "SET GLOBAL max_connections=10"), ErrorCode::MISSING_PRIVILEGE);
  server_->sql("GRANT INSERT ON d.* TO poor@'%'; SET GLOBAL read_only=1");
  EXPECT_EQ(error_of(**c, "INSERT INTO d.t VALUES (1)"), ErrorCode::SERVER_READ_ONLY);
  server_->sql("SET GLOBAL read_only=0");
}

TEST_F(ConnectionTest, AKilledConnectionStaysDead) {
  const auto c = connect();
  server_->sql("KILL " + std::to_string(c->id()));
  const auto result = c->query("SELECT 1");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::CONNECTION_LOST);
  EXPECT_EQ(result.error().object(), server_->endpoint().display());
  EXPECT_NE(result.error().cause().find("SELECT 1"), std::string::npos);
  EXPECT_FALSE(c->alive());
  EXPECT_EQ(c->exec("SELECT 1").error().code(), ErrorCode::CONNECTION_LOST);
}

TEST_F(ConnectionTest, AServerThatFreezesIsNoticed) {
  TcpProxy proxy(server_->port());
  auto endpoint = server_->endpoint();
  endpoint.port = proxy.port();
  auto c = Connection::open(endpoint, {.io_timeout = std::chrono::seconds(1)});
  ASSERT_TRUE(c.ok());
  proxy.hold(Direction::kToClient, true);
  EXPECT_EQ((*c)->query("SELECT 1").error().code(), ErrorCode::CONNECTION_LOST);
  EXPECT_FALSE((*c)->alive());
}

TEST_F(ConnectionTest, ALockWaitThatRunsOutIsADeadlock) {
  const auto a = connect(), b = connect();
  ASSERT_TRUE(a->exec("CREATE TABLE d.t (a INT PRIMARY KEY) ENGINE=InnoDB").ok());
  ASSERT_TRUE(a->exec("INSERT INTO d.t VALUES (1)").ok());
  ASSERT_TRUE(a->exec("BEGIN").ok());
  ASSERT_TRUE(a->exec("DELETE FROM d.t").ok());
  ASSERT_TRUE(b->exec("SET SESSION innodb_lock_wait_timeout=1").ok());
  EXPECT_EQ(error_of(*b, "DELETE FROM d.t"), ErrorCode::DEADLOCK);
  EXPECT_TRUE(b->alive());
}

TEST_F(ConnectionTest, MatchedRowsCountEvenWhenNothingChanges) {
  const auto c = connect();
  ASSERT_TRUE(c->exec("CREATE TABLE d.t (a INT PRIMARY KEY, b INT)").ok());
  ASSERT_TRUE(c->exec("INSERT INTO d.t VALUES (1,1),(2,2)").ok());
  EXPECT_EQ(c->exec("UPDATE d.t SET b=1 WHERE a=1")->matched_rows, 1U);
  EXPECT_EQ(c->exec("UPDATE d.t SET b=1 WHERE a=7")->matched_rows, 0U);
}

TEST_F(ConnectionTest, SeveralStatementsInOnePacket) {
  const auto c = connect({.multi_statements = true});
  ASSERT_TRUE(c->exec("CREATE TABLE d.t (a INT PRIMARY KEY)").ok());
  size_t done = 9;
  const auto all = c->exec_multi("BEGIN; INSERT INTO d.t VALUES (1),(2); SELECT 1; COMMIT", &done);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(done, 4U);
  EXPECT_EQ(all.value()[1].matched_rows, 2U);
  const auto failed = c->exec_multi("BEGIN; INSERT INTO d.t VALUES (1); COMMIT", &done);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), ErrorCode::DUPLICATE_KEY);
  EXPECT_EQ(done, 1U);
  ASSERT_TRUE(c->exec("ROLLBACK").ok());
  EXPECT_EQ(c->query_value("SELECT COUNT(*) FROM d.t").value(), "2");
  EXPECT_FALSE(connect()->exec_multi("SELECT 1; SELECT 2").ok());
}

TEST_F(ConnectionTest, StreamStopsEarly) {
  const auto c = connect();
  int seen = 0;
  const auto stop = [&](const std::vector<Cell>&) -> Status {
    return ++seen == 3 ? Status(Error(ErrorCode::CANCELLED, "enough")) : Status();
  };
  server_->sql("CREATE TABLE d.n AS SELECT seq FROM d.seq_1_to_10");
  EXPECT_EQ(c->stream("SELECT seq FROM d.n", stop).error().code(), ErrorCode::CANCELLED);
  EXPECT_EQ(seen, 3);
  EXPECT_TRUE(c->alive());
  EXPECT_EQ(c->query_value("SELECT 5").value(), "5");
  seen = 0;
  EXPECT_EQ(c->stream("SELECT seq FROM d.seq_1_to_10000000", stop).error().code(), ErrorCode::CANCELLED);
  EXPECT_FALSE(c->alive());
}

TEST_F(ConnectionTest, StreamReportsAnErrorInTheMiddle) {
  const auto c = connect();
  server_->sql("CREATE TABLE d.n AS SELECT seq FROM d.seq_1_to_200000");
  int seen = 0;
  const auto status = c->stream("SELECT seq, (SELECT IF(n.seq=150000,(SELECT 1 UNION SELECT 2),0)) FROM d.n",
                                [&](const std::vector<Cell>&) -> Status {
                                  ++seen;
                                  return {};
                                });
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(c->alive());
}

TEST_F(ConnectionTest, LoadDataReadsFromTheFunctionOnly) {
  const auto c = connect({.local_infile = true});
  ASSERT_TRUE(c->exec("CREATE TABLE d.t (a INT PRIMARY KEY, b VARCHAR(10)) ENGINE=InnoDB").ok());
  int piece = 0;
  const auto loaded = c->load_data("LOAD DATA LOCAL INFILE 'x' INTO TABLE d.t", [&]() -> Result<std::string_view> {
    ++piece;
    return std::string_view(piece == 1 ? "1\ta\n2\t" : piece == 2 ? "b\n" : "");
  });
  ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
  EXPECT_EQ(loaded->matched_rows, 2U);
  EXPECT_EQ(loaded->warnings, 0U);
  EXPECT_NE(loaded->info.find("Records: 2"), std::string::npos);
  // Neither outside load_data nor on a session without local_infile is a file of ours ever read.
  EXPECT_FALSE(c->exec("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE d.t").ok());
  EXPECT_FALSE(connect()->exec("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE d.t").ok());
  EXPECT_EQ(server_->query_value("SELECT COUNT(*) FROM d.t"), "2");
}

TEST_F(ConnectionTest, LoadDataWarnsInsteadOfFailing) {
  const auto c = connect({.local_infile = true});
  ASSERT_TRUE(c->exec("CREATE TABLE d.t (a TINYINT PRIMARY KEY)").ok());
  bool sent = false;
  const auto loaded = c->load_data("LOAD DATA LOCAL INFILE 'x' INTO TABLE d.t", [&]() -> Result<std::string_view> {
    return std::string_view(std::exchange(sent, true) ? "" : "1\n1\n");
  });
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->warnings, 1U);
  const auto warnings = c->warnings();
  ASSERT_TRUE(warnings.ok());
  ASSERT_EQ(warnings->size(), 1U);
  EXPECT_EQ(warnings.value()[0].code, 1062U);
}

TEST_F(ConnectionTest, AProducerThatFailsLeavesNoRows) {
  const auto c = connect({.local_infile = true});
  ASSERT_TRUE(c->exec("CREATE TABLE d.t (a INT PRIMARY KEY) ENGINE=InnoDB").ok());
  int piece = 0;
  const auto loaded = c->load_data("LOAD DATA LOCAL INFILE 'x' INTO TABLE d.t", [&]() -> Result<std::string_view> {
    if (++piece == 3) return Error(ErrorCode::CORRUPTED, "the producer");
    return std::string_view(piece == 1 ? "1\n2\n" : "3\n");
  });
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), ErrorCode::CORRUPTED);
  EXPECT_FALSE(c->alive());
  ASSERT_TRUE(wait_until(
      [&] { return server_->query("SELECT id FROM information_schema.processlist WHERE info LIKE 'LOAD%'").empty(); }));
  EXPECT_EQ(server_->query_value("SELECT COUNT(*) FROM d.t"), "0");
}

TEST_F(ConnectionTest, ALostAnswerIsALostConnection) {
  TcpProxy proxy(server_->port());
  auto endpoint = server_->endpoint();
  endpoint.port = proxy.port();
  auto c = Connection::open(endpoint, {.io_timeout = std::chrono::seconds(5)});
  ASSERT_TRUE(c.ok());
  ASSERT_TRUE((*c)->exec("CREATE TABLE d.t (a INT PRIMARY KEY)").ok());
  proxy.when(Direction::kToServer, "INSERT INTO d.t", OnPattern::kLoseAnswer);
  EXPECT_EQ(error_of(**c, "INSERT INTO d.t VALUES (1)"), ErrorCode::CONNECTION_LOST);
  EXPECT_TRUE(proxy.fired());
  EXPECT_TRUE(wait_until([&] { return server_->query_value("SELECT COUNT(*) FROM d.t") == "1"; }));
}

TEST_F(ConnectionTest, LargeValuesPass) {
  const auto c = connect();
  ASSERT_TRUE(c->exec("CREATE TABLE d.t (a INT PRIMARY KEY, b LONGBLOB)").ok());
  const std::string megabytes(5 << 20, 'x');
  ASSERT_TRUE(c->exec("INSERT INTO d.t VALUES (1,'" + megabytes + "')").ok());
  EXPECT_EQ(c->query_value("SELECT b FROM d.t").value(), megabytes);
  // Nothing of what is too large is sent: the session lives on.
  for (const size_t more : {size_t{0}, size_t{10}, size_t{1} << 20, size_t{43} << 20}) {
    const std::string value(c->max_allowed_packet() + more, 'x');
    EXPECT_EQ(error_of(*c, "INSERT INTO d.t VALUES (2,'" + value + "')"), ErrorCode::PACKET_TOO_LARGE);
    EXPECT_TRUE(c->alive());
  }
  const std::string head = "INSERT INTO d.t VALUES (2,'", tail = "')";
  const std::string fits(c->max_allowed_packet() - 2 - head.size() - tail.size(), 'x');
  EXPECT_TRUE(c->exec(head + fits + tail).ok());
  EXPECT_EQ(error_of(*c, head + "x" + fits + tail), ErrorCode::PACKET_TOO_LARGE);
}

TEST_F(ConnectionTest, AVanishedPeerWouldBeNoticed) {
  Endpoint endpoint = server_->endpoint();
  ASSERT_TRUE(endpoint.socket.empty());
  const auto c = connect({.io_timeout = std::chrono::milliseconds(0)});
  const int socket = mysql_get_socket(c->raw());
  const auto option = [socket](int level, int name) {
    int value = 0;
    socklen_t size = sizeof(value);
    EXPECT_EQ(getsockopt(socket, level, name, &value, &size), 0);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_LE(option(IPPROTO_TCP, TCP_KEEPIDLE) + option(IPPROTO_TCP, TCP_KEEPINTVL) * option(IPPROTO_TCP, TCP_KEEPCNT),
            120);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_USER_TIMEOUT), 120'000);
}

// A certificate authority and a server certificate for 127.0.0.1 in `folder`.
void make_certificates(const std::string& folder) {
  std::string output;
  const std::string script =
      "cd " + folder +
      " && for ca in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$ca -keyout $ca.key"
      " -out $ca.pem; done"
      " && openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr"
      " && printf 'subjectAltName=IP:127.0.0.1' > names"
      " && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names"
      " -out server.pem && chmod 644 *.key *.pem";
  ASSERT_EQ(sluice::testing::run_program("sh", {"-c", script}, &output), 0) << output;
}

TEST(ConnectionTls, ModesDoWhatTheyPromise) {
  sluice::testing::TempDir folder;
  make_certificates(folder.path());
  MariaDbServer server({.binlog = false,
                        .args = {"--ssl-ca=" + folder.file("ca.pem"), "--ssl-cert=" + folder.file("server.pem"),
                                 "--ssl-key=" + folder.file("server.key")}});
  const auto cipher = [&](SslMode mode, const std::string& ca) -> std::string {
    auto endpoint = server.endpoint();
    endpoint.ssl_mode = mode;
    endpoint.ssl_ca = ca.empty() ? "" : folder.file(ca);
    auto connection = Connection::open(endpoint, {});
    if (!connection.ok()) return std::string(connection.error().id());
    const auto table = (*connection)->query("SHOW STATUS LIKE 'Ssl_cipher'");
    return table->rows[0][1]->empty() ? "plain" : "encrypted";
  };
  EXPECT_EQ(cipher(SslMode::kDisabled, ""), "plain");
  EXPECT_EQ(cipher(SslMode::kPreferred, ""), "encrypted");
  EXPECT_EQ(cipher(SslMode::kRequired, ""), "encrypted");
  EXPECT_EQ(cipher(SslMode::kVerifyCa, "ca.pem"), "encrypted");
  EXPECT_EQ(cipher(SslMode::kVerifyIdentity, "ca.pem"), "encrypted");
  EXPECT_EQ(cipher(SslMode::kVerifyCa, "other.pem"), "TLS_FAILED");
  EXPECT_EQ(cipher(SslMode::kVerifyIdentity, "other.pem"), "TLS_FAILED");
}

}  // namespace
}  // namespace sluice::mysql
