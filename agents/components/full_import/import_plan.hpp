// ImportPlan: which job comes next. A state machine without threads, clocks or connections; owned by the planner actor.
//
// Several tables are copied at once, then, when fewer tables than workers are left, several chunks of a table. Chunks
// are sized so that one takes about half a second.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "agents/components/full_import/import_job.hpp"

namespace sluice::agents::full_import {

struct PlannedTable {
  TableName source, target;
  uint64_t rows_estimated = 0;
};

class ImportPlan {
 public:
  static constexpr uint32_t kMaxRounds = 5;

  ImportPlan(std::vector<PlannedTable> tables, size_t workers);

  // The next job for an idle worker; nullptr when there is none now (or none any more).
  ImportJobPtr next_job();
  // Exactly once for each job that was handed out.
  void finished(const ImportOutcome& outcome);
  void stop() { stopping_ = true; }  // no new jobs

  // Nothing is in flight, and nothing is left to do, or the import failed or was stopped.
  bool ended() const;
  bool complete() const { return done_ == tables_.size(); }
  const std::optional<Error>& error() const { return error_; }
  const Position& window_end() const { return window_end_; }  // greatest B of the finished tables

 private:
  enum class Phase : uint8_t { kWaiting, kOpening, kCopying, kClosing, kDone };
  struct Table {
    PlannedTable about;
    Phase phase = Phase::kWaiting;
    bool new_round = false;
    uint32_t rounds = 0;  // begun by this process
    OpenTablePtr open;
    std::deque<mysql::Chunk> ready;
    mysql::Chunk last;
    bool planning = false, planned_all = false;
    size_t loading = 0;
    double chunk_rows = 5000;
    uint64_t rows = 0, bytes = 0;
    double seconds = 0;
  };

  ImportJobPtr open_job(size_t index);
  ImportJobPtr plan_job(size_t index);
  ImportJobPtr load_job(size_t index);
  ImportJobPtr close_job(size_t index);
  ImportJob job_for(size_t index, ImportJob::Kind kind) const;
  ImportJobPtr hand_out(ImportJob job);
  void opened(Table& table, const ImportOutcome& outcome);
  void loaded(Table& table, const ImportOutcome& outcome);
  void close(Table& table, const database::TableRow& row);
  void restart_if_drained(Table& table);

  std::vector<Table> tables_;
  size_t workers_;
  size_t in_flight_ = 0, active_ = 0, done_ = 0;
  bool stopping_ = false;
  std::optional<Error> error_;
  Position window_end_;
};

}  // namespace sluice::agents::full_import
