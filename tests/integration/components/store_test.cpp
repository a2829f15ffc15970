// The Store component: status, stop, failures, and kill -9 at any moment.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "agents/components/store/store.hpp"
#include "tests/integration/store/store_fixture.hpp"
#include "tests/support/fake_component.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

namespace sluice::agents {
namespace {

using namespace std::chrono_literals;
using cluster::v1::ComponentStatus;
using sluice::testing::FakeComponent;
using sluice::testing::MariaDbServer;
using sluice::testing::TempDir;
using sluice::testing::wait_until;
using store::LogClient;
using store::LogClientOptions;
using store::test::Seen;
using store::test::source_end;
using store::test::Writers;

cluster::v1::ComponentBoot boot_of(const Endpoint& source, const std::string& folder) {
  cluster::v1::ComponentBoot boot;
  auto& spec = *boot.mutable_spec();
  spec.set_project_id("np_1");
  spec.set_component_id("np_1.store");
  spec.set_kind(cluster::v1::STORE);
  spec.set_epoch(1);
  *spec.mutable_source() = net::to_proto(source);
  spec.add_includes("app.*");
  boot.set_data_dir(folder);
  boot.set_listen_host("127.0.0.1");
  boot.set_token("token");
  return boot;
}

LogClientOptions reader_of(const std::string& address, const Position& after) {
  LogClientOptions options;
  options.address = address;
  options.token = Secret("token");
  options.reader = "reader";
  options.epoch = 1;
  options.after = after;
  return options;
}

// This program, started again by a test, becomes a Store that writes its address and start to a file.
class StoreWhenAsked : public ::testing::Environment {
  void SetUp() override {
    const char* file = getenv("STORE_TEST_BOOT");
    if (!file) return;
    std::ifstream in(file, std::ios::binary);
    FakeComponent component;
    component.boot_mutable().ParseFromIstream(&in);
    std::thread teller([&] {
      component.wait_status([](const ComponentStatus& status) { return !status.store().start().file().empty(); }, 30s);
      auto status = component.status();
      std::string path = std::string(file) + ".ready";
      std::ofstream(path + ".new") << status.store().address() << "\n"
                                   << net::from_proto(status.store().start()).to_string() << "\n";
      rename((path + ".new").c_str(), path.c_str());
    });
    auto status = run_store(component);
    if (!status.ok()) fprintf(stderr, "%s\n", status.error().to_string().c_str());
    _exit(1);
  }
};
const auto* const kStore = ::testing::AddGlobalTestEnvironment(new StoreWhenAsked);

class StoreProcess {
 public:
  explicit StoreProcess(const std::string& boot_file) {
    std::string ready = boot_file + ".ready";
    unlink(ready.c_str());
    pid_ = fork();
    if (pid_ == 0) {
      setenv("STORE_TEST_BOOT", boot_file.c_str(), 1);
      execl("/proc/self/exe", "store", nullptr);
      _exit(1);
    }
    EXPECT_TRUE(wait_until([&] { return access(ready.c_str(), R_OK) == 0; }));
    std::ifstream in(ready);
    std::string start_text;
    std::getline(in, address);
    std::getline(in, start_text);
    start = Position::parse(start_text).value();
  }
  ~StoreProcess() { kill9(); }
  void kill9() {
    if (pid_ <= 0) return;
    testing::send_signal(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  std::string address;
  Position start;

 private:
  pid_t pid_ = 0;
};

TEST(StoreComponent, ReportsServesAndStops) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  auto boot = boot_of(server.endpoint(), folder.path());
  for (int round = 0; round < 2; ++round) {
    FakeComponent component;
    component.boot_mutable() = boot;
    Status result;
    std::thread running([&] { result = run_store(component); });
    EXPECT_TRUE(component.wait_status(
        [](const ComponentStatus& status) {
          return status.state() == cluster::v1::RUNNING && status.store().source_asked_us() > 0 &&
                 !status.store().end().file().empty();
        },
        30s));
    auto status = component.status();
    auto client = LogClient::open(reader_of(status.store().address(), net::from_proto(status.store().start())));
    EXPECT_TRUE(client.ok());
    server.sql("INSERT INTO app.t VALUES (" + std::to_string(round) + ")");
    auto end = source_end(server);
    if (client.ok()) {
      Seen seen;
      EXPECT_TRUE(seen.read_to(**client, end).ok());
      EXPECT_EQ(seen.rows, static_cast<uint64_t>(round + 1));  // from the first start's position, both times
    }
    EXPECT_TRUE(component.wait_status(
        [&](const ComponentStatus& now) {
          return net::from_proto(now.store().end()) == end &&
                 net::from_proto(now.store().source_end()).offset == end.offset;
        },
        10s));
    component.desire([](auto& desired) { desired.set_stop(true); });
    running.join();
    EXPECT_TRUE(result.ok());
  }
}

TEST(StoreComponent, RetriesAndTellsWhy) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
  FakeComponent component;
  component.boot_mutable() = boot_of(server.endpoint(), folder.path());
  Status result;
  std::thread running([&] { result = run_store(component); });
  auto state = [&](cluster::v1::ComponentState state) {
    return component.wait_status([state](const ComponentStatus& status) { return status.state() == state; }, 30s);
  };
  EXPECT_TRUE(state(cluster::v1::RUNNING));
  server.kill9();
  EXPECT_TRUE(state(cluster::v1::RETRYING));
  EXPECT_FALSE(component.status().error().code().empty());
  server.restart();
  EXPECT_TRUE(state(cluster::v1::RUNNING));
  EXPECT_TRUE(component.status().error().code().empty());
  server.sql("RESET MASTER");
  server.restart();
  running.join();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::SOURCE_DIVERGED) << result.error().to_string();
}

// Runs in this process until it is stopped, at the latest by its end.
class RunningStore {
 public:
  RunningStore(const cluster::v1::ComponentBoot& boot, std::function<Status(ComponentContext&)> run) {
    component.boot_mutable() = boot;
    thread_ = std::thread([this, run = std::move(run)] { result_ = run(component); });
  }
  ~RunningStore() { (void)stop(); }
  Status stop() {
    component.desire([](auto& desired) { desired.set_stop(true); });
    if (thread_.joinable()) thread_.join();
    return result_;
  }
  bool wait(cluster::v1::ComponentState state, const std::string& code) {
    return component.wait_status(
        [&](const ComponentStatus& status) { return status.state() == state && status.error().code() == code; }, 30s);
  }
  FakeComponent component;

 private:
  Status result_;
  std::thread thread_;
};

// Nearly no room: what is there is served, and goes when its reader has it; then capture goes on.
TEST(StoreComponent, ADiskThatIsNearlyFullIsDrained) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB)");
  std::atomic<uint64_t> free_bytes{1ULL << 40};
  auto boot = boot_of(server.endpoint(), folder.path());
  auto run = [&](ComponentContext& context) {
    return run_store_on(context, [&](const std::string&) { return Result<uint64_t>(free_bytes); });
  };
  Position start, held;
  {
    RunningStore store(boot, run);
    ASSERT_TRUE(store.wait(cluster::v1::RUNNING, ""));
    start = net::from_proto(store.component.status().store().start());
    server.sql("INSERT INTO app.t (v) SELECT RANDOM_BYTES(1024) FROM app.seq_1_to_20000");
    held = source_end(server);
    ASSERT_TRUE(store.component.wait_status(
        [&](const ComponentStatus& now) { return net::from_proto(now.store().end()) == held; }, 30s));
    free_bytes = 100 << 20;
    ASSERT_TRUE(store.wait(cluster::v1::RETRYING, "DISK_FULL"));
    EXPECT_TRUE(store.stop().ok());
  }
  // The same at a start; nothing is captured.
  RunningStore store(boot, run);
  ASSERT_TRUE(store.wait(cluster::v1::RETRYING, "DISK_FULL"));
  server.sql("INSERT INTO app.t (v) VALUES ('later')");
  auto client = LogClient::open(reader_of(store.component.status().store().address(), start));
  ASSERT_TRUE(client.ok()) << client.error().to_string();
  Seen seen;
  auto status = seen.read_to(**client, held);
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(seen.rows, 20000U);
  EXPECT_FALSE(seen.read_to(**client, source_end(server), 2s).ok());
  // What the reader has is removed from the disk, young as it is.
  EXPECT_TRUE(
      store.component.wait_status([&](const ComponentStatus& now) { return now.store().bytes() < (4 << 20); }, 30s));
  free_bytes = 1ULL << 40;
  EXPECT_TRUE(store.wait(cluster::v1::RUNNING, ""));
  status = seen.read_to(**client, source_end(server));
  EXPECT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(seen.rows, 20001U);
  EXPECT_TRUE(store.stop().ok());
}

// A source that sends its log and answers nothing else is no healthy one: nobody knows how old what is read is.
TEST(StoreComponent, TellsWhyTheSourceIsNotAsked) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql("CREATE DATABASE app; CREATE USER r@'%' IDENTIFIED BY 'r'; GRANT ALL ON *.* TO r@'%'");
  RunningStore store(boot_of(server.endpoint("r", "r"), folder.path()), run_store);
  ASSERT_TRUE(store.component.wait_status(
      [](const ComponentStatus& status) {
        return status.state() == cluster::v1::RUNNING && status.store().source_asked_us() > 0;
      },
      30s));
  // The dump goes on; only new connections are refused.
  server.sql("ALTER USER r@'%' ACCOUNT LOCK");
  for (auto& row :
       server.query("SELECT id FROM information_schema.processlist WHERE user = 'r' AND command <> 'Binlog Dump'"))
    server.try_sql("KILL " + *row[0]);
  EXPECT_TRUE(store.component.wait_status(
      [](const ComponentStatus& status) {
        return status.state() == cluster::v1::RETRYING && !status.error().code().empty();
      },
      30s));
  server.sql("ALTER USER r@'%' ACCOUNT UNLOCK");
  EXPECT_TRUE(store.wait(cluster::v1::RUNNING, ""));
  EXPECT_TRUE(store.stop().ok());
}

TEST(StoreComponent, AWrongPasswordIsATypedEnd) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  FakeComponent component;
  component.boot_mutable() = boot_of(server.endpoint("sluice", "wrong"), folder.path());
  auto result = run_store(component);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::ACCESS_DENIED);
}

TEST(StoreComponent, KilledAtAnyMomentLosesAndRepeatsNothing) {
  MariaDbServer server;
  TempDir folder("sluice-store");
  server.sql(Writers::kTable);
  std::string boot_file = folder.file("boot");
  std::ofstream(boot_file, std::ios::binary) << boot_of(server.endpoint(), folder.path()).SerializeAsString();
  Seen seen;
  std::mt19937 random(std::random_device{}());
  uint64_t first = 0;
  Position end;
  {
    Writers writers(server.endpoint(), 2);
    auto store = std::make_unique<StoreProcess>(boot_file);
    Position start = store->start;
    first = std::stoull(start.gtids.substr(4)) + 1;
    seen.position = start;
    for (int round = 0; round < 6; ++round) {
      auto client = LogClient::open(reader_of(store->address, seen.position));
      ASSERT_TRUE(client.ok()) << client.error().to_string();
      auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(200 + random() % 400);
      std::thread killer([&] {
        std::this_thread::sleep_until(until);
        store->kill9();
      });
      // Reads until the connection breaks; whatever was received stays received.
      Position far{"zzz.999999", ~0ULL, {}};
      auto broken = seen.read_to(**client, far);
      killer.join();
      EXPECT_FALSE(broken.ok());
      // A transaction that was received in part comes again as a whole.
      if (seen.open) {
        seen.gtids.pop_back();
        seen.rows -= seen.open_rows;
        seen.open = false;
      }
      store = std::make_unique<StoreProcess>(boot_file);
      EXPECT_EQ(store->start, start);
    }
    writers.stop();
    end = source_end(server);
    auto client = LogClient::open(reader_of(store->address, seen.position));
    ASSERT_TRUE(client.ok());
    auto status = seen.read_to(**client, end);
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
  ASSERT_FALSE(seen.gtids.empty());
  for (uint64_t index = 0; index < seen.gtids.size(); ++index)
    ASSERT_EQ(seen.gtids[index], "0-1-" + std::to_string(first + index));
  EXPECT_EQ(seen.gtids.back(), end.gtids);
  EXPECT_EQ(seen.rows, 2 * seen.gtids.size());
  printf("%zu transactions over 6 kills\n", seen.gtids.size());
}

}  // namespace
}  // namespace sluice::agents
