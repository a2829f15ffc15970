// What the workers of a full import share (settings, throttle, progress), and the connections that one worker owns.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agents/components/runtime/component.hpp"
#include "core/budget.hpp"
#include "core/row_throttle.hpp"
#include "engines/mysql/connection.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::agents::full_import {

// Fixed for the life of the process.
struct ImportSettings {
  Endpoint source, target;
  TableMapping mapping;
  database::Owner owner;
  std::shared_ptr<Lease> lease;
  bool allow_not_empty = false;
  bool truncate_target = false;
  size_t workers = 4;
  uint64_t queue_bytes = 64 << 20;  // of all loads together
};

// Numbers for the status; thread safe. The main thread publishes what changed.
class ImportProgress {
 public:
  void add_table(const TableName& source, const TableName& target, uint64_t rows_estimated);
  void set_state(const TableName& source, const std::string& state, bool finished);
  void set_rows(const TableName& source, uint64_t rows, uint64_t bytes);  // what a finished or resumed copy holds
  void add_rows(const TableName& source, uint64_t rows, uint64_t bytes);  // committed just now
  void warn(const std::string& text);
  void retrying(const Error& error);
  void recovered();
  void publish(ComponentContext& context);

 private:
  struct Table {
    cluster::v1::TableProgress shown;
    std::chrono::steady_clock::time_point begun{};
    int index = -1;  // in the status
    bool changed = true;
  };
  std::mutex mutex_;
  std::map<TableName, Table> tables_;
  std::vector<std::string> warnings_;
  size_t warnings_published_ = 0;
  int retrying_ = 0;
  std::optional<Error> retry_error_;
};

// How long a worker sleeps before it asks the throttle again.
inline constexpr std::chrono::milliseconds kThrottlePause{20};

struct ImportShared {
  explicit ImportShared(uint64_t queue_bytes) : budget(queue_bytes) {}
  ByteBudget budget;
  // Over all workers.
  RowThrottle throttle{kThrottlePause};
  ImportProgress progress;
  std::atomic<bool> stop{false};  // a stop is desired, or the import failed: give up what is in flight
};

// The connections of one worker, opened when they are first used. Owned and used by the worker's thread.
class ImportSession {
 public:
  explicit ImportSession(const ImportSettings& settings) : settings_(settings) {}

  Result<mysql::Connection*> source_data();
  Result<mysql::Connection*> source_catalog();
  Result<mysql::Connection*> target_data();     // registered, set up for loading
  Result<mysql::Connection*> target_catalog();  // registered, for definitions and DDL
  bool use_load_data() const { return use_load_data_; }
  // Forgets dead connections. What a lost session of the target had not committed is undone before a new one is used.
  void drop_dead();
  // Forgets all: when one was lost, the others probably are too, and would each cost an attempt.
  void drop_all();

 private:
  void drop(bool dead_only);
  Result<std::unique_ptr<mysql::Connection>> open_target(mysql::Purpose purpose, bool local_infile);

  const ImportSettings& settings_;
  std::unique_ptr<mysql::Connection> source_data_, source_catalog_, target_data_, target_catalog_;
  std::vector<uint64_t> lost_;  // ids of target sessions that may still be open
  bool use_load_data_ = true;
};

}  // namespace sluice::agents::full_import
