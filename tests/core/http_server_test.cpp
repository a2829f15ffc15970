#include "core/net/http_server.hpp"

#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>

namespace sluice::net {
namespace {

TEST(HttpServer, ServesHealthAndMetrics) {
  std::atomic<bool> ready{false};
  HttpServer server;
  server.add_metrics_and_health([&] { return ready ? std::string() : std::string("no lease"); });
  ASSERT_TRUE(server.start("127.0.0.1", 0).ok());
  httplib::Client client("127.0.0.1", server.port());
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  auto not_ready = client.Get("/readyz");
  EXPECT_EQ(not_ready->status, 503);
  EXPECT_EQ(not_ready->body, "no lease\n");
  ready = true;
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  EXPECT_EQ(client.Get("/metrics")->get_header_value("Content-Type").substr(0, 10), "text/plain");
  EXPECT_EQ(client.Get("/other")->status, 404);
}

TEST(HttpServer, RefusesAPortThatIsTaken) {
  HttpServer first, second;
  ASSERT_TRUE(first.start("127.0.0.1", 0).ok());
  const Status taken = second.start("127.0.0.1", first.port());
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), ErrorCode::IO_ERROR);
}

TEST(HttpServer, EndsRightAfterItsStart) {
  for (int i = 0; i < 20; ++i) {
    HttpServer server;
    ASSERT_TRUE(server.start("127.0.0.1", 0).ok());
  }
}

}  // namespace
}  // namespace sluice::net
