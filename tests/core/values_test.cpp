// Positions, URLs, table mappings, budgets, leases: the small values that everything passes around.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "core/budget.hpp"
#include "core/endpoint.hpp"
#include "core/lease.hpp"
#include "core/position.hpp"
#include "core/table_mapping.hpp"
#include "tests/support/manual_clock.hpp"

namespace sluice {
namespace {

TEST(Position, TextRoundTrips) {
  for (const char* text : {"binlog.000003:1234", "binlog.000003:1234;0-1-100,5-2-7", "0-1-5",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5", "my.host-bin.000001:4"}) {
    auto position = Position::parse(text);
    ASSERT_TRUE(position.ok()) << text;
    EXPECT_EQ(position->to_string(), text);
  }
  EXPECT_FALSE(Position::parse("binlog.000003:12x").ok());
}

TEST(Position, OrderIsByFileNumberThenOffset) {
  EXPECT_TRUE(compare_in_log({"b.000009", 9, ""}, {"b.000010", 4, ""}) < 0);
  EXPECT_TRUE(compare_in_log({"b.999999", 9, ""}, {"b.1000000", 4, ""}) < 0);
  EXPECT_TRUE(compare_in_log({"b.1", 5000000000, ""}, {"b.1", 4, ""}) > 0);
  EXPECT_TRUE(compare_in_log({}, {"b.1", 4, ""}) < 0);
}

TEST(Position, GtidsAfter) {
  EXPECT_EQ(gtids_after("", "0-1-7"), "0-1-7");
  EXPECT_EQ(gtids_after("0-1-7,5-2-9", "0-3-8"), "0-3-8,5-2-9");
  EXPECT_EQ(gtids_after("0-1-7", "10-1-1"), "0-1-7,10-1-1");
  EXPECT_EQ(gtids_after("u:1-5", "u:6"), "u:1-6");
  EXPECT_EQ(gtids_after("u:1-5:8", "u:6"), "u:1-6:8");
  EXPECT_EQ(gtids_after("u:1-5:7", "u:6"), "u:1-7");
  EXPECT_EQ(gtids_after("u:1-5", "v:1"), "u:1-5,v:1");
}

TEST(Endpoint, UrlsAreReadAndShownWithoutPassword) {
  auto endpoint = Endpoint::parse_url("mysql://ro%40ot:p%3Aw@db.example.com:3307/shop?ssl-mode=required&ssl-ca=/a");
  ASSERT_TRUE(endpoint.ok());
  EXPECT_EQ(endpoint->user, "ro@ot");
  EXPECT_EQ(endpoint->password.reveal(), "p:w");
  EXPECT_EQ(endpoint->port, 3307);
  EXPECT_EQ(endpoint->database, "shop");
  EXPECT_EQ(endpoint->ssl_mode, SslMode::kRequired);
  EXPECT_EQ(endpoint->display(), "mysql://ro%40ot@db.example.com:3307/shop");
  EXPECT_EQ(Endpoint::parse_url("mysql://u@[::1]:5")->host, "::1");
  EXPECT_EQ(Endpoint::parse_url("mysql://u@/?socket=%2Frun%2Fs")->socket, "/run/s");
}

TEST(Endpoint, BadUrlsNameTheFault) {
  for (const char* url : {"", "shop", "mysql://host", "mysql://u@h:0", "mysql://u@h:70000", "mysql://u@h?ssl-mode=x",
                          "mysql://u@h?what=1", "mysql://u:%zz@h", "mysql://@h", "mysql://u@", "oracle://u@h"}) {
    auto endpoint = Endpoint::parse_url(url);
    ASSERT_FALSE(endpoint.ok()) << url;
    EXPECT_FALSE(endpoint.error().cause().empty());
  }
  EXPECT_EQ(Endpoint::parse_url("mysql://u:topsecret@h:0").error().to_string().find("topsecret"), std::string::npos);
}

TEST(TableMapping, ScopeAndRenames) {
  auto mapping = TableMapping::create({"shop.*", "log?.ev*"}, {"shop.tmp_*"}, {"shop.*=store.*", "shop.a=other.b"});
  ASSERT_TRUE(mapping.ok());
  EXPECT_TRUE(mapping->includes("shop", "orders"));
  EXPECT_FALSE(mapping->includes("shop", "tmp_1"));
  EXPECT_TRUE(mapping->includes("log1", "events"));
  EXPECT_FALSE(mapping->includes("log12", "events"));
  EXPECT_EQ(mapping->target_of("shop", "orders").to_string(), "store.orders");
  EXPECT_EQ(mapping->target_of("shop", "a").to_string(), "other.b");
  EXPECT_EQ(mapping->target_of("log1", "events").to_string(), "log1.events");
  EXPECT_TRUE(mapping->includes_database("shop"));
  EXPECT_FALSE(mapping->includes_database("hr"));
}

TEST(TableMapping, SystemAndMetaDatabasesAreNeverInScope) {
  auto mapping = TableMapping::create({}, {}, {}, "meta");
  ASSERT_TRUE(mapping.ok());
  for (const char* database : {"mysql", "sys", "information_schema", "performance_schema", "meta"})
    EXPECT_FALSE(mapping->includes(database, "t")) << database;
  EXPECT_TRUE(mapping->includes("anything", "t"));
}

TEST(TableMapping, TheNameOfADatabaseIsNoTable) {
  auto mapping = TableMapping::create({"shop.*"}, {}, {"shop.*=store.*"});
  ASSERT_TRUE(mapping.ok());
  EXPECT_TRUE(mapping->includes(TableName{"shop", "t"}));
  EXPECT_FALSE(mapping->includes(TableName{"shop", {}}));
  EXPECT_EQ(mapping->target_of(TableName{"shop", "t"}), (TableName{"store", "t"}));
}

TEST(TableMapping, BadPatternsAreRefused) {
  EXPECT_FALSE(TableMapping::create({"shop"}, {}, {}).ok());
  EXPECT_FALSE(TableMapping::create({}, {}, {"a.*=b.c"}).ok());
  EXPECT_FALSE(TableMapping::create({}, {}, {"a.b"}).ok());
  EXPECT_EQ(parse_table_pattern("`a.b`.`c``d`")->to_string(), "a.b.c`d");
}

TEST(ByteBudget, GrantsInOrderAndLetsOneOversizedThrough) {
  ByteBudget budget(100);
  auto whole = budget.try_acquire(1000);
  ASSERT_TRUE(whole.has_value());
  EXPECT_FALSE(budget.try_acquire(1).has_value());
  EXPECT_FALSE(budget.acquire(1, std::chrono::milliseconds(5)).has_value());
  std::thread waiter([&] { EXPECT_TRUE(budget.acquire(60, std::chrono::seconds(10)).has_value()); });
  whole->release();
  waiter.join();
  EXPECT_EQ(budget.used_bytes(), 0U);
  budget.close();
  EXPECT_FALSE(budget.acquire(1, std::chrono::seconds(10)).has_value());
}

TEST(Lease, RunsOutAndIsNotShortened) {
  testing::ManualClock clock;
  Lease lease(clock);
  EXPECT_FALSE(lease.check().ok());
  lease.extend(clock.boot_time() + std::chrono::seconds(10));
  lease.extend(clock.boot_time() + std::chrono::seconds(1));
  clock.advance(std::chrono::seconds(9));
  EXPECT_TRUE(lease.check().ok());
  clock.advance(std::chrono::seconds(2));
  EXPECT_EQ(lease.check().error().code(), ErrorCode::LEASE_EXPIRED);
}

TEST(Error, CatalogueIsComplete) {
  for (uint16_t code = 0;; ++code) {
    const ErrorInfo& info = error_info(static_cast<ErrorCode>(code));
    if (code != 0 && info.id == "INTERNAL") break;
    EXPECT_FALSE(info.message.empty()) << info.id;
    EXPECT_FALSE(info.action.empty()) << info.id;
    EXPECT_EQ(error_code_from_id(info.id), static_cast<ErrorCode>(code));
  }
}

}  // namespace
}  // namespace sluice
