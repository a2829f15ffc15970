#include "core/net/listen_address.hpp"

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

TEST(ListenAddress, TakesLoopbackAndSockets) {
  for (const char* text : {"127.0.0.1:8090", "127.1.2.3:0", "localhost:65535", "[::1]:8089", "unix:/run/s.sock"}) {
    auto address = parse_listen_address("--grpc", text);
    ASSERT_TRUE(address.ok()) << text << ": " << address.error().to_string();
    EXPECT_EQ(address->to_string(), text);
  }
  EXPECT_EQ(parse_listen_address("--grpc", "[::1]:8089")->host, "::1");
  EXPECT_EQ(parse_listen_address("--grpc", "unix:/run/s.sock")->socket, "/run/s.sock");
}

TEST(ListenAddress, RefusesWhatOthersCouldReach) {
  // A name that looks like a loopback address is a name, and belongs to whoever owns the domain.
  for (const char* text : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[2001:db8::1]:1", "127.example.com:1",
                           "127.0.0.1.nip.io:1", "example.com:1", "localhost.example.com:1", "[::ffff:10.0.0.1]:1"}) {
    auto address = parse_listen_address("--grpc", text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.error().code(), ErrorCode::UNSUPPORTED) << text;
    EXPECT_NE(address.error().cause().find("--grpc"), std::string::npos);
  }
}

TEST(ListenAddress, RefusesWhatIsNoAddress) {
  for (const char* text : {"", ":", "localhost", "localhost:", "localhost:99999", "localhost:-1", "localhost:8o",
                           ":8089", "localhost:80 ", "::1", "::1:8089", "[]:1", "unix:"}) {
    auto address = parse_listen_address("--http", text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.error().code(), ErrorCode::INVALID_ARGUMENT) << text;
  }
  EXPECT_EQ(parse_http_address("--http", "unix:/s").error().code(), ErrorCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace sluice::net
