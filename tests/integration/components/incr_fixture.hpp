// A source, a Store that captures it, and Incr-Sync into a target, all real, the components in this process.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "agents/components/incr_sync/incr_sync.hpp"
#include "agents/components/store/store.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/positions.hpp"
#include "sinks/database/bookkeeping.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/fake_component.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/server_pair.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace sluice::agents {

using cluster::v1::ComponentDesired;
using cluster::v1::ComponentStatus;
using sluice::testing::compare_databases;
using sluice::testing::FakeComponent;
using sluice::testing::MariaDbServer;
using sluice::testing::source_server;
using sluice::testing::target_server;
using sluice::testing::wait_until;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

// The target, seen through the proxy.
inline Endpoint through(const testing::TcpProxy& proxy) {
  Endpoint endpoint = target_server().endpoint();
  endpoint.host = "127.0.0.1";
  endpoint.socket.clear();
  endpoint.port = proxy.port();
  endpoint.ssl_mode = SslMode::kDisabled;
  return endpoint;
}

// A component on a thread of its own; the boot message can be changed before start().
class RunningComponent {
 public:
  using Main = Status (*)(ComponentContext&);
  explicit RunningComponent(Main main) : main_(main) {}
  ~RunningComponent() { (void)stop(); }
  FakeComponent& component() { return component_; }
  void start() {
    thread_ = std::thread([this] {
      result_ = main_(component_);
      over_ = true;
    });
  }
  bool over() const { return over_; }
  // Waits for the end; what the component returned.
  Status join() {
    if (thread_.joinable()) thread_.join();
    return result_;
  }
  Status stop() {
    component_.desire([](ComponentDesired& desired) { desired.set_stop(true); });
    return join();
  }

 private:
  Main main_;
  FakeComponent component_;
  std::atomic<bool> over_{false};
  Status result_;
  std::thread thread_;
};

class IncrSyncTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (MariaDbServer* server : {&source_server(), &target_server()}) {
      server->sql(
          "SET foreign_key_checks=0; DROP DATABASE IF EXISTS app; DROP DATABASE IF EXISTS sluice;"
          "SET foreign_key_checks=1");
    }
    both("CREATE DATABASE app CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci");
  }
  void TearDown() override {
    incr_.reset();
    store_.reset();
  }

  void both(const std::string& sql) {
    source_server().sql(sql);
    target_server().sql(sql);
  }
  void source(const std::string& sql) { source_server().sql("USE app;" + sql); }
  void target(const std::string& sql) { target_server().sql("USE app;" + sql); }

  // Captures from now on.
  void start_store() {
    store_ = std::make_unique<RunningComponent>(run_store);
    auto& boot = store_->component().boot_mutable();
    auto& spec = *boot.mutable_spec();
    spec.set_project_id("np");
    spec.set_component_id("np.store");
    spec.set_kind(cluster::v1::STORE);
    spec.set_epoch(1);
    *spec.mutable_source() = net::to_proto(source_server().endpoint());
    spec.add_includes("app.*");
    boot.set_data_dir(folder_.path().string());
    boot.set_listen_host("127.0.0.1");
    boot.set_token("token");
    store_->start();
    ASSERT_TRUE(store_->component().wait_status(
        [](const ComponentStatus& status) { return !status.store().start().file().empty(); }, 30s));
    const auto status = store_->component().status();
    address_ = status.store().address();
    start_ = net::from_proto(status.store().start());
  }

  // Prepares an Incr-Sync; `configure` may change it before it starts.
  FakeComponent& start_incr(uint64_t epoch = 1, const std::function<void(cluster::v1::ComponentBoot&)>& configure = {},
                            const std::function<void(ComponentDesired&)>& desire = {}) {
    incr_ = std::make_unique<RunningComponent>(run_incr_sync);
    auto& boot = incr_->component().boot_mutable();
    auto& spec = *boot.mutable_spec();
    spec.set_project_id("np");
    spec.set_component_id("np.incr");
    spec.set_kind(cluster::v1::INCR_SYNC);
    spec.set_epoch(epoch);
    *spec.mutable_source() = net::to_proto(source_server().endpoint());
    *spec.mutable_target() = net::to_proto(target_server().endpoint());
    spec.add_includes("app.*");
    spec.set_with_incremental(true);
    spec.set_on_conflict(cluster::v1::CONFLICT_STOP);
    spec.set_on_ddl(cluster::v1::DDL_APPLY);
    spec.set_writers(4);
    *spec.mutable_start() = net::to_proto(start_);
    boot.set_token("token");
    if (configure) configure(boot);
    incr_->component().desire([&](ComponentDesired& desired) {
      desired.set_store_address(address_);
      if (desire) {
        desire(desired);
      } else {
        desired.set_follow_strictly(true);
      }
    });
    incr_->start();
    return incr_->component();
  }

  ComponentStatus status() { return incr_->component().status(); }
  static bool asks_for(const ComponentStatus& status, const std::string& table, uint32_t round) {
    const auto& wishes = status.incr_sync().needs_copy();
    return std::any_of(wishes.begin(), wishes.end(), [&](const cluster::v1::TableCopy& wish) {
      return net::from_proto(wish) == TableCopy{{"app", table}, round};
    });
  }

  void drain() {
    incr_->component().desire([](ComponentDesired& desired) { desired.set_drain(true); });
    auto ended = incr_->join();
    ASSERT_TRUE(ended.ok()) << ended.error().to_string();
  }

  void expect_equal() {
    const auto differences = compare_databases(source_server(), target_server(), {"app"});
    EXPECT_TRUE(differences.empty()) << differences.size()
                                     << " differences, first: " << (differences.empty() ? "" : differences.front());
  }

  Position source_end() {
    auto connection = mysql::Connection::open(source_server().endpoint(), {});
    return *mysql::end_position(**connection);
  }

  // What Full-Import would have written for a table that it copied in (start, end].
  void write_window(const std::string& table, const Position& start, const Position& end,
                    database::TableState state = database::TableState::kCopied, uint32_t round = 1) {
    mysql::ConnectOptions options;
    auto connection = std::move(mysql::Connection::open(target_server().endpoint(), options)).value();
    ASSERT_TRUE(database::create_bookkeeping(*connection, "sluice").ok());
    const database::Owner owner{"np", "np.full", 1, "sluice"};
    ASSERT_TRUE(database::take_over(target_server().endpoint(), owner).ok());
    mysql::ConnectOptions catalog;
    catalog.purpose = mysql::Purpose::kCatalog;
    auto names = std::move(mysql::Connection::open(source_server().endpoint(), catalog)).value();
    database::TableRow row;
    row.source = row.target = {"app", table};
    row.state = state;
    row.round = round;
    row.window_start = start;
    row.window_end = end;
    auto definition = mysql::read_table(*names, {"app", table});
    if (definition.ok()) {
      row.definition = definition->encode();
      row.keyless = definition->row_key() == nullptr;
    }
    const auto written = database::write_table(*connection, owner, row);
    ASSERT_TRUE(written.ok()) << written.error().to_string();
  }

  testing::TempDir folder_{"sluice-incr"};
  std::unique_ptr<RunningComponent> store_, incr_;
  std::string address_;
  Position start_;
};

}  // namespace sluice::agents
