// Logging in with caching_sha2_password, against a real MySQL (./dev setup mysql; skipped without one). The first login
// proves the password itself, over TLS or encrypted with the server's key; later ones are answered from the server's
// cache. Every MariaDB test logs in with mysql_native_password.
#include <gtest/gtest.h>

#include "engines/mysql/connection.hpp"
#include "tests/support/mysql_server.hpp"

namespace sluice::mysql {
namespace {

using sluice::testing::MySqlServer;

class MySqlLogin : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = MySqlServer::missing(); !why.empty()) GTEST_SKIP() << why;
    server_ = std::make_unique<MySqlServer>();
  }
  void expect_login(SslMode mode) {
    Endpoint endpoint = server_->endpoint();
    endpoint.ssl_mode = mode;
    auto connection = Connection::open(endpoint, {});
    ASSERT_TRUE(connection.ok()) << connection.error().to_string();
    EXPECT_FALSE((*connection)->version().mariadb);
    EXPECT_EQ((*connection)->query_value("SELECT CURRENT_USER()").value(), "sluice@%");
    EXPECT_EQ((*connection)->query_value("SELECT plugin FROM mysql.user WHERE user = 'sluice'").value(),
              "caching_sha2_password");
  }
  std::unique_ptr<MySqlServer> server_;
};

TEST_F(MySqlLogin, FirstOverTlsThenFromTheCache) {
  expect_login(SslMode::kRequired);
  expect_login(SslMode::kRequired);
  expect_login(SslMode::kDisabled);
}

TEST_F(MySqlLogin, FirstWithoutTls) {
  expect_login(SslMode::kDisabled);
  server_->restart();
  expect_login(SslMode::kDisabled);
  server_->restart();
  expect_login(SslMode::kPreferred);
}

TEST_F(MySqlLogin, AWrongPasswordIsTyped) {
  for (const SslMode mode : {SslMode::kDisabled, SslMode::kRequired}) {
    Endpoint endpoint = server_->endpoint("wrong-password");
    endpoint.ssl_mode = mode;
    const auto connection = Connection::open(endpoint, {});
    ASSERT_FALSE(connection.ok());
    EXPECT_EQ(connection.error().code(), ErrorCode::ACCESS_DENIED) << connection.error().to_string();
    EXPECT_EQ(connection.error().to_string().find("wrong-password"), std::string::npos);
  }
}

// As when ctest runs two programs beside each other.
TEST_F(MySqlLogin, AnotherServerBesideHasAFolderOfItsOwn) {
  const MySqlServer other;
  expect_login(SslMode::kRequired);
  auto connection = Connection::open(other.endpoint(), {});
  ASSERT_TRUE(connection.ok()) << connection.error().to_string();
  const auto folder = (*connection)->query_value("SELECT @@datadir");
  auto mine = Connection::open(server_->endpoint(), {});
  ASSERT_TRUE(mine.ok()) << mine.error().to_string();
  EXPECT_NE(folder.value(), (*mine)->query_value("SELECT @@datadir").value());
}

}  // namespace
}  // namespace sluice::mysql
