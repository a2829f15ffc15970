#include "agents/components/checker/check_plan.hpp"

#include <algorithm>
#include <cmath>

#include "agents/components/checker/patience.hpp"
#include "core/log.hpp"

namespace sluice::agents::checker {
namespace {

constexpr double kFirstChunkRows = 20'000, kLeastChunkRows = 1'000, kMostChunkRows = 200'000;
constexpr double kChunkSeconds = 0.5;  // chunks are sized by time
constexpr size_t kKeysInAll = 200'000;

}  // namespace

bool is_about_table(const Error& error) {
  switch (error.code()) {
    case ErrorCode::NOT_FOUND:
    case ErrorCode::STATEMENT_FAILED:
    case ErrorCode::SCHEMA_MISMATCH:
    case ErrorCode::PACKET_TOO_LARGE:
    case ErrorCode::VALUE_REJECTED:
    case ErrorCode::UNSUPPORTED:
      return true;
    default:
      return false;
  }
}

CheckPlan::CheckPlan(ComponentContext& context, TablePairs pairs, Endpoint source, Options options)
    : context_(context),
      pairs_(std::move(pairs)),
      source_(std::move(source)),
      options_(options),
      chunk_rows_(kFirstChunkRows),
      tables_(pairs_->size()) {}

Result<std::optional<CheckJob>> CheckPlan::next() {
  while (current_ < pairs_->size()) {
    const TablePair& pair = (*pairs_)[current_];
    if (!tables_[current_].resumed) resume(current_);
    if (!tables_[current_].planned && !pair.target_missing && !pair.source.columns.empty()) {
      auto job = patiently(context_, "borders of chunks", [&] { return plan_chunk(current_); });
      if (!job.ok()) {
        if (!is_about_table(job.error())) return job.error();
        give_up(current_, job.error());
      } else if (job->has_value()) {
        ++tables_[current_].chunks_out;
        return job;
      }
    }
    tables_[current_].planned = true;
    finish_if_done(current_++);
    after_.clear();
    number_ = 0;
    chunk_rows_ = kFirstChunkRows;
  }
  return std::optional<CheckJob>();
}

// Takes over what an earlier process has compared.
void CheckPlan::resume(size_t table) {
  TableState& state = tables_[table];
  state.resumed = true;
  if (options_.journal == nullptr) return;
  for (const auto& entry : options_.journal->finished(table)) {
    // More keys than are kept per chunk mean the chunk as a whole.
    const uint64_t count = entry.outcome == CheckJournal::Outcome::kEqual  ? 0
                           : entry.outcome == CheckJournal::Outcome::kKeys ? entry.keys.size()
                                                                           : kKeysPerChunk + 1;
    remember(table, entry.chunk, count, entry.keys);
    state.rows += entry.rows;
    after_ = entry.chunk.upto;
    number_ = entry.chunk.number + 1;
    state.planned = after_.empty();
    CheckOutcome outcome;
    outcome.job.table = table;
    outcome.comparison.source_rows = entry.rows;
    report(outcome);
  }
}

CheckJournal::Outcome CheckPlan::remember(size_t table, const mysql::Chunk& chunk, uint64_t difference_count,
                                          const std::vector<RowKey>& keys) {
  if (difference_count == 0) return CheckJournal::Outcome::kEqual;
  Pending& pending = pending_[table];
  if (!(*pairs_)[table].by_key) {
    pending.whole = true;
    return CheckJournal::Outcome::kWhole;
  }
  if (difference_count > kKeysPerChunk || keys_kept_ + difference_count > kKeysInAll) {
    pending.chunks.push_back(chunk);
    return CheckJournal::Outcome::kChunk;
  }
  pending.keys.insert(keys.begin(), keys.end());
  keys_kept_ += keys.size();
  return CheckJournal::Outcome::kKeys;
}

Result<std::optional<CheckJob>> CheckPlan::plan_chunk(size_t table) {
  const TablePair& pair = (*pairs_)[table];
  if (!pair.by_key && options_.following) {
    pending_[table].whole = true;
    tables_[table].planned = true;
    return std::optional<CheckJob>();
  }
  if (!pair.by_key) {
    tables_[table].planned = true;
    return std::optional<CheckJob>(CheckJob{table, {}});
  }
  if (connection_ == nullptr || !connection_->alive()) {
    SLUICE_TRY(context_.lease()->check());
    SLUICE_ASSIGN(connection_, mysql::Connection::open(source_, {.application = "sluice checker"}));
  }
  SLUICE_ASSIGN(auto chunk, mysql::next_chunk(*connection_, pair.source, after_, number_,
                                              static_cast<uint64_t>(std::lround(chunk_rows_))));
  if (!chunk) return std::optional<CheckJob>();
  after_ = chunk->upto;
  number_ = chunk->number + 1;
  return std::optional<CheckJob>(CheckJob{table, std::move(*chunk)});
}

void CheckPlan::give_up(size_t table, const Error& error) {
  log::warn("checker", "a table is left for later",
            {{"table", (*pairs_)[table].source_name.to_string()}, {"cause", error}});
  Pending& pending = pending_[table];
  pending.whole = pending.changed = true;
  tables_[table].planned = true;
}

Status CheckPlan::take(const CheckOutcome& outcome) {
  const size_t table = outcome.job.table;
  --tables_[table].chunks_out;
  if (outcome.error) {
    if (!is_about_table(*outcome.error)) return *outcome.error;
    give_up(table, *outcome.error);
    finish_if_done(table);
    return {};
  }
  const auto& found = outcome.comparison;
  CheckJournal::Entry entry{.table = table, .chunk = outcome.job.chunk, .rows = found.source_rows};
  for (const auto& difference : found.differences) entry.keys.push_back(difference.key);
  entry.outcome = remember(table, outcome.job.chunk, found.difference_count, entry.keys);
  if (entry.outcome != CheckJournal::Outcome::kKeys) entry.keys.clear();
  if (options_.journal != nullptr) SLUICE_TRY(options_.journal->add(entry));
  const double rows = static_cast<double>(std::max(found.source_rows, found.target_rows));
  if (table == current_ && outcome.seconds > 0 && rows > 0) {
    const double wanted = std::clamp(kChunkSeconds / outcome.seconds, 0.25, 2.0) * rows;
    chunk_rows_ = std::clamp((chunk_rows_ + wanted) / 2, kLeastChunkRows, kMostChunkRows);
  }
  tables_[table].rows += found.source_rows;
  tables_[table].seconds += outcome.seconds;
  report(outcome);
  finish_if_done(table);
  return {};
}

void CheckPlan::report(const CheckOutcome& outcome) {
  const size_t table = outcome.job.table;
  context_.update([&](cluster::v1::ComponentStatus& status) {
    status.set_rows(status.rows() + outcome.comparison.source_rows);
    auto& checker = *status.mutable_checker();
    checker.set_chunks_done(checker.chunks_done() + 1);
    checker.set_chunks_total(std::max(checker.chunks_total(), checker.chunks_done()));
    auto& progress = *status.mutable_tables(static_cast<int>(table));
    progress.set_rows(tables_[table].rows);
    progress.set_seconds(tables_[table].seconds);
  });
}

void CheckPlan::finish_if_done(size_t table) {
  if (!tables_[table].planned || tables_[table].chunks_out > 0) return;
  const auto open = pending_.find(table);
  const TablePair& pair = (*pairs_)[table];
  if ((open != pending_.end() && !open->second.empty()) || pair.target_missing || !pair.missing_columns.empty()) return;
  context_.update([&](cluster::v1::ComponentStatus& status) {
    auto& progress = *status.mutable_tables(static_cast<int>(table));
    progress.set_verify("EQUAL");
    progress.set_finished(true);
  });
}

}  // namespace sluice::agents::checker
