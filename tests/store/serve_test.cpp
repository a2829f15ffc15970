// Server and client over loopback.
#include <atomic>
#include <condition_variable>
#include <thread>

#include "store/client/log_client.hpp"
#include "store/serve/log_service.hpp"
#include "tests/store/log_fixture.hpp"

namespace sluice::store::test {
namespace {

using namespace std::chrono_literals;

struct Serve : testing::Test {
  void SetUp() override {
    log = open_log(folder);
    ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
    start_server();
  }
  void start_server() {
    auto started = LogServer::start({"127.0.0.1:0", Secret("token"), confirm}, *log, source);
    ASSERT_TRUE(started.ok()) << started.error().to_string();
    server = std::move(started).value();
  }
  LogClientOptions options(const std::string& reader = "r", uint64_t after = 0) {
    LogClientOptions options;
    options.address = "127.0.0.1:" + std::to_string(server->port());
    options.token = Secret("token");
    options.reader = reader;
    options.epoch = 1;
    options.after = position_of(after);
    return options;
  }
  std::unique_ptr<LogClient> open(const LogClientOptions& options) {
    auto client = LogClient::open(options);
    EXPECT_TRUE(client.ok()) << client.error().to_string();
    return client.ok() ? std::move(client).value() : nullptr;
  }
  // Reads until `count` transactions came.
  static std::vector<uint64_t> read(LogClient& client, size_t count) {
    FrameReader frames;
    while (frames.committed.size() < count) {
      auto item = client.next(5s);
      EXPECT_TRUE(item.ok()) << item.error().to_string();
      if (!item.ok()) break;
      if (!item->batch) continue;
      EXPECT_TRUE(frames.take(*item->batch).ok());
      client.grant(item->batch->size());
    }
    return frames.committed;
  }

  Folder folder;
  std::unique_ptr<Log> log;
  SourceState source;
  std::function<Status(const Position&)> confirm;
  std::unique_ptr<LogServer> server;
};

TEST_F(Serve, StreamsWhatIsThereAndWhatComes) {
  fill(*log, 1, 20, 3);
  source.set({position_of(99), 4711});
  auto client = open(options("r", 5));
  ASSERT_TRUE(client);
  EXPECT_EQ(read(*client, 15), range(6, 20));
  EXPECT_EQ(client->schema(table()->id())->name, "t");
  EXPECT_EQ(client->schema(1), nullptr);
  fill(*log, 21, 25);
  EXPECT_EQ(read(*client, 5), range(21, 25));
  // An idle Store goes on telling what the source said.
  auto item = client->next(3s);
  ASSERT_TRUE(item.ok());
  EXPECT_FALSE(item->batch);
  EXPECT_TRUE(item->caught_up);
  EXPECT_EQ(item->end, position_of(25));
  EXPECT_EQ(item->source_end, position_of(99));
  EXPECT_EQ(item->source_asked_us, 4711);
}

TEST_F(Serve, ACommittedTransactionArrivesAtOnce) {
  auto client = open(options());
  ASSERT_TRUE(client);
  std::vector<double> milliseconds;
  for (uint64_t n = 1; n <= 200; ++n) {
    auto before = std::chrono::steady_clock::now();
    fill(*log, n, n);
    EXPECT_EQ(read(*client, 1), range(n, n));
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - before).count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  printf("append to reader: median %.3f ms, 99%% %.3f ms\n", milliseconds[100], milliseconds[197]);
}

TEST_F(Serve, SendsNoMoreThanTheCredit) {
  fill(*log, 1, 100, 1, std::string(10'000, 'c'));
  auto opened = options();
  opened.credit_bytes = 35'000;
  auto client = open(opened);
  ASSERT_TRUE(client);
  size_t bytes = 0;
  FrameReader frames;
  for (;;) {  // without granting anything
    auto item = client->next(5s);
    ASSERT_TRUE(item.ok());
    if (!item->batch && bytes) break;  // a heartbeat: nothing else was sent for a second
    if (!item->batch) continue;
    EXPECT_FALSE(item->caught_up);
    bytes += item->batch->size();
    ASSERT_TRUE(frames.take(*item->batch).ok());
  }
  EXPECT_EQ(frames.committed, range(1, 4));
  client->grant(bytes);
  EXPECT_EQ(read(*client, 96), range(5, 100));
}

TEST_F(Serve, FiltersTablesAndStillAdvances) {
  auto wanted = table("wanted"), other = table("other");
  BatchBuilder builder;
  for (uint64_t n = 1; n <= 9; ++n) {
    add_begin(builder, n);
    if (n % 3 == 0) add_insert(builder, *wanted, static_cast<int64_t>(n), "w");
    add_insert(builder, *other, static_cast<int64_t>(n), "o");
    add_commit(builder, n, n % 3 ? 1 : 2);
  }
  add_transaction(builder, *other, 10);
  ASSERT_TRUE(log->append(block_of(builder, {wanted, other})).ok());
  // A large transaction of which only the middle is wanted.
  add_begin(builder, 11);
  add_insert(builder, *other, 1, "o");
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  add_insert(builder, *wanted, 1, "w");
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  add_insert(builder, *other, 1, "o");
  ASSERT_TRUE(log->append(block_of(builder)).ok());
  add_commit(builder, 11, 3);
  ASSERT_TRUE(log->append(block_of(builder)).ok());

  auto opened = options();
  opened.includes = {"d.wanted"};
  auto client = open(opened);
  ASSERT_TRUE(client);
  FrameReader frames;
  std::vector<uint64_t> heartbeats;
  while (frames.committed.size() < 4) {
    auto item = client->next(5s);
    ASSERT_TRUE(item.ok()) << item.error().to_string();
    if (!item->batch) continue;
    ASSERT_TRUE(frames.take(*item->batch).ok());
    ASSERT_TRUE(item->batch
                    ->for_each([&](const RecordView& record) -> Status {
                      if (auto* heartbeat = std::get_if<Heartbeat>(&record))
                        heartbeats.push_back(heartbeat->offset / 100);
                      if (auto* rows = std::get_if<Rows>(&record)) EXPECT_EQ(rows->schema_id, wanted->id());
                      return {};
                    })
                    .ok());
  }
  EXPECT_EQ(frames.committed, (std::vector<uint64_t>{3, 6, 9, 11}));
  EXPECT_EQ(frames.rows_of, (std::vector<uint64_t>{1, 1, 1, 1}));
  EXPECT_EQ(heartbeats, (std::vector<uint64_t>{10}));
}

TEST_F(Serve, SendsOnlyTheKindsOfRecordsThatAreWanted) {
  auto schema = table();
  std::vector<ValueView> row{ValueView::of_int(1), ValueView::of_bytes("v")};
  BatchBuilder builder;
  add_transaction(builder, *schema, 1);
  add_begin(builder, 2);
  builder.add_row(*schema, schema->id(), RowOp::kUpdate, 0, row, row);
  builder.add_row(*schema, schema->id(), RowOp::kDelete, 0, row, {});
  add_commit(builder, 2, 2);
  add_begin(builder, 3);
  Ddl ddl;
  ddl.database = "d";
  ddl.sql = "TRUNCATE t";
  builder.add(ddl);
  add_commit(builder, 3, 0);
  add_transaction(builder, *schema, 4);
  ASSERT_TRUE(log->append(block_of(builder, {schema})).ok());
  auto seen = [&](WantedTypes types, uint64_t last) {
    auto opened = options();
    opened.types = types;
    auto client = open(opened);
    std::string text;
    for (uint64_t at = 0; client && at < last;) {
      auto item = client->next(5s);
      if (!item.ok()) return item.error().to_string();
      if (!item->batch) continue;
      EXPECT_TRUE(item->batch
                      ->for_each([&](const RecordView& record) -> Status {
                        if (auto* rows = std::get_if<Rows>(&record)) text += " iud"[static_cast<int>(rows->op)];
                        if (std::holds_alternative<Ddl>(record)) text += "D";
                        if (auto* commit = std::get_if<Commit>(&record)) at = commit->offset / 100, text += " ";
                        if (auto* heartbeat = std::get_if<Heartbeat>(&record))
                          at = heartbeat->offset / 100, text += "h";
                        return {};
                      })
                      .ok());
    }
    return text;
  };
  EXPECT_EQ(seen({}, 4), "i ud D i ");
  EXPECT_EQ(seen({.update = false}, 4), "i d D i ");
  EXPECT_EQ(seen({.insert = false, .update = false, .remove = false}, 4), "D h");
  EXPECT_EQ(seen({.insert = false, .ddl = false}, 4), "ud h");
}

TEST_F(Serve, TypedErrorsReachTheReader) {
  fill(*log, 1, 10);
  ASSERT_TRUE(log->register_reader({"other", 1, position_of(5)}).ok());
  ASSERT_TRUE(log->expire(system_clock().unix_time_us() + 1'000'000).ok());
  auto lost = LogClient::open(options("r", 2));
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), ErrorCode::POSITION_EXPIRED);
  EXPECT_EQ(lost.error().position(), position_of(2).to_string());
  auto stranger = options("r", 6);
  stranger.token = Secret("wrong");
  EXPECT_EQ(LogClient::open(stranger).error().code(), ErrorCode::UNAUTHENTICATED);
  auto nowhere = options("r", 6);
  nowhere.address = "127.0.0.1:1";
  EXPECT_EQ(LogClient::open(nowhere).error().code(), ErrorCode::PEER_UNREACHABLE);
}

// What a reader holds must be what the log holds: the same transactions at a border, and no place between two.
TEST_F(Serve, AReaderThatHoldsAnotherLogIsRefused) {
  fill(*log, 1, 10, 3);
  server->stop();
  std::atomic<int> asked = 0;
  confirm = [&](const Position& position) {
    ++asked;
    return position.offset == 250 ? Status() : Status(Error(ErrorCode::SOURCE_DIVERGED, "not there"));
  };
  start_server();
  auto at = [&](const Position& position) {
    auto opened = options();
    opened.after = position;
    auto client = LogClient::open(opened);
    return client.ok() ? std::string("OK") : std::string(client.error().id());
  };
  for (uint64_t n = 0; n <= 10; ++n) EXPECT_EQ(at(position_of(n)), "OK") << n;
  EXPECT_EQ(at({"bin.000001", 500, ""}), "OK");
  EXPECT_EQ(asked, 0);
  for (uint64_t n : {0, 3, 4, 10}) EXPECT_EQ(at({"bin.000001", 100 * n, "0-1-77"}), "SOURCE_DIVERGED") << n;
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(at({"bin.000001", 250, "0-1-2"}), "OK");
  EXPECT_EQ(at({"bin.000001", 350, "0-1-3"}), "SOURCE_DIVERGED");
  EXPECT_EQ(asked, 2);
}

// The machine crashed, the log lost its young tail, and a reader has more: the source has to confirm it.
TEST_F(Serve, APositionAheadOfTheLogIsConfirmed) {
  fill(*log, 1, 3);
  server->stop();
  confirm = [](const Position& position) {
    return position == position_of(5) ? Status() : Status(Error(ErrorCode::SOURCE_DIVERGED, "not there"));
  };
  start_server();
  EXPECT_EQ(LogClient::open(options("r", 6)).error().code(), ErrorCode::SOURCE_DIVERGED);
  auto client = open(options("r", 5));
  ASSERT_TRUE(client);
  fill(*log, 4, 8, 2);
  EXPECT_EQ(read(*client, 3), range(6, 8));
}

TEST_F(Serve, AReaderWithoutANameOnlyLooks) {
  fill(*log, 1, 3);
  auto client = open(options("")), other = open(options(""));
  ASSERT_TRUE(client && other);
  EXPECT_EQ(read(*client, 3), range(1, 3));
  EXPECT_EQ(read(*other, 3), range(1, 3));
  EXPECT_TRUE(log->readers().empty());
}

TEST_F(Serve, OneReaderPerNameTheNewestWins) {
  fill(*log, 1, 3);
  auto first = open(options());
  ASSERT_TRUE(first);
  EXPECT_EQ(read(*first, 3), range(1, 3));
  auto newer = options();
  newer.epoch = 2;
  auto second = open(newer);
  ASSERT_TRUE(second);
  for (;;) {
    auto item = first->next(5s);
    if (item.ok()) continue;
    EXPECT_EQ(item.error().code(), ErrorCode::STALE_EPOCH);
    break;
  }
  EXPECT_EQ(LogClient::open(options()).error().code(), ErrorCode::STALE_EPOCH);
  EXPECT_EQ(read(*second, 3), range(1, 3));
  auto again = open(newer);  // the same epoch connects anew
  ASSERT_TRUE(again);
  EXPECT_EQ(read(*again, 3), range(1, 3));
}

TEST_F(Serve, DurablePositionsReachTheLog) {
  fill(*log, 1, 10);
  auto client = open(options());
  ASSERT_TRUE(client);
  client->durable(position_of(7));
  auto deadline = std::chrono::steady_clock::now() + 5s;
  while (log->readers()[0].durable != position_of(7)) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::sleep_for(1ms);
  }
}

TEST_F(Serve, EndsPromptly) {
  auto client = open(options()), other = open(options("other"));
  ASSERT_TRUE(client && other);
  std::thread canceller([&] {
    std::this_thread::sleep_for(50ms);
    other->cancel();
  });
  auto before = std::chrono::steady_clock::now();
  for (;;) {
    auto item = other->next(5s);
    if (item.ok()) continue;
    EXPECT_EQ(item.error().code(), ErrorCode::CANCELLED);
    break;
  }
  canceller.join();
  server->stop();
  for (;;) {
    auto item = client->next(5s);
    if (item.ok()) continue;
    EXPECT_EQ(item.error().code(), ErrorCode::PEER_UNREACHABLE);
    break;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - before, 3s);
}

// Many readers at different positions while the log grows: each gets every transaction once.
TEST_F(Serve, ReadersShareAGrowingLog) {
  constexpr uint64_t kLast = 2000;
  fill(*log, 1, 500, 7);
  std::vector<std::thread> readers;
  for (uint64_t number = 0; number < 4; ++number)
    readers.emplace_back([&, number] {
      auto opened = options("reader" + std::to_string(number), number * 100);
      opened.credit_bytes = 20'000;
      auto client = open(opened);
      ASSERT_TRUE(client);
      EXPECT_EQ(read(*client, kLast - number * 100), range(number * 100 + 1, kLast));
    });
  for (uint64_t n = 501; n <= kLast; n += 10) fill(*log, n, std::min(kLast, n + 9), 3, std::string(500, 'z'));
  for (auto& reader : readers) reader.join();
}

}  // namespace
}  // namespace sluice::store::test
