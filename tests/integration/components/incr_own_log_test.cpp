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

// A transaction in pieces has no name before its end. It meets a conflict, and is applied once more, row by row.
TEST_F(IncrSyncTest, ALargeTransactionWithoutANameMeetsAConflict) {
  both("CREATE TABLE app.big (id BIGINT NOT NULL PRIMARY KEY, v VARCHAR(2000) CHARACTER SET latin1)");
  OwnLog log;
  own_log = &log;
  {
    mysql::ConnectOptions catalog;
    catalog.purpose = mysql::Purpose::kCatalog;
    auto names = std::move(mysql::Connection::open(source_server().endpoint(), catalog)).value();
    log.schema = std::make_shared<const TableSchema>(*mysql::read_table(*names, {"app", "big"}));
  }
  log.add_transaction(100, 200, 1, 2000, std::string(1500, 'v'));
  log.add_transaction(200, 300, 2001, 2001, "after");
  target("INSERT INTO big VALUES (1500, 'in the way')");
  RunningComponent incr(follow_own_log);
  auto& spec = incr.component().spec_mutable();
  spec.set_project_id("np");
  spec.set_component_id("np.incr");
  spec.set_kind(cluster::v1::INCR_SYNC);
  spec.set_epoch(1);
  *spec.mutable_source() = net::to_proto(source_server().endpoint());
  *spec.mutable_target() = net::to_proto(target_server().endpoint());
  spec.add_includes("app.*");
  spec.set_with_incremental(true);
  spec.set_on_conflict("overwrite");
  spec.set_memory_bytes(24 << 20);
  *spec.mutable_start() = net::to_proto(log.at(100));
  incr.component().desire([](ComponentDesired& desired) {
    desired.set_store_address("own");
    desired.set_follow_strictly(true);
  });
  incr.start();
  EXPECT_TRUE(wait_until([] { return target_server().query_value("SELECT COUNT(*) FROM app.big") == "2001"; }, 30s));
  EXPECT_TRUE(incr.stop().ok());
  EXPECT_EQ(log.opened, 2);
  EXPECT_EQ(target_server().query_value("SELECT LENGTH(v) FROM app.big WHERE id = 1500"), "1500");
}

}  // namespace
}  // namespace sluice::agents
