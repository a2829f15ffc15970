#include "agents/components/full_import/import_plan.hpp"

#include <algorithm>

namespace sluice::agents::full_import {
namespace {

constexpr double kChunkSeconds = 0.5;
constexpr double kMinChunkRows = 500, kMaxChunkRows = 2'000'000;

}  // namespace

ImportPlan::ImportPlan(std::vector<PlannedTable> tables, size_t workers) : workers_(std::max<size_t>(1, workers)) {
  // Large tables first: small ones fill the gaps at the end.
  std::stable_sort(tables.begin(), tables.end(),
                   [](const PlannedTable& a, const PlannedTable& b) { return a.rows_estimated > b.rows_estimated; });
  for (PlannedTable& table : tables) tables_.emplace_back().about = std::move(table);
}

bool ImportPlan::ended() const { return in_flight_ == 0 && (complete() || stopping_ || error_.has_value()); }

ImportJobPtr ImportPlan::next_job() {
  if (stopping_ || error_) return nullptr;
  // 1. What keeps others waiting: closing, and planning before chunks run out.
  for (size_t i = 0; i < tables_.size(); ++i) {
    Table& table = tables_[i];
    if (table.phase != Phase::kCopying || table.new_round) continue;
    if (table.planned_all && table.ready.empty() && table.loading == 0 && !table.planning) return close_job(i);
    if (!table.planned_all && !table.planning && table.ready.size() < 2) return plan_job(i);
  }
  // 2. Another table, while there are fewer than workers.
  if (active_ < workers_) {
    for (size_t i = 0; i < tables_.size(); ++i) {
      if (tables_[i].phase == Phase::kWaiting) return open_job(i);
    }
  }
  // 3. A chunk of the table that has the fewest workers.
  size_t best = tables_.size();
  for (size_t i = 0; i < tables_.size(); ++i) {
    const Table& table = tables_[i];
    if (table.phase != Phase::kCopying || table.new_round || table.ready.empty()) continue;
    if (best == tables_.size() || table.loading < tables_[best].loading) best = i;
  }
  return best < tables_.size() ? load_job(best) : nullptr;
}

ImportJob ImportPlan::job_for(size_t index, ImportJob::Kind kind) const {
  const Table& table = tables_[index];
  ImportJob job;
  job.kind = kind;
  job.table = index;
  job.source = table.about.source;
  job.target = table.about.target;
  job.open = table.open;
  return job;
}

ImportJobPtr ImportPlan::hand_out(ImportJob job) {
  ++in_flight_;
  return std::make_shared<const ImportJob>(std::move(job));
}

ImportJobPtr ImportPlan::open_job(size_t index) {
  Table& table = tables_[index];
  ImportJob job = job_for(index, ImportJob::Kind::kOpen);
  job.new_round = table.new_round;
  table.phase = Phase::kOpening;
  table.new_round = false;
  ++table.rounds;
  ++active_;
  return hand_out(std::move(job));
}

ImportJobPtr ImportPlan::plan_job(size_t index) {
  Table& table = tables_[index];
  ImportJob job = job_for(index, ImportJob::Kind::kPlan);
  job.chunk = table.last;
  job.chunk_rows = static_cast<uint64_t>(table.chunk_rows);
  job.chunk_count = workers_;
  table.planning = true;
  return hand_out(std::move(job));
}

ImportJobPtr ImportPlan::load_job(size_t index) {
  Table& table = tables_[index];
  ImportJob job = job_for(index, ImportJob::Kind::kLoad);
  job.chunk = std::move(table.ready.front());
  table.ready.pop_front();
  ++table.loading;
  return hand_out(std::move(job));
}

ImportJobPtr ImportPlan::close_job(size_t index) {
  Table& table = tables_[index];
  ImportJob job = job_for(index, ImportJob::Kind::kClose);
  job.rows = table.rows;
  job.bytes = table.bytes;
  job.seconds = table.seconds;
  table.phase = Phase::kClosing;
  return hand_out(std::move(job));
}

void ImportPlan::finished(const ImportOutcome& outcome) {
  --in_flight_;
  Table& table = tables_[outcome.job->table];
  if (outcome.job->kind == ImportJob::Kind::kPlan) table.planning = false;
  if (outcome.job->kind == ImportJob::Kind::kLoad) --table.loading;
  if (outcome.error) {
    if (!error_) error_ = outcome.error;
    return;
  }
  if (outcome.stopped) {
    stopping_ = true;
    return;
  }
  if (outcome.needs_copy) table.new_round = true;
  if (table.new_round) return restart_if_drained(table);
  if (outcome.closed) return close(table, *outcome.closed);
  switch (outcome.job->kind) {
    case ImportJob::Kind::kOpen:
      return opened(table, outcome);
    case ImportJob::Kind::kPlan:
      table.ready.insert(table.ready.end(), outcome.chunks.begin(), outcome.chunks.end());
      if (!outcome.chunks.empty()) table.last = outcome.chunks.back();
      table.planned_all = outcome.planned_all;
      return;
    case ImportJob::Kind::kLoad:
      return loaded(table, outcome);
    case ImportJob::Kind::kClose:
      return;
  }
}

void ImportPlan::opened(Table& table, const ImportOutcome& outcome) {
  table.phase = Phase::kCopying;
  table.open = outcome.open;
  table.ready.assign(outcome.chunks.begin(), outcome.chunks.end());
  table.last = outcome.last.value_or(mysql::Chunk{});
  table.planned_all = outcome.planned_all;
  table.rows = outcome.rows;
  table.bytes = outcome.bytes;
  table.seconds = 0;
}

void ImportPlan::loaded(Table& table, const ImportOutcome& outcome) {
  table.rows += outcome.rows;
  table.bytes += outcome.bytes;
  table.seconds += outcome.seconds;
  if (outcome.rows < kMinChunkRows) return;  // says nothing about the next ones
  const double fitting = static_cast<double>(outcome.rows) * kChunkSeconds / std::max(outcome.seconds, 0.001);
  // At most twice as many at once: the next rows may be wider.
  table.chunk_rows = std::clamp(fitting, table.chunk_rows / 4, table.chunk_rows * 2);
  table.chunk_rows = std::clamp(table.chunk_rows, kMinChunkRows, kMaxChunkRows);
}

void ImportPlan::close(Table& table, const database::TableRow& row) {
  table.phase = Phase::kDone;
  table.open.reset();
  --active_;
  ++done_;
  if (compare_in_log(row.window_end, window_end_) == std::strong_ordering::greater) window_end_ = row.window_end;
}

// A void round ends when the last of its jobs is back: only then may the target table be dropped.
void ImportPlan::restart_if_drained(Table& table) {
  table.ready.clear();
  if (table.loading > 0 || table.planning) return;
  if (table.rounds >= kMaxRounds) {
    error_ = Error(ErrorCode::COPY_ROUNDS_EXHAUSTED, std::to_string(kMaxRounds) + " rounds were void",
                   table.about.source.to_string());
    return;
  }
  table.phase = Phase::kWaiting;
  table.open.reset();
  --active_;
}

}  // namespace sluice::agents::full_import
