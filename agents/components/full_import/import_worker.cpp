#include "agents/components/full_import/import_worker.hpp"

#include <thread>

#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/positions.hpp"

namespace sluice::agents::full_import {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::string_view kLog = "full_import";
constexpr std::chrono::seconds kRetryFor{60};
constexpr std::chrono::milliseconds kFirstPause{100}, kLongestPause{5000};
constexpr size_t kThrottledPiece = 16 << 10;  // small steps, so that the target never waits long for the next one

bool ends_everything(ErrorCode code) { return code == ErrorCode::STALE_EPOCH || code == ErrorCode::LEASE_EXPIRED; }

double seconds_since(SteadyClock::time_point begun) {
  return std::chrono::duration<double>(SteadyClock::now() - begun).count();
}

ImportOutcome outcome_of(const ImportJobPtr& job) {
  ImportOutcome outcome;
  outcome.job = job;
  return outcome;
}

}  // namespace

Result<std::optional<SourceTable>> read_source_table(ImportSession& session, const TableName& name) {
  SLUICE_ASSIGN(auto* catalog, session.source_catalog());
  // The id shows what a definition does not: TRUNCATE and RENAME. It needs a privilege; the log shows these DDL anyway.
  auto id = mysql::server_table_id(*catalog, name);
  if (!id.ok() && !catalog->alive()) return id.error();
  auto schema = mysql::read_table(*catalog, name);
  if (!schema.ok() && schema.error().code() == ErrorCode::NOT_FOUND) return std::optional<SourceTable>{};
  if (!schema.ok()) return schema.error();
  return std::optional(SourceTable{std::make_shared<const TableSchema>(std::move(*schema)), id.ok() ? *id : ""});
}

Result<bool> unchanged(ImportSession& session, const OpenTable& open) {
  SLUICE_ASSIGN(const auto now, read_source_table(session, open.row.source));
  return now && now->id == open.row.table_id && now->definition->encode() == open.row.definition;
}

database::LoadLimits load_limits(const ImportSession& session, ImportShared& shared, const TableName& source,
                                 std::chrono::duration<double>& waited) {
  database::LoadLimits limits;
  limits.use_load_data = session.use_load_data();
  limits.budget = &shared.budget;
  if (shared.throttle.limited()) limits.piece_bytes = kThrottledPiece;
  limits.pace = [&shared, &waited](uint64_t rows, uint64_t) -> Status {
    const auto begun = SteadyClock::now();
    while (!shared.stop && !shared.throttle.try_take(rows)) std::this_thread::sleep_for(kThrottlePause);
    waited += SteadyClock::now() - begun;
    if (shared.stop) return Error(ErrorCode::CANCELLED, "a stop is desired");
    return {};
  };
  limits.committed = [&shared, source](uint64_t rows, uint64_t bytes) {
    shared.progress.add_rows(source, rows, bytes);
  };
  return limits;
}

bool ImportWorker::wait(std::chrono::milliseconds time) const {
  const auto until = SteadyClock::now() + time;
  while (!shared_.stop && SteadyClock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return !shared_.stop;
}

ImportOutcome ImportWorker::run(const ImportJobPtr& job) {
  std::chrono::milliseconds pause = kFirstPause;
  std::optional<SteadyClock::time_point> failing_since;
  while (true) {
    auto outcome =
        shared_.stop ? Result<ImportOutcome>(Error(ErrorCode::CANCELLED, "a stop is desired")) : attempt(job);
    if (failing_since) shared_.progress.recovered();
    if (outcome.ok()) return std::move(*outcome);
    ImportOutcome failed = outcome_of(job);
    failed.stopped = shared_.stop;
    session_.drop_dead();  // at once: until its socket is closed, a cut scan holds the table's metadata lock
    if (shared_.stop) return failed;
    failed.error = outcome.error().with_object(job->source.to_string());
    const auto now = SteadyClock::now();
    if (!failing_since) failing_since = now;
    if (!failed.error->retryable() || now - *failing_since > kRetryFor) return failed;
    log::warn(kLog, "retrying", {{"table", job->source.to_string()}, {"error", *failed.error}});
    shared_.progress.retrying(*failed.error);
    wait(pause);
    pause = std::min(pause * 2, kLongestPause);
    if (failed.error->code() == ErrorCode::CONNECTION_LOST) session_.drop_all();
  }
}

Result<ImportOutcome> ImportWorker::attempt(const ImportJobPtr& job) {
  session_.drop_dead();
  SLUICE_TRY(settings_.lease->check());
  if (job->kind == ImportJob::Kind::kOpen) return open_table(job, settings_, shared_, session_);
  auto outcome = job->kind == ImportJob::Kind::kPlan   ? plan(job)
                 : job->kind == ImportJob::Kind::kLoad ? load(job)
                                                       : close(job);
  if (outcome.ok() || outcome.error().retryable() || ends_everything(outcome.error().code())) return outcome;
  // A chunk fails when the definition has changed under it: then the round is void, and this is no error.
  session_.drop_dead();
  SLUICE_ASSIGN(const bool same, unchanged(session_, *job->open));
  if (same) return outcome;
  log::info(kLog, "the definition changed during the copy",
            {{"table", job->source.to_string()}, {"error", outcome.error()}});
  ImportOutcome changed = outcome_of(job);
  changed.needs_copy = true;
  return changed;
}

Result<ImportOutcome> ImportWorker::plan(const ImportJobPtr& job) {
  ImportOutcome outcome = outcome_of(job);
  SLUICE_ASSIGN(auto* source, session_.source_data());
  // `chunk` is the last one planned; before the first, both ends are open and the number is 0.
  const bool first = job->chunk.after.empty() && job->chunk.upto.empty();
  std::vector<std::string> after = job->chunk.upto;
  uint64_t number = first ? 0 : job->chunk.number + 1;
  while (outcome.chunks.size() < job->chunk_count) {
    SLUICE_ASSIGN(auto chunk, mysql::next_chunk(*source, *job->open->definition, after, number, job->chunk_rows));
    if (!chunk) {
      outcome.planned_all = true;
      break;
    }
    outcome.planned_all = chunk->upto.empty();
    after = chunk->upto;
    number = chunk->number + 1;
    outcome.chunks.push_back(std::move(*chunk));
    if (outcome.planned_all) break;
  }
  return outcome;
}

Result<ImportOutcome> ImportWorker::load(const ImportJobPtr& job) {
  ImportOutcome outcome = outcome_of(job);
  const OpenTable& open = *job->open;
  SLUICE_ASSIGN(auto* target, session_.target_data());
  SLUICE_ASSIGN(auto* source, session_.source_data());
  database::ChunkRow row;
  row.table = job->source;
  row.round = open.row.round;
  row.number = job->chunk.number;
  const auto begun = SteadyClock::now();
  // The answer of a COMMIT may be lost, in this attempt or in one before it: the chunk row tells.
  const auto committed = [&]() -> Result<bool> {
    SLUICE_ASSIGN(const auto finished, database::read_chunk(*target, settings_.owner, row));
    if (!finished) return false;
    shared_.progress.add_rows(job->source, finished->rows, finished->bytes);
    outcome.rows = finished->rows;
    outcome.bytes = finished->bytes;
    outcome.seconds = seconds_since(begun);
    return true;
  };
  SLUICE_ASSIGN(const bool before, committed());
  if (before) return outcome;
  std::chrono::duration<double> waited(0);
  auto limits = load_limits(session_, shared_, job->source, waited);
  auto loaded =
      database::load_chunk(*source, *target, open.plan, job->chunk, row, settings_.owner, *settings_.lease, limits);
  if (!loaded.ok() && loaded.error().code() == ErrorCode::VALUE_REJECTED && limits.use_load_data &&
      settings_.allow_not_empty && target->alive()) {
    // More duplicates than the server shows as warnings: single statements tell each one.
    session_.drop_dead();
    SLUICE_ASSIGN(source, session_.source_data());
    limits.use_load_data = false;
    loaded =
        database::load_chunk(*source, *target, open.plan, job->chunk, row, settings_.owner, *settings_.lease, limits);
  }
  if (!loaded.ok() && loaded.error().code() == ErrorCode::DUPLICATE_KEY) return loaded.error();
  if (!loaded.ok()) {
    if (target->alive()) return loaded.error();
    session_.drop_dead();  // the new session is opened when the old one is gone
    SLUICE_ASSIGN(target, session_.target_data());
    SLUICE_ASSIGN(const bool now, committed());
    if (!now) return loaded.error();
    return outcome;
  }
  outcome.rows = loaded->rows;
  outcome.bytes = loaded->bytes;
  outcome.seconds = std::max(0.0, seconds_since(begun) - waited.count());
  outcome.duplicates = loaded->duplicates;
  outcome.conflicts = std::move(loaded->conflicts);
  return outcome;
}

Result<ImportOutcome> ImportWorker::close(const ImportJobPtr& job) {
  ImportOutcome outcome = outcome_of(job);
  SLUICE_ASSIGN(auto* source, session_.source_data());
  database::TableRow row = job->open->row;
  SLUICE_ASSIGN(row.window_end, mysql::end_position(*source));
  SLUICE_ASSIGN(const bool same, unchanged(session_, *job->open));
  if (!same) {
    log::info(kLog, "the definition changed during the copy", {{"table", job->source.to_string()}});
    outcome.needs_copy = true;
    return outcome;
  }
  row.state = database::TableState::kCopied;
  row.rows = job->rows;
  row.bytes = job->bytes;
  row.seconds = job->seconds;
  SLUICE_ASSIGN(auto* target, session_.target_data());
  SLUICE_TRY(database::write_table(*target, settings_.owner, row));
  outcome.closed = std::move(row);
  return outcome;
}

}  // namespace sluice::agents::full_import
