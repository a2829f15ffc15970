#include "agents/components/checker/settle.hpp"

#include <algorithm>
#include <optional>

#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::checker {
namespace {

using namespace std::chrono_literals;

constexpr int kRoundsMax = 12;
constexpr int kIdleRoundsMax = 3;                         // rounds in a row that settle nothing
constexpr std::chrono::milliseconds kHoldPauseMax = 30s;  // a lag that ends gets another chance
constexpr size_t kSurplusesMax = 100'000;
const mysql::ConnectOptions kCatalogOptions{.purpose = mysql::Purpose::kCatalog, .application = "sluice checker"};

bool lacks_something(const TablePair& pair) { return pair.target_missing || !pair.missing_columns.empty(); }

// Every row of a table that the target does not have differs; an empty one counts as one difference.
Result<uint64_t> rows_missing(Sides& sides, const TablePair& pair) {
  SLUICE_ASSIGN(const auto rows,
                sides.source->query_value("SELECT COUNT(*) FROM " + mysql::quote_table(pair.source_name)));
  return std::max<uint64_t>(1, std::strtoull(rows.c_str(), nullptr, 10));
}

}  // namespace

Settler::Settler(ComponentContext& context, TablePairs pairs, SideEndpoints endpoints, Options options,
                 PendingTables pending, DifferenceReport& report)
    : context_(context),
      pairs_(std::move(pairs)),
      endpoints_(std::move(endpoints)),
      options_(options),
      pending_(std::move(pending)),
      report_(report) {
  // What the target lacks may be a DDL statement that is still on its way.
  for (size_t table = 0; options_.missing_objects && table < pairs_->size(); ++table)
    if (lacks_something((*pairs_)[table])) pending_[table] = Pending{.whole = true, .changed = true};
  std::erase_if(pending_, [](const auto& entry) { return entry.second.empty(); });
}

const TablePair& Settler::pair_of(size_t table) const {
  const auto changed = changed_.find(table);
  return changed != changed_.end() ? changed->second : (*pairs_)[table];
}

size_t Settler::open_rows() const {
  size_t rows = 0;
  for (const auto& [table, pending] : pending_) {
    rows += pending.keys.size() + pending.chunks.size() * kKeysPerChunk + (pending.whole ? 1 : 0);
  }
  return rows;
}

bool Settler::rows_open() const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [](const auto& entry) { return !entry.second.keys.empty() || !entry.second.chunks.empty(); });
}

Status Settler::run() {
  if (options_.with_incremental) SLUICE_TRY(run_rounds());
  if (!pending_.empty()) SLUICE_TRY(run_final());
  for (const auto& [table, pending] : pending_) verdicts_[table].unsettled = true;
  for (const auto& [table, cause] : causes_) warnings_.push_back(cause);
  return {};
}

// Compares, then waits as the throttle of the source asks for; `rows` when the comparison does not tell them.
template <class Compare>
auto Settler::paced(uint64_t rows, Compare compare) -> decltype(compare()) {
  const auto begun = std::chrono::steady_clock::now();
  auto result = compare();
  if (!result.ok()) return result;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  if (auto waited = pace(context_, std::max(rows, result->source_rows), took.count()); !waited.ok())
    return waited.error();
  return result;
}

// ---- rounds ----

Status Settler::run_rounds() {
  int idle = 0;
  auto pause = 200ms;
  for (int round = 0; round < kRoundsMax && idle < kIdleRoundsMax && rows_open(); ++round) {
    SLUICE_TRY(wait_for(context_, pause));
    pause = std::min(pause * 2, 2000ms);
    const bool last = context_.desired().finish_when_settled();
    auto progress = run_round();
    if (!progress.ok()) {
      if (!progress.error().retryable()) return progress.error();
      log::warn("checker", "a round is tried again", {{"cause", progress.error()}});
      ++idle;
      continue;
    }
    idle = *progress ? 0 : idle + 1;
    log::info("checker", "rows were read again", {{"round", round + 1}, {"open", open_rows()}});
    if (last) break;
  }
  return {};
}

Result<bool> Settler::run_round() {
  const size_t before = open_rows();
  SLUICE_ASSIGN(auto sides, open_sides(endpoints_));
  for (auto at = pending_.begin(); at != pending_.end();) {
    auto& [table, pending] = *at;
    SLUICE_TRY(wait_for(context_, 0ms));
    const auto status = compare_again(sides, pair_of(table), pending);
    if (!status.ok()) {
      if (!is_about_table(status.error())) return status.error();
      pending = Pending{.whole = true, .changed = true};
    }
    if (pending.empty()) {
      verdicts_[table] = Verdict{};
      at = pending_.erase(at);
    } else {
      ++at;
    }
  }
  return open_rows() < before;
}

Status Settler::compare_again(Sides& sides, const TablePair& pair, Pending& pending) {
  if (pending.changed) return {};
  std::set<RowKey> keys;
  if (!pending.keys.empty()) {
    SLUICE_ASSIGN(const auto result,
                  paced(pending.keys.size(), [&] { return compare_keys(sides, pair, pending.keys); }));
    for (const auto& difference : result.differences) keys.insert(difference.key);
  }
  std::vector<mysql::Chunk> chunks;
  for (const auto& chunk : pending.chunks) {
    SLUICE_ASSIGN(const auto result, paced(0, [&] { return compare_chunk(sides, pair, chunk, kKeysPerChunk); }));
    if (result.difference_count > kKeysPerChunk) {
      chunks.push_back(chunk);
    } else {
      for (const auto& difference : result.differences) keys.insert(difference.key);
    }
  }
  pending.keys = std::move(keys);
  pending.chunks = std::move(chunks);
  return {};
}

// ---- the comparison that counts ----

Status Settler::run_final() {
  std::optional<Error> failure;
  auto pause = options_.hold_pause;
  for (int attempt = 1; attempt <= options_.holds_max && !pending_.empty(); ++attempt) {
    if (attempt > 1) SLUICE_TRY(wait_for(context_, pause));
    if (attempt > 1) pause = std::min(pause * 3, kHoldPauseMax);
    auto status = read_changed_tables();
    if (status.ok() && !pending_.empty()) {
      auto sides = options_.with_incremental ? open_hold(context_, endpoints_, options_.hold) : open_sides(endpoints_);
      status = sides.ok() ? compare_finally(*sides) : Status(sides.error());
    }
    if (status.ok()) continue;
    if (!status.error().retryable() || status.error().code() == ErrorCode::CANCELLED) return status;
    log::warn("checker", "nothing could be compared at a hold", {{"attempt", attempt}, {"cause", status.error()}});
    failure = status.error();
  }
  if (!pending_.empty() && failure) warnings_.push_back(failure->to_string());
  return {};
}

Status Settler::compare_finally(Sides& sides) {
  for (auto at = pending_.begin(); at != pending_.end();) {
    SLUICE_TRY(wait_for(context_, 0ms));
    auto& [table, pending] = *at;
    const auto mark = report_.mark();
    auto verdict = compare_table(sides, table, pending);
    if (verdict.ok() && verdict->differences > 0 && options_.with_incremental && !pair_of(table).has_snapshots) {
      SLUICE_ASSIGN(const bool held, is_held(sides));
      if (!held) {  // the source's rows may be newer than the target's
        SLUICE_TRY(report_.rewind(mark));
        causes_[table] = "table " + pair_of(table).source_name.to_string() +
                         " is in an engine without snapshots and was written while it was compared";
        ++at;
        continue;
      }
    }
    if (!verdict.ok()) {
      SLUICE_TRY(report_.rewind(mark));  // the table is compared once more
      if (!is_about_table(verdict.error())) return verdict.error();
      log::warn("checker", "a table cannot be compared", {{"cause", verdict.error()}});
      causes_[table] = verdict.error().to_string();
      pending = Pending{.whole = true, .changed = true};
      ++at;
      continue;
    }
    verdicts_[table] = *verdict;
    causes_.erase(table);
    at = pending_.erase(at);
  }
  return {};
}

// The target lacks the table or columns that the source had before both were brought to one position. That is a
// difference if it is still so now and the source has not changed its mind since; else the table is looked at again.
Status Settler::confirm_missing(Sides& sides, size_t table, const TablePair& pair, Verdict& verdict) {
  SLUICE_ASSIGN(const auto source, mysql::Connection::open(endpoints_.source, kCatalogOptions));
  SLUICE_ASSIGN(const auto target, mysql::Connection::open(endpoints_.target, kCatalogOptions));
  const auto to = mysql::read_table(*target, pair.target_name);
  if (!to.ok() && to.error().code() != ErrorCode::NOT_FOUND) return to.error();
  SLUICE_ASSIGN(const auto from, mysql::read_table(*source, pair.source_name));
  const auto now = make_pair(pair.source_name, pair.target_name, from, to.ok() ? &*to : nullptr);
  const auto before = changed_sources_.find(table);
  if (before == changed_sources_.end() || !(before->second == from) || now.target_missing != pair.target_missing ||
      now.missing_columns != pair.missing_columns)
    return Error(ErrorCode::SCHEMA_MISMATCH, "its definition changed while it was compared",
                 pair.source_name.to_string());
  if (pair.target_missing) {
    SLUICE_ASSIGN(verdict.differences, rows_missing(sides, pair));
    return report_.add_missing_object(pair, pair.target_name.to_string());
  }
  for (const auto& column : pair.missing_columns) {
    ++verdict.differences;
    SLUICE_TRY(report_.add_missing_object(pair, pair.target_name.to_string() + "." + column));
  }
  return {};
}

Result<Verdict> Settler::compare_table(Sides& sides, size_t table, const Pending& pending) {
  const TablePair& pair = pair_of(table);
  Verdict verdict;
  if (lacks_something(pair)) SLUICE_TRY(confirm_missing(sides, table, pair, verdict));
  if (pair.target_missing) return verdict;
  if (pending.whole) {
    SLUICE_ASSIGN(const auto all,
                  paced(0, [&] { return compare_multisets(sides, pair, options_.memory_bytes, kSurplusesMax); }));
    verdict.rows = all.source_rows;
    verdict.differences += all.difference_count;
    SLUICE_TRY(report_.add_surpluses(sides, pair, all));
    return verdict;
  }
  SLUICE_ASSIGN(const auto rows, paced(pending.keys.size(), [&] { return compare_keys(sides, pair, pending.keys); }));
  verdict.differences += rows.difference_count;
  SLUICE_TRY(report_.add_rows(sides, pair, rows));
  for (const auto& chunk : pending.chunks) {
    SLUICE_ASSIGN(const auto result,
                  paced(0, [&] { return compare_chunk(sides, pair, chunk, DifferenceReport::kRowsPerTable); }));
    verdict.differences += result.difference_count;
    SLUICE_TRY(report_.add_rows(sides, pair, result));
  }
  return verdict;
}

// Tables whose definition changed while they were compared are compared as a whole, as they are now.
Status Settler::read_changed_tables() {
  const bool any =
      std::any_of(pending_.begin(), pending_.end(), [](const auto& entry) { return entry.second.changed; });
  if (!any) return {};
  SLUICE_ASSIGN(const auto source, mysql::Connection::open(endpoints_.source, kCatalogOptions));
  SLUICE_ASSIGN(const auto target, mysql::Connection::open(endpoints_.target, kCatalogOptions));
  for (auto at = pending_.begin(); at != pending_.end();) {
    const size_t table = at->first;
    const TablePair& old = (*pairs_)[table];
    if (!at->second.changed) {
      ++at;
      continue;
    }
    const auto from = mysql::read_table(*source, old.source_name);
    if (!from.ok()) {
      if (from.error().code() != ErrorCode::NOT_FOUND) return from.error();
      verdicts_[table].skipped = true;  // dropped
      at = pending_.erase(at);
      continue;
    }
    const auto to = mysql::read_table(*target, old.target_name);
    if (!to.ok() && to.error().code() != ErrorCode::NOT_FOUND) return to.error();
    auto pair = make_pair(old.source_name, old.target_name, *from, to.ok() ? &*to : nullptr);
    changed_sources_.insert_or_assign(table, *from);
    pair.by_key = false;
    pair.source.keys.clear();
    pair.target.keys.clear();
    changed_.insert_or_assign(table, std::move(pair));
    ++at;
  }
  return {};
}

}  // namespace sluice::agents::checker
