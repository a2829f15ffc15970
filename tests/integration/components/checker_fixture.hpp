// What the tests of the Checker share: two real servers, and an Incr-Sync and coordinator that are played.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "agents/components/checker/check_journal.hpp"
#include "agents/components/checker/checker.hpp"
#include "agents/components/checker/settle.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/catalog.hpp"
#include "sinks/database/bookkeeping.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/fake_component.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/server_pair.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace sluice::agents {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""min;
using sluice::testing::compare_databases;
using sluice::testing::FakeComponent;
using sluice::testing::MariaDbServer;
using sluice::testing::TempDir;

using cluster::v1::ComponentStatus;

class CheckerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (auto* server : {source_, target_}) server->sql("CREATE OR REPLACE DATABASE d CHARACTER SET utf8mb4");
    auto& spec = component_.spec_mutable();
    *spec.mutable_source() = net::to_proto(source_->endpoint());
    *spec.mutable_target() = net::to_proto(target_->endpoint());
    spec.set_meta_database("sluice");
    spec.add_includes("d.*");
    spec.set_readers(2);
    component_.boot_mutable().set_data_dir(folder_.file("checker"));
  }
  void both(const std::string& sql) {
    source_->sql(sql);
    target_->sql(sql);
  }
  ComponentStatus check() {
    const auto status = run_checker(component_);
    EXPECT_TRUE(status.ok()) << status.error().to_string();
    return component_.status();
  }
  static std::string verify_of(const ComponentStatus& status, const std::string& table) {
    for (const auto& each : status.tables()) {
      if (each.source() == table) return each.verify();
    }
    return "absent";
  }
  static uint64_t differences_of(const ComponentStatus& status, const std::string& table) {
    for (const auto& each : status.tables()) {
      if (each.source() == table) return each.differences();
    }
    return 0;
  }
  // Runs a file with the client program, as an operator would.
  void run_file(const std::string& file) {
    std::string output;
    const auto command = "mariadb -h127.0.0.1 -P" + std::to_string(target_->port()) + " -u" + MariaDbServer::kUser +
                         " -p" + MariaDbServer::kPassword + " < " + file;
    ASSERT_EQ(sluice::testing::run_program("sh", {"-c", command}, &output), 0) << output;
  }
  MariaDbServer* const source_ = &sluice::testing::source_server();
  MariaDbServer* const target_ = &sluice::testing::target_server();
  TempDir folder_;
  FakeComponent component_;
};

// ---- a live system ----

// Plays Incr-Sync and the coordinator: the target's row 1 is behind by whatever the writer did, until a hold asks for a
// position. Every transaction of the writer adds one to the row, so its value at a position follows from the GTID.
class FakeIncrSync {
 public:
  FakeIncrSync(FakeComponent& component, MariaDbServer& source, MariaDbServer& target)
      : component_(component), target_(target) {
    base_ = sequence(source.query_value("SELECT @@gtid_binlog_pos")) -
            std::stoll(source.query_value("SELECT v FROM d.t WHERE id=1"));
    writer_ = std::thread([this, endpoint = source.endpoint()] {
      auto connection = mysql::Connection::open(endpoint, {});
      while (!stop_ && (*connection)->exec("UPDATE d.t SET v=v+1 WHERE id=1").ok()) std::this_thread::sleep_for(5ms);
    });
    thread_ = std::thread([this] { answer(); });
  }
  ~FakeIncrSync() {
    stop_ = true;
    writer_.join();
    thread_.join();
  }
  int holds() const { return holds_; }
  std::atomic<bool> void_next_{false};  // the next hold is answered by a new epoch in its middle

 private:
  static long long sequence(const std::string& gtids) { return std::stoll(gtids.substr(gtids.rfind('-') + 1)); }
  void answer() {
    uint64_t paused = 0;
    std::string applied;
    while (!stop_) {
      std::this_thread::sleep_for(10ms);
      const auto wish = component_.status().checker();
      if (wish.wish_hold() == 0) continue;
      cluster::v1::HoldAnswer answer;
      answer.set_id(wish.wish_hold());
      answer.set_paused(true);
      answer.set_incr_sync_epoch(epoch_);
      if (wish.wish_hold() != paused) {
        paused = wish.wish_hold();
        ++holds_;
      } else if (!wish.wish_apply_to().file().empty() && applied != wish.wish_apply_to().SerializeAsString()) {
        applied = wish.wish_apply_to().SerializeAsString();
        if (void_next_.exchange(false)) {
          answer.set_incr_sync_epoch(++epoch_);
        } else {
          target_.sql("UPDATE d.t SET v=" + std::to_string(sequence(wish.wish_apply_to().gtids()) - base_) +
                      " WHERE id=1");
        }
        *answer.mutable_applied() = wish.wish_apply_to();
      } else {
        continue;
      }
      component_.desire([&](cluster::v1::ComponentDesired& desired) { *desired.mutable_hold_answer() = answer; });
    }
  }
  FakeComponent& component_;
  MariaDbServer& target_;
  long long base_ = 0;
  uint64_t epoch_ = 5;
  std::atomic<bool> stop_{false};
  std::atomic<int> holds_{0};
  std::thread writer_, thread_;
};

inline constexpr const char* kLiveTable =
    "CREATE TABLE d.t (id INT PRIMARY KEY, v BIGINT); INSERT INTO d.t SELECT seq,0 FROM d.seq_1_to_100;"
    "CREATE TABLE d.keyless (a INT); INSERT INTO d.keyless VALUES (1),(2)";

}  // namespace sluice::agents
