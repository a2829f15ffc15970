// Incr-Sync with a log that the test brings: what a MariaDB source does not log.
#include "agents/components/incr_sync/start.hpp"
#include "tests/integration/components/incr_fixture.hpp"

namespace sluice::agents {
namespace {

// Batches in memory, read from the beginning by each session; places are offsets in one file, without GTIDs.
struct OwnLog {
  struct Part {
    Batch batch;
    uint64_t begins_at = 0;  // of the transaction that it belongs to
  };
  std::vector<Part> parts;
  SchemaPtr schema;
  uint64_t end = 0;
  std::atomic<int> opened{0};

  // One transaction from `begins_at` to `ends_at`, in batches of some hundred KiB.
  void add_transaction(uint64_t begins_at, uint64_t ends_at, int64_t first, int64_t last, const std::string& value) {
    BatchBuilder builder;
    builder.add(Begin{});
    for (int64_t id = first; id <= last; ++id) {
      const ValueView row[] = {ValueView::of_int(id), ValueView::of_bytes(value)};
      builder.add_row(*schema, schema->id(), RowOp::kInsert, 0, {}, row);
      if (builder.size() > 200'000) parts.push_back({*Batch::open(builder.finish()), begins_at});
    }
    Commit commit;
    commit.file = "log.1";
    commit.offset = end = ends_at;
    builder.add(commit);
    parts.push_back({*Batch::open(builder.finish()), begins_at});
  }
  Position at(uint64_t offset) const { return {"log.1", offset, ""}; }
};

class OwnLogClient final : public store::LogClient {
 public:
  OwnLogClient(const OwnLog& log, const Position& after) : log_(log) {
    while (next_ < log_.parts.size() && log_.parts[next_].begins_at < after.offset) ++next_;
  }
  Result<store::LogItem> next(std::chrono::milliseconds patience) override {
    store::LogItem item;
    item.end = item.source_end = log_.at(log_.end);
    item.source_asked_us = 1;
    if (next_ < log_.parts.size())
      item.batch = log_.parts[next_++].batch;
    else
      std::this_thread::sleep_for(std::min(patience, std::chrono::milliseconds(50)));
    item.caught_up = next_ == log_.parts.size();
    return item;
  }
  SchemaPtr schema(uint64_t id) const override { return id == log_.schema->id() ? log_.schema : nullptr; }
  void grant(uint64_t) override {}
  void durable(const Position&) override {}
  void cancel() override {}

 private:
  const OwnLog& log_;
  size_t next_ = 0;
};

OwnLog* own_log = nullptr;

Status follow_own_log(ComponentContext& context) {
  SLUICE_ASSIGN(auto job, make_job(context));
  job->open_log = [](const store::LogClientOptions& options) -> Result<std::unique_ptr<store::LogClient>> {
    ++own_log->opened;
    return std::unique_ptr<store::LogClient>(std::make_unique<OwnLogClient>(*own_log, options.after));
  };
  return follow(*job);
}

class IncrOwnLogTest : public IncrSyncTest {
 protected:
  void SetUp() override {
    IncrSyncTest::SetUp();
    own_log = &log_;
    both("CREATE TABLE app.big (id BIGINT NOT NULL PRIMARY KEY, v VARCHAR(2000) CHARACTER SET latin1)");
    mysql::ConnectOptions catalog;
    catalog.purpose = mysql::Purpose::kCatalog;
    auto names = std::move(mysql::Connection::open(source_server().endpoint(), catalog)).value();
    log_.schema = std::make_shared<const TableSchema>(*mysql::read_table(*names, {"app", "big"}));
  }

  std::unique_ptr<RunningComponent> follow(uint64_t epoch, uint64_t memory, const std::string& on_conflict = "stop") {
    auto incr = std::make_unique<RunningComponent>(follow_own_log);
    auto& spec = incr->component().spec_mutable();
    spec.set_project_id("np");
    spec.set_component_id("np.incr");
    spec.set_kind(cluster::v1::INCR_SYNC);
    spec.set_epoch(epoch);
    *spec.mutable_source() = net::to_proto(source_server().endpoint());
    *spec.mutable_target() = net::to_proto(target_server().endpoint());
    spec.add_includes("app.*");
    spec.set_with_incremental(true);
    spec.set_on_conflict(on_conflict);
    spec.set_memory_bytes(memory);
    *spec.mutable_start() = net::to_proto(log_.at(100));
    incr->component().desire([](ComponentDesired& desired) {
      desired.set_store_address("own");
      desired.set_follow_strictly(true);
    });
    incr->start();
    return incr;
  }
  static bool wait_rows(int count) {
    return wait_until(
        [&] { return target_server().query_value("SELECT COUNT(*) FROM app.big") == std::to_string(count); }, 30s);
  }

  OwnLog log_;
};

// A transaction in pieces has no name before its end. It meets a conflict, and is applied once more, row by row.
TEST_F(IncrOwnLogTest, ALargeTransactionWithoutANameMeetsAConflict) {
  log_.add_transaction(100, 200, 1, 2000, std::string(1500, 'v'));
  log_.add_transaction(200, 300, 2001, 2001, "after");
  target("INSERT INTO big VALUES (1500, 'in the way')");
  const auto incr = follow(1, 24 << 20, "overwrite");
  EXPECT_TRUE(wait_rows(2001));
  EXPECT_TRUE(incr->stop().ok());
  EXPECT_EQ(log_.opened, 2);
  EXPECT_EQ(target_server().query_value("SELECT LENGTH(v) FROM app.big WHERE id = 1500"), "1500");
}

// A process with more memory has applied the second large transaction, and a small one, above the watermark; the first
// one waited. With less memory both come in pieces, and which of them the target holds is known at their ends.
TEST_F(IncrOwnLogTest, LargeTransactionsWithoutANameAreNotAppliedAgain) {
  log_.add_transaction(100, 200, 1, 2000, std::string(1500, 'a'));
  log_.add_transaction(200, 300, 3001, 5000, std::string(1500, 'b'));
  log_.add_transaction(300, 400, 6000, 6000, "small");
  auto lock = std::move(mysql::Connection::open(target_server().endpoint(), {})).value();
  ASSERT_TRUE(lock->exec("START TRANSACTION").ok());
  ASSERT_TRUE(lock->exec("INSERT INTO app.big VALUES (1000, 'it waits for this row')").ok());
  auto incr = follow(1, 512 << 20);
  EXPECT_TRUE(wait_rows(2001));
  EXPECT_TRUE(incr->stop().ok());
  ASSERT_TRUE(lock->exec("ROLLBACK").ok());
  log_.add_transaction(400, 500, 6001, 6001, "after");
  log_.opened = 0;
  incr = follow(2, 24 << 20);
  EXPECT_TRUE(wait_rows(4002) || incr->over());
  const auto ended = incr->stop();
  EXPECT_TRUE(ended.ok()) << ended.error().to_string();
  EXPECT_EQ(log_.opened, 2) << "the first is looked through, and then read again";
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM app.big"), "4002");
}

}  // namespace
}  // namespace sluice::agents
