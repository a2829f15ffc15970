// Session: take-over, recovery, connections.
#include <algorithm>

#include "agents/components/incr_sync/session.hpp"
#include "core/log.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::incr_sync {
namespace {

using database::CheckpointRow;
constexpr std::string_view kLog = "incr_sync";

Result<mysql::Connection*> keep(std::unique_ptr<mysql::Connection>& place,
                                const std::function<Result<std::unique_ptr<mysql::Connection>>()>& open) {
  if (place && place->alive()) return place.get();
  place.reset();
  SLUICE_ASSIGN(place, open());
  return place.get();
}

}  // namespace

Result<mysql::Connection*> Session::control() {
  return keep(control_, [this]() -> Result<std::unique_ptr<mysql::Connection>> {
    mysql::ConnectOptions options;
    options.multi_statements = true;
    options.application = "sluice incr-sync control";
    SLUICE_ASSIGN(auto connection,
                  database::open_registered(job_.apply.target, options, job_.apply.owner, *job_.apply.lease));
    SLUICE_TRY(connection->exec("SET SESSION foreign_key_checks=0"));
    SLUICE_TRY(database::switch_off_check_constraints(*connection));
    return connection;
  });
}

Result<mysql::Connection*> Session::target_catalog() {
  return keep(target_catalog_, [this] {
    mysql::ConnectOptions options;
    options.purpose = mysql::Purpose::kCatalog;
    return database::open_registered(job_.apply.target, options, job_.apply.owner, *job_.apply.lease);
  });
}

Result<mysql::Connection*> Session::source_catalog() {
  return keep(source_catalog_, [this] {
    mysql::ConnectOptions options;
    options.purpose = mysql::Purpose::kCatalog;
    return mysql::Connection::open(job_.source, options);
  });
}

Result<mysql::Connection*> Session::source_data() {
  return keep(source_data_, [this] { return mysql::Connection::open(job_.source, {}); });
}

Status Session::open() {
  desired_ = job_.context.desired();
  decisions_ = decisions_of(desired_);
  hear_of_copies();
  {
    SLUICE_ASSIGN(auto plain, mysql::Connection::open(job_.apply.target, {}));
    SLUICE_TRY(database::create_bookkeeping(*plain, job_.apply.owner.meta_database));
  }
  SLUICE_TRY(database::take_over(job_.apply.target, job_.apply.owner));
  SLUICE_TRY(end_leftovers());
  SLUICE_TRY(load_tables());
  SLUICE_TRY(recover_rows());
  SLUICE_ASSIGN(auto* connection, control());
  SLUICE_TRY(ddl_->load_journal(*connection));
  SLUICE_ASSIGN(const auto conflicts, database::read_conflict_totals(*connection, job_.apply.owner));
  job_.change([&](IncrProgress& progress) {
    progress.conflicts_total = conflicts.total;
    progress.conflicts_skipped = conflicts.skipped;
    if (progress.start.empty() && !seeking_) progress.start = start_;
    progress.applied = start_;
    progress.window_closed = !window_;
  });
  log::info(kLog, "starts", {{"position", start_.to_string()}, {"window", window_ ? "open" : "closed"}});
  return {};
}

Status Session::end_leftovers() {
  SLUICE_ASSIGN(auto* connection, control());
  const auto& owner = job_.apply.owner;
  SLUICE_ASSIGN(const auto left,
                connection->query("SELECT id FROM " + mysql::quote_table(owner.meta_database, "connection") +
                                  " WHERE project = " + mysql::quoted(owner.project) + " AND component = " +
                                  mysql::quoted(owner.component) + " AND epoch = " + std::to_string(owner.epoch)));
  for (const auto& row : left.rows) {
    const uint64_t id = std::strtoull(row[0].value_or("0").c_str(), nullptr, 10);
    if (id != connection->id()) SLUICE_TRY(database::end_lost_connection(*connection, owner, id));
  }
  return {};
}

Status Session::load_tables() {
  SLUICE_ASSIGN(auto* connection, control());
  SLUICE_ASSIGN(tables_, database::read_tables(*connection, job_.apply.owner));
  windows_.set(tables_);
  definitions_.set_tables(tables_);
  uses_.clear();
  return {};
}

Status Session::recover_rows() {
  SLUICE_ASSIGN(auto* connection, control());
  const auto& owner = job_.apply.owner;
  SLUICE_ASSIGN(auto rows, database::read_checkpoints(*connection, owner, true));
  bool strict = false;
  std::erase_if(rows, [&](const CheckpointRow& row) {
    if (!WindowMarker::is(row)) return false;
    const WindowMarker marker = WindowMarker::from_row(row);
    strict = marker.strict;
    seeking_ = marker.seeking;
    extended_end_ = marker.end;
    marker_seq_ = row.seq + 1;
    return true;
  });
  database::Recovered recovered = database::recover(rows);
  start_ = recovered.start;
  if (!recovered.found) choose_start();
  if (compare_in_log(start_, job_.acknowledged) < 0) {
    log::warn(kLog, "the target lost acknowledged transactions; they are applied again",
              {{"error", Error(ErrorCode::TARGET_LOST_COMMITS, "the rows are at " + start_.to_string(), owner.component,
                               job_.acknowledged.to_string())}});
    job_.acknowledged = start_;
  }
  // A table that was copied again after the window had been closed opens it once more.
  window_ = !strict || compare_in_log(window_end(), start_) > 0;
  watermark_ = database::Watermark(start_, std::move(recovered.known));
  seen_ = consumed_ = changed_ = persisted_ = start_;
  std::vector<CheckpointRow> fresh;
  for (uint32_t i = 0; i < job_.appliers; ++i)
    fresh.push_back({i, owner.epoch, recovered.next_seq, start_, watermark_.applied_by(i)});
  // An open window stays open, whatever follows.
  const WindowMarker marker{.end = extended_end_, .strict = !window_, .seeking = seeking_};
  fresh.push_back(marker.to_row(owner.epoch, marker_seq_));
  SLUICE_TRY(database::rewrite_checkpoints(*connection, owner, fresh));
  for (uint32_t i = 0; i < job_.appliers; ++i) {
    SLUICE_ASSIGN(auto applier, database::Applier::open(job_.apply, i, recovered.next_seq));
    appliers_.push_back(std::move(applier));
  }
  idle_.assign(job_.appliers, true);
  return {};
}

// `begun`: in the target transaction that is open.
Status Session::write_marker(const WindowMarker& marker, bool begun) {
  SLUICE_ASSIGN(auto* connection, control());
  const auto& owner = job_.apply.owner;
  const std::string sql = (begun ? "" : "START TRANSACTION;") +
                          database::checkpoint_sql(owner, marker.to_row(owner.epoch, marker_seq_), marker_seq_);
  SLUICE_TRY(job_.apply.lease->check());
  if (const auto done = connection->exec_multi(sql); !done.ok()) {
    if (connection->last_errno() != database::kGuardFailed) return done.error();
    (void)connection->exec("ROLLBACK");
    return database::guard_failed(*connection, owner, WindowMarker::kApplier, marker_seq_);
  }
  SLUICE_TRY(job_.apply.lease->check());
  SLUICE_TRY(connection->exec("COMMIT"));
  ++marker_seq_;
  return {};
}

void Session::attach(std::shared_ptr<store::LogClient> client, SendGroup send, SendDdl send_ddl) {
  client_ = std::move(client);
  send_ = std::move(send);
  send_ddl_ = std::move(send_ddl);
  store_address_ = desired_.store_address();
  checkpointed_ = told_at_ = looked_at_ = Clock::now();
}

}  // namespace sluice::agents::incr_sync
