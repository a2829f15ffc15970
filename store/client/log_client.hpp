// LogClient: reads a Store's log over gRPC. Used by one thread; cancel() may come from any.
//
// Transactions arrive whole and in order: next() returns batches in which each kBegin has its kCommit, except that a
// transaction larger than one batch spans several. Memory is bounded by the credit that was granted.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/position.hpp"
#include "core/record.hpp"
#include "core/result.hpp"
#include "core/schema.hpp"
#include "core/secret.hpp"
#include "store/wanted_types.hpp"

namespace sluice::store {

struct LogClientOptions {
  std::string address;
  Secret token;
  std::string reader;  // stable name: the component id
  uint64_t epoch = 0;
  Position after;  // or, when empty:
  int64_t at_time_us = 0;
  std::vector<std::string> includes, excludes;
  WantedTypes types;
  uint64_t credit_bytes = 32 << 20;
};

struct LogItem {
  std::optional<Batch> batch;               // none: only a heartbeat
  Position end;                             // what the Store holds
  Position source_end;                      // the source's end when last asked
  int64_t source_asked_us = 0;              // 0: it never answered
  std::chrono::milliseconds source_age{0};  // of that answer, when the item was sent
  bool caught_up = false;                   // nothing left to read after this item
};

class LogClient {
 public:
  // POSITION_EXPIRED when the Store does not hold `after` any more; PEER_UNREACHABLE; STALE_EPOCH.
  static Result<std::unique_ptr<LogClient>> open(const LogClientOptions& options);
  virtual ~LogClient() = default;
  // Blocks up to `patience`; TIMED_OUT when nothing came (the Store sends something every second).
  virtual Result<LogItem> next(std::chrono::milliseconds patience) = 0;
  virtual SchemaPtr schema(uint64_t id) const = 0;     // null when the stream never named it. Any thread.
  virtual void grant(uint64_t bytes) = 0;              // any thread: gives back credit for bytes that were consumed
  virtual void durable(const Position& position) = 0;  // any thread
  virtual void cancel() = 0;                           // any thread: next() returns CANCELLED
};

}  // namespace sluice::store
