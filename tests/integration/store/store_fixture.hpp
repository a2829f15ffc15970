// A Store in this process: log, server and pipeline on a real source.
#pragma once

#include <gtest/gtest.h>

#include "engines/mysql/connection.hpp"
#include "store/capture/source_poller.hpp"
#include "store/client/log_client.hpp"
#include "store/pipeline.hpp"
#include "store/serve/log_service.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace sluice::store::test {

using std::chrono_literals::operator""s;
using sluice::testing::MariaDbServer;
using sluice::testing::wait_until;

class LocalStore {
 public:
  LocalStore(std::string path, const Endpoint& endpoint, const std::vector<std::string>& includes = {"app.*"},
             Position start = {}, uint64_t credit_bytes = 8 << 20)
      : LocalStore(std::move(path), endpoint, with_start(includes, std::move(start)), credit_bytes) {}
  LocalStore(std::string path, const Endpoint& endpoint, CaptureOptions capture, uint64_t credit_bytes = 8 << 20) {
    LogOptions options;
    options.path = std::move(path);
    options.cache_bytes = 4 << 20;
    options.write_buffer_bytes = 4 << 20;
    auto opened = Log::open(options);
    if (!opened.ok()) throw std::runtime_error(opened.error().to_string());
    log_ = std::move(opened).value();
    auto server = LogServer::start({"127.0.0.1:0", Secret("token")}, *log_, source_);
    if (!server.ok()) throw std::runtime_error(server.error().to_string());
    server_ = std::move(server).value();
    PipelineOptions pipeline;
    pipeline.capture = std::move(capture);
    pipeline.capture.source = endpoint;
    pipeline.lease = Lease::unlimited();
    pipeline.credit_bytes = credit_bytes;
    pipeline.events.retrying = [this](const Error& error) {
      std::lock_guard lock(mutex_);
      retried_.push_back(error);
    };
    poller_ = std::make_unique<SourcePoller>(endpoint, source_);
    pipeline_ = StorePipeline::start(std::move(pipeline), *log_, source_);
  }
  ~LocalStore() { stop(); }
  void stop() {
    if (pipeline_) pipeline_->stop();
    if (server_) server_->stop();
  }

  Log& log() { return *log_; }
  const SourceState& source() const { return source_; }
  StorePipeline& pipeline() { return *pipeline_; }
  std::vector<Error> retried() {
    std::lock_guard lock(mutex_);
    return retried_;
  }
  bool wait_started() {
    bool known = wait_until([this] { return pipeline_->outcome() || log_->status().started; });
    if (auto ended = pipeline_->outcome(); ended && !ended->ok()) ADD_FAILURE() << ended->error().to_string();
    return known && !pipeline_->outcome();
  }
  Position start() { return (*log_->start())->position; }
  // The error that ended capture.
  Error wait_failed(std::chrono::milliseconds patience = 30s) {
    if (!wait_until([this] { return pipeline_->outcome().has_value(); }, patience))
      return Error(ErrorCode::INTERNAL, "capture goes on");
    auto outcome = *pipeline_->outcome();
    return outcome.ok() ? Error(ErrorCode::INTERNAL, "capture ended without an error") : outcome.error();
  }
  std::unique_ptr<LogClient> open(const std::string& reader, const Position& after,
                                  std::vector<std::string> includes = {}, uint64_t credit = 8 << 20) {
    auto options = options_of(reader);
    options.after = after;
    options.includes = std::move(includes);
    options.credit_bytes = credit;
    return open(options);
  }
  std::unique_ptr<LogClient> open_at(const std::string& reader, int64_t time_us) {
    auto options = options_of(reader);
    options.at_time_us = time_us;
    return open(options);
  }

 private:
  static CaptureOptions with_start(const std::vector<std::string>& includes, Position start) {
    CaptureOptions options;
    options.scope = TableMapping::create(includes, {}, {}).value();
    options.start = std::move(start);
    return options;
  }
  LogClientOptions options_of(const std::string& reader) {
    LogClientOptions options;
    options.address = "127.0.0.1:" + std::to_string(server_->port());
    options.token = Secret("token");
    options.reader = reader;
    options.epoch = 1;
    return options;
  }
  static std::unique_ptr<LogClient> open(const LogClientOptions& options) {
    auto client = LogClient::open(options);
    if (!client.ok()) throw std::runtime_error(client.error().to_string());
    return std::move(client).value();
  }

  std::mutex mutex_;
  std::vector<Error> retried_;
  SourceState source_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<LogServer> server_;
  std::unique_ptr<SourcePoller> poller_;
  std::unique_ptr<StorePipeline> pipeline_;
};

// What a reader saw: GTIDs in order, rows and statements.
struct Seen {
  std::vector<std::string> gtids;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  std::vector<std::string> ddl;
  std::vector<std::string> tables;  // of each rows record
  SchemaPtr schema;                 // of the last one
  Position position;
  bool open = false;
  uint64_t open_rows = 0;

  Status take(const LogClient& client, const Batch& batch) {
    bytes += batch.size();
    return batch.for_each([&](const RecordView& record) -> Status {
      if (auto* begin = std::get_if<Begin>(&record)) {
        EXPECT_FALSE(open);
        open = true;
        open_rows = 0;
        gtids.emplace_back(begin->gtid);
      } else if (auto* one = std::get_if<Rows>(&record)) {
        EXPECT_TRUE(open);
        rows += one->row_count;
        open_rows += one->row_count;
        auto schema = client.schema(one->schema_id);
        if (!schema) return Error(ErrorCode::CORRUPTED, "a definition was not sent");
        tables.push_back(schema->qualified_name());
        this->schema = schema;
        std::vector<ValueView> values(schema->columns.size());
        SLUICE_TRY(one->for_each([&](RowView before, RowView after) -> Status {
          if (one->op != RowOp::kInsert) SLUICE_TRY(before.decode(*schema, values));
          if (one->op != RowOp::kDelete) SLUICE_TRY(after.decode(*schema, values));
          return {};
        }));
      } else if (auto* statement = std::get_if<Ddl>(&record)) {
        ddl.emplace_back(statement->sql);
      } else if (auto* commit = std::get_if<Commit>(&record)) {
        EXPECT_TRUE(open);
        open = false;
        EXPECT_EQ(commit->gtid, gtids.back());
        position = commit->position();
      } else if (auto* heartbeat = std::get_if<Heartbeat>(&record)) {
        position = heartbeat->position();
      }
      return {};
    });
  }

  // Reads until the reader has passed `end`, or an error.
  Status read_to(LogClient& client, const Position& end, std::chrono::milliseconds patience = 60s) {
    auto deadline = std::chrono::steady_clock::now() + patience;
    while (open || compare_in_log(position, end) < 0) {
      if (std::chrono::steady_clock::now() > deadline)
        return Error(ErrorCode::TIMED_OUT, "reader stays at " + position.to_string(), {}, end.to_string());
      SLUICE_ASSIGN(auto item, client.next(5s));
      if (!item.batch) continue;
      SLUICE_TRY(take(client, *item.batch));
      client.grant(item.batch->size());
      if (!open) client.durable(position);
    }
    return {};
  }
};

// Several sessions that change one table, each transaction two rows, until told to stop.
class Writers {
 public:
  static constexpr const char* kTable =
      "CREATE DATABASE app; CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, writer INT, v INT) ENGINE=InnoDB";
  Writers(const Endpoint& endpoint, int count) {
    for (int number = 0; number < count; ++number)
      threads_.emplace_back([this, endpoint, number] { write(endpoint, number); });
  }
  ~Writers() { stop(); }
  void stop() {
    ended_ = true;
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }
  std::atomic<uint64_t> transactions{0};

 private:
  void write(const Endpoint& endpoint, int number) {
    auto connection = mysql::Connection::open(endpoint, {});
    ASSERT_TRUE(connection.ok()) << connection.error().to_string();
    for (uint64_t n = 0; !ended_; ++n) {
      auto value = std::to_string(n);
      auto done = (*connection)
                      ->exec("INSERT INTO app.t (writer, v) VALUES (" + std::to_string(number) + ", " + value + "), (" +
                             std::to_string(number) + ", " + value + ")");
      ASSERT_TRUE(done.ok()) << done.error().to_string();
      ++transactions;
    }
  }
  std::atomic<bool> ended_{false};
  std::vector<std::thread> threads_;
};

inline Position source_end(MariaDbServer& server) {
  auto rows = server.query("SHOW MASTER STATUS");
  return {*rows.at(0).at(0), std::stoull(*rows.at(0).at(1)), server.query_value("SELECT @@gtid_binlog_pos")};
}

// Files that a reader was just sent from go a moment later.
inline void purge_before(MariaDbServer& server, const std::string& file) {
  ASSERT_TRUE(wait_until([&] {
    server.try_sql("PURGE BINARY LOGS TO '" + file + "'");
    return server.query("SHOW BINARY LOGS").at(0).at(0) == file;
  }));
}

}  // namespace sluice::store::test
