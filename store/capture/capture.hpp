// Capture: follows a source's log from its first position on, over lost connections, until it is stopped or meets an
// error that no retry can cure. run() blocks the thread that calls it; stop() may come from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "core/endpoint.hpp"
#include "store/capture/block_assembler.hpp"
#include "store/capture/schema_history.hpp"
#include "store/capture/source_check.hpp"

namespace sluice::store {

struct CaptureOptions {
  Endpoint source;
  TableMapping scope;
  Position start;             // where an empty log begins; empty: the visible position of now
  int64_t start_time_us = 0;  // or, when set: before the first transaction of that time
  AssemblerOptions assembler;
};

struct CaptureEvents {
  std::function<void(const StartRow&)> started;  // the start position is on disk
  std::function<void()> connected;
  std::function<void(const Error&)> retrying;  // the same work is tried again
};

class Capture {
 public:
  // All must outlive the capture.
  Capture(CaptureOptions options, Log& log, const SourceState& source, BlockSink& sink, CaptureEvents events);

  // Success when stopped: stop() cuts its connections, and what else it waits for has short time-outs. Typed errors:
  // SOURCE_DIVERGED, POSITION_LOST, STATEMENT_IN_LOG, ACCESS_DENIED …
  Status run();
  void stop();

 private:
  Status retry(const std::function<Status()>& work);
  Status find_start();
  Result<StartRow> visible_start();
  Result<Position> without_branches(mysql::Connection& connection);
  Result<StartRow> start_at_time();
  Status begin();
  Status check_source(SourceCheck check);
  Status read_source();
  Status read_from(const Position& from);

  const CaptureOptions options_;
  Log& log_;
  BlockSink& sink_;
  const CaptureEvents events_;
  const std::shared_ptr<mysql::Stopper> stopper_;
  SchemaHistory history_;
  BlockAssembler assembler_;
  uint32_t server_id_;
  Position resume_;
  LastTransaction last_;

  std::mutex mutex_;
  std::condition_variable stop_wanted_;
  bool stopped_ = false;
};

}  // namespace sluice::store
