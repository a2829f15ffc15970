// Incr-Sync with a Store whose log the test writes: what a MariaDB source does not log.
#include "core/metrics.hpp"
#include "store/log/log.hpp"
#include "store/serve/log_service.hpp"
#include "tests/integration/components/incr_fixture.hpp"

namespace sluice::agents {
namespace {

// Places are offsets in one file, without GTIDs.
Position at(uint64_t offset) { return {"log.1", offset, ""}; }

class OwnStore {
 public:
  OwnStore(const std::string& folder, SchemaPtr schema, uint64_t begin) : schema_(std::move(schema)) {
    log_ = std::move(store::Log::open({.path = folder})).value();
    EXPECT_TRUE(log_->begin_incarnation(at(begin), 0).ok());
    server_ = std::move(store::LogServer::start({"127.0.0.1:0", Secret("token"), {}}, *log_, source_)).value();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(server_->port()); }

  // One transaction, in blocks of some hundred KiB.
  void add_transaction(uint64_t ends_at, int64_t first, int64_t last, const std::string& value) {
    BatchBuilder builder;
    builder.add(Begin{});
    for (int64_t id = first; id <= last; ++id) {
      const ValueView row[] = {ValueView::of_int(id), ValueView::of_bytes(value)};
      builder.add_row(*schema_, schema_->id(), RowOp::kInsert, 0, {}, row);
      if (builder.size() > 200'000) append(builder);
    }
    Commit commit;
    commit.file = "log.1";
    commit.offset = ends_at;
    builder.add(commit);
    append(builder);
    source_.set({at(ends_at), 1, std::chrono::steady_clock::now()});
  }

 private:
  void append(BatchBuilder& builder) {
    store::NewBlock block{*Batch::open(builder.finish()), {{{}, schema_}}, {}, {}};
    const auto done = log_->append(block);
    EXPECT_TRUE(done.ok()) << done.error().to_string();
  }
  const SchemaPtr schema_;
  std::unique_ptr<store::Log> log_;
  store::SourceState source_;
  std::unique_ptr<store::LogServer> server_;  // goes first
};

class IncrOwnLogTest : public IncrSyncTest {
 protected:
  void SetUp() override {
    IncrSyncTest::SetUp();
    both("CREATE TABLE app.big (id BIGINT NOT NULL PRIMARY KEY, v VARCHAR(2000) CHARACTER SET latin1)");
    mysql::ConnectOptions catalog;
    catalog.purpose = mysql::Purpose::kCatalog;
    auto names = std::move(mysql::Connection::open(source_server().endpoint(), catalog)).value();
    const auto schema = std::make_shared<const TableSchema>(*mysql::read_table(*names, {"app", "big"}));
    own_ = std::make_unique<OwnStore>(folder_.file("own"), schema, 100);
    address_ = own_->address();
    start_ = at(100);
  }
  void TearDown() override {
    incr_.reset();
    own_.reset();
    IncrSyncTest::TearDown();
  }

  void follow(uint64_t epoch, uint64_t memory, cluster::v1::ConflictPolicy on_conflict = cluster::v1::CONFLICT_STOP) {
    start_incr(epoch, [&](cluster::v1::ComponentBoot& boot) {
      boot.mutable_spec()->set_memory_bytes(memory);
      boot.mutable_spec()->set_on_conflict(on_conflict);
    });
  }
  static bool wait_rows(int count) {
    return wait_until(
        [&] { return target_server().query_value("SELECT COUNT(*) FROM app.big") == std::to_string(count); }, 30s);
  }
  // How often the log was begun anew in this program.
  static int beginnings() {
    static constexpr char kName[] = "\nsluice_incr_sync_retries_total ";
    const std::string all = metrics::exposition();
    const size_t found = all.find(kName);
    return found == std::string::npos ? 0 : std::atoi(all.c_str() + found + sizeof(kName) - 1);
  }

  std::unique_ptr<OwnStore> own_;
};

// A transaction in pieces has no name before its end. It meets a conflict, and is applied once more, row by row.
TEST_F(IncrOwnLogTest, ALargeTransactionWithoutANameMeetsAConflict) {
  own_->add_transaction(200, 1, 2000, std::string(1500, 'v'));
  own_->add_transaction(300, 2001, 2001, "after");
  target("INSERT INTO big VALUES (1500, 'in the way')");
  const int before = beginnings();
  follow(1, 24 << 20, cluster::v1::CONFLICT_OVERWRITE);
  EXPECT_TRUE(wait_rows(2001));
  EXPECT_TRUE(incr_->stop().ok());
  EXPECT_EQ(beginnings() - before, 1);
  EXPECT_EQ(status().incr_sync().conflicts_total(), 1U);
  EXPECT_EQ(target_server().query_value("SELECT LENGTH(v) FROM app.big WHERE id = 1500"), "1500");
}

// A process with more memory has applied the second large transaction, and a small one, above the watermark; the first
// one waited. With less memory both come in pieces, and which of them the target holds is known at their ends.
TEST_F(IncrOwnLogTest, LargeTransactionsWithoutANameAreNotAppliedAgain) {
  own_->add_transaction(200, 1, 2000, std::string(1500, 'a'));
  own_->add_transaction(300, 3001, 5000, std::string(1500, 'b'));
  own_->add_transaction(400, 6000, 6000, "small");
  auto lock = std::move(mysql::Connection::open(target_server().endpoint(), {})).value();
  ASSERT_TRUE(lock->exec("START TRANSACTION").ok());
  ASSERT_TRUE(lock->exec("INSERT INTO app.big VALUES (1000, 'it waits for this row')").ok());
  follow(1, 512 << 20);
  EXPECT_TRUE(wait_rows(2001));
  EXPECT_TRUE(incr_->stop().ok());
  ASSERT_TRUE(lock->exec("ROLLBACK").ok());
  own_->add_transaction(500, 6001, 6001, "after");
  follow(2, 24 << 20);  // the first is looked through, and then read again
  EXPECT_TRUE(wait_rows(4002) || incr_->over());
  const auto ended = incr_->stop();
  EXPECT_TRUE(ended.ok()) << ended.error().to_string();
  EXPECT_EQ(target_server().query_value("SELECT COUNT(*) FROM app.big"), "4002");
}

}  // namespace
}  // namespace sluice::agents
