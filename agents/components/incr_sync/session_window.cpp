// Session: the end of the copy's window (exactness.md section 3).
#include <algorithm>

#include "agents/components/incr_sync/session.hpp"
#include "core/log.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/positions.hpp"

namespace sluice::agents::incr_sync {
namespace {

constexpr std::string_view kLog = "incr_sync";
constexpr size_t kRechecksAtOnce = 500;
constexpr int64_t kSmallLagMs = 2000;
constexpr int kCatchUpRounds = 5;
constexpr auto kXaPatience = std::chrono::seconds(5);  // ordinary XA transactions are prepared for a moment only

}  // namespace

Position Session::window_end() const {
  Position end = windows_.last_end();
  for (const Position& other : {net::from_proto(desired_.window_end()), extended_end_}) {
    if (compare_in_log(other, end) > 0) end = other;
  }
  // Nothing was copied, so there is nothing to wait for.
  if (end.empty() && windows_.empty() && desired_.follow_strictly()) return start_;
  return end;
}

// Everything up to the window's end is applied. Rows that the log could not tell are read again first; when none is
// left the window is closed and the foreign keys can be added.
Status Session::close_window() {
  if (!window_closed_) {
    // A copy, or a later end, has led beyond the snapshot: what it shows would overwrite newer rows.
    if (stands_before(snapshot_at_, watermark_.low()) || stands_before(snapshot_at_, window_end())) end_snapshot();
    if (!snapshot_ && !orphans_recorded_) SLUICE_TRY(record_orphans());
    SLUICE_ASSIGN(auto* connection, control());
    SLUICE_ASSIGN(const auto rows, database::read_rechecks(*connection, job_.apply.owner, kRechecksAtOnce));
    if (!rows.empty()) return snapshot_ ? recheck_all() : prepare_recheck(rows);
    end_snapshot();
    window_closed_ = true;
    log::info(kLog, "the window is closed", {{"end", window_end().to_string()}});
  }
  if (!job_.context.spec().with_incremental()) {
    watermark_.pass(window_end());
    SLUICE_TRY(write_marker({.end = window_end(), .strict = true}));
    job_.change([](IncrProgress& progress) { progress.window_closed = true; });
    finish(SessionEnd::kFinished);
    return {};
  }
  job_.change([](IncrProgress& progress) { progress.window_closed = true; });
  // Tables that were copied again have no foreign keys until the coordinator, which must know of the copies, says so.
  return desired_.follow_strictly() && job_.asked.empty() ? become_strict() : Status{};
}

void Session::end_snapshot() {
  if (snapshot_ && snapshot_->alive()) (void)snapshot_->exec("COMMIT");
  snapshot_.reset();
}

// Rows are waiting to be read again. A snapshot of the source at a known position S makes one reading enough, however
// the source changes meanwhile: the window goes on to S, and what was recorded up to there is read as it was at S. The
// snapshot is opened when little is left to apply, so that it is short. A source without such snapshots is read as it
// is, again and again until nothing is left.
Status Session::prepare_recheck(const std::vector<database::RecheckRow>& rows) {
  if (Clock::now() < recheck_not_before_) return {};
  SLUICE_ASSIGN(auto* source, source_catalog());
  if (!source->version().mariadb) {
    SLUICE_ASSIGN(const bool done, recheck(rows, nullptr));
    return done ? advance() : Status{};
  }
  if (lag_ms(job_.sample(), Clock::now()) > kSmallLagMs && ++recheck_rounds_ <= kCatchUpRounds) {
    SLUICE_ASSIGN(extended_end_, mysql::end_position(*source));
    return advance();
  }
  SLUICE_ASSIGN(snapshot_, mysql::Connection::open(job_.source, {}));
  auto position = mysql::open_snapshot(*snapshot_);
  if (!position.ok()) {
    snapshot_.reset();
    if (position.error().code() != ErrorCode::XA_PENDING) return position.error();
    wait_for_branches(position.error());
    return {};
  }
  if (std::exchange(branches_since_, std::nullopt))
    job_.change([](IncrProgress& progress) { progress.retrying.reset(); });
  // A transaction that stands in the log may not be visible yet; a snapshot without what is applied already is too old.
  if (stands_before(*position, watermark_.low())) {
    end_snapshot();
    recheck_not_before_ = Clock::now() + std::chrono::milliseconds(50);
    return {};
  }
  snapshot_at_ = *position;
  if (compare_in_log(*position, extended_end_) > 0) extended_end_ = *position;
  return advance();
}

// Prepared branches end when somebody ends them. Those that nobody ends are told of: the window stays open until then.
void Session::wait_for_branches(const Error& pending) {
  const auto now = Clock::now();
  recheck_not_before_ = now + std::chrono::seconds(1);
  if (!branches_since_) branches_since_ = now;
  if (now - *branches_since_ < kXaPatience) return;
  if (!job_.sample().retrying) log::warn(kLog, "the window cannot be closed", {{"cause", pending}});
  job_.change([&](IncrProgress& progress) { progress.retrying = pending; });
}

// A cascade that went through a row which was copied after it leaves rows behind that refer to nothing.
Status Session::record_orphans() {
  orphans_recorded_ = true;
  SLUICE_ASSIGN(auto* source, source_catalog());
  SLUICE_ASSIGN(auto* target, target_catalog());
  for (const database::TableRow& row : tables_) {
    auto schema = TableSchema::decode(row.definition);
    if (!schema.ok()) continue;
    for (const ForeignKey& key : schema->foreign_keys) {
      if (!key.changes_child() || !job_.mapping.includes(key.referenced_database, key.referenced_table)) continue;
      SLUICE_TRY(definitions_.know({key.referenced_database, key.referenced_table}, *target, source));
    }
  }
  // A server reads whole tables for it and says nothing meanwhile.
  mysql::ConnectOptions options;
  options.application = "sluice incr-sync orphans";
  options.io_timeout = mysql::kWatchedIoTimeout;
  SLUICE_ASSIGN(auto opened,
                database::open_registered(job_.apply.target, options, job_.apply.owner, *job_.apply.lease));
  const mysql::WatchedConnection patient(std::move(opened), job_.apply.watch);
  SLUICE_ASSIGN(const auto rows, database::orphans(*patient, *definitions_.cascades()));
  SLUICE_ASSIGN(auto* connection, control());
  return database::write_rechecks(*connection, job_.apply.owner, rows, *job_.apply.lease);
}

// All that was recorded up to the snapshot, and what may hang below it.
Status Session::recheck_all() {
  SLUICE_TRY(record_orphans());
  while (true) {
    SLUICE_ASSIGN(auto* connection, control());
    SLUICE_ASSIGN(const auto rows, database::read_rechecks(*connection, job_.apply.owner, kRechecksAtOnce));
    if (rows.empty()) break;
    SLUICE_ASSIGN(const bool done, recheck(rows, snapshot_.get()));
    if (!done) return advance();
  }
  return advance();
}

// The foreign keys are in place: from here on the target does what the source did.
Status Session::become_strict() {
  SLUICE_TRY(write_marker({.end = window_end(), .strict = true}));
  window_ = false;
  forget_definitions();
  log::info(kLog, "follows strictly", {{"from", watermark_.low().to_string()}});
  return advance();
}

}  // namespace sluice::agents::incr_sync
