#include "store/capture/capture.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/positions.hpp"

namespace sluice::store {
namespace {

constexpr std::chrono::milliseconds kBackOffFirst{200}, kBackOffMost{10'000};
constexpr std::chrono::milliseconds kXaPatience{30'000}, kXaStep{500};
constexpr int kStartRounds = 5;

Result<std::unique_ptr<mysql::Connection>> connect(const Endpoint& source) {
  mysql::ConnectOptions options;
  options.purpose = mysql::Purpose::kCatalog;
  options.application = "sluice store";
  return mysql::Connection::open(source, options);
}

// Tells the history where reading stands whenever it is asked.
class DefinitionsHere final : public mysql::SchemaSource {
 public:
  DefinitionsHere(SchemaHistory& history, const BlockAssembler& assembler) : history_(history), assembler_(assembler) {}
  Result<SchemaPtr> table(const TableName& name) override {
    history_.at(assembler_.position(), assembler_.current_gtid());
    return history_.table(name);
  }
  std::optional<ColumnType> type_of(const TableName& table, const std::string& column) override {
    return history_.type_of(table, column);
  }

 private:
  SchemaHistory& history_;
  const BlockAssembler& assembler_;
};

// Definitions as they are now: enough to see that a transaction begins.
class PresentDefinitions final : public mysql::SchemaSource {
 public:
  explicit PresentDefinitions(mysql::Connection& connection) : connection_(connection) {}
  Result<SchemaPtr> table(const TableName& name) override {
    SLUICE_ASSIGN(auto schema, mysql::read_table(connection_, name));
    return SchemaPtr(std::make_shared<const TableSchema>(std::move(schema)));
  }

 private:
  mysql::Connection& connection_;
};

// Reads up to the first transaction, or the log's end.
class FirstCommit final : public mysql::BinlogHandler {
 public:
  explicit FirstCommit(Position end) : end_(std::move(end)) {}
  int64_t time_us = 0;
  Status on_begin(const Begin& begin) override {
    time_us = begin.commit_time_us;
    return Error(ErrorCode::CANCELLED, "looked far enough");
  }
  Status on_row(const SchemaPtr&, uint64_t, RowOp, uint16_t, std::span<const ValueView>,
                std::span<const ValueView>) override {
    return {};
  }
  Status on_ddl(const Ddl&) override { return {}; }
  Status on_unreadable_ddl(const Ddl&, const Error&) override { return {}; }
  Status on_commit(const Commit&) override { return {}; }
  Status on_rollback() override { return {}; }
  Status on_heartbeat(const Position& position) override {
    if (compare_in_log(position, end_) < 0) return {};
    return Error(ErrorCode::CANCELLED, "no transaction at all");
  }
  Status on_idle() override { return {}; }
  bool wants(std::string_view, std::string_view) override { return true; }

 private:
  const Position end_;
};

}  // namespace

Capture::Capture(CaptureOptions options, Log& log, const SourceState& source, BlockSink& sink, CaptureEvents events)
    : options_(std::move(options)),
      log_(log),
      sink_(sink),
      events_(std::move(events)),
      stopper_(std::make_shared<mysql::Stopper>()),
      history_(options_.source, options_.scope, stopper_),
      assembler_(
          options_.assembler, options_.scope, source, sink,
          [this](const mysql::DdlStatement& statement, const Ddl& ddl) { return history_.forget(statement, ddl); }),
      server_id_(mysql::random_server_id()) {}

void Capture::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  stopper_->stop();
  stop_wanted_.notify_all();
}

Status Capture::run() {
  SLUICE_TRY(retry([this] { return find_start(); }));
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return {};
  }
  SLUICE_TRY(begin());
  return retry([this] { return read_source(); });
}

// Tries until success, stop or an error that does not pass by itself.
Status Capture::retry(const std::function<Status()>& work) {
  auto back_off = kBackOffFirst;
  for (;;) {
    Position before = assembler_.emitted();
    auto status = work();
    std::unique_lock lock(mutex_);
    if (stopped_ || status.ok()) return {};
    if (status.error().code() == ErrorCode::SERVER_ID_TAKEN)
      server_id_ = mysql::random_server_id();
    else if (!status.error().retryable() || status.error().code() == ErrorCode::CANCELLED)
      return status;
    if (assembler_.emitted() != before) back_off = kBackOffFirst;
    log::warn("store.capture", "retrying", {{"error", status.error()}, {"after_ms", back_off.count()}});
    if (events_.retrying) events_.retrying(status.error());
    if (stop_wanted_.wait_for(lock, back_off, [this] { return stopped_; })) return {};
    back_off = std::min(back_off * 2, kBackOffMost);
  }
}

// The position from which the project starts is on disk before anybody hears of it, and never changes.
Status Capture::find_start() {
  SLUICE_ASSIGN(auto known, log_.start());
  StartRow row;
  if (known) {
    row = std::move(*known);
  } else if (!options_.start.empty()) {
    row.position = options_.start;
  } else if (options_.start_time_us) {
    SLUICE_ASSIGN(row, start_at_time());
  } else {
    SLUICE_ASSIGN(row, visible_start());
  }
  if (!known) SLUICE_TRY(log_.set_start(row));
  log::info("store.capture", "start", {{"position", row.position.to_string()}});
  if (events_.started) events_.started(row);
  return {};
}

// A visible position, and all definitions of the scope as of it (exactness.md section 2).
Result<StartRow> Capture::visible_start() {
  SLUICE_ASSIGN(auto connection, connect(options_.source));
  mysql::Stopper::Watch watch(*stopper_, *connection);
  for (int round = 1;; ++round) {
    StartRow row;
    SLUICE_ASSIGN(row.time_us, mysql::server_time_us(*connection));
    SLUICE_ASSIGN(row.position, without_branches(*connection));
    SLUICE_ASSIGN(bool undisturbed, history_.read_scope(row.position));
    // Definitions that were disturbed are not used: the log's own metadata does, or a typed error tells.
    if (undisturbed || round == kStartRounds) return row;
  }
}

// Waits in short steps, as no socket tells a waiting thread to stop.
Result<Position> Capture::without_branches(mysql::Connection& connection) {
  for (auto deadline = std::chrono::steady_clock::now() + kXaPatience;;) {
    auto position = mysql::visible_position(connection, kXaStep);
    bool pending = !position.ok() && position.error().code() == ErrorCode::XA_PENDING;
    if (!pending || stopper_->stopped() || std::chrono::steady_clock::now() >= deadline) return position;
  }
}

// The beginning of the newest log file whose first transaction is older.
Result<StartRow> Capture::start_at_time() {
  SLUICE_ASSIGN(auto connection, connect(options_.source));
  mysql::Stopper::Watch watch(*stopper_, *connection);
  SLUICE_ASSIGN(auto end, mysql::end_position(*connection));
  SLUICE_ASSIGN(auto files, connection->query("SHOW BINARY LOGS"));
  for (auto file = files.rows.rbegin(); file != files.rows.rend(); ++file) {
    if (file->empty() || !file->front()) continue;
    StartRow row;
    row.position = {*file->front(), 4, {}};
    row.time_us = options_.start_time_us;
    FirstCommit first(end);
    PresentDefinitions definitions(*connection);
    mysql::BinlogOptions options;
    options.server_id = mysql::random_server_id();
    options.heartbeat_period = std::chrono::milliseconds(100);
    options.pass_unknown_branches = true;
    options.stopper = stopper_;
    SLUICE_ASSIGN(auto reader, mysql::BinlogReader::open(options_.source, row.position, options, definitions));
    auto status = reader->read(first);
    // Where the first rows cannot be read without their own definition, an older file is as good.
    if (status.error().code() != ErrorCode::CANCELLED && status.error().code() != ErrorCode::SCHEMA_MISMATCH)
      return status.error();
    if (first.time_us && first.time_us < options_.start_time_us) return row;
  }
  return Error(ErrorCode::POSITION_LOST,
               "the source's oldest log file begins later than the start time that was asked for");
}

Status Capture::begin() {
  auto status = log_.status();
  last_ = status.last;
  if (status.started) {
    resume_ = status.end;
    SLUICE_TRY(log_.for_each_table([this](SchemaPtr schema) -> Status { return history_.seed(schema), Status(); }));
  }
  SLUICE_TRY(log_.for_each_kept([this](std::string_view name, std::string_view bytes) {
    history_.restore(name, bytes);
    return assembler_.branches().restore(name, bytes);
  }));
  SLUICE_ASSIGN(auto start, log_.start());
  if (resume_.empty()) resume_ = start->position;
  return sink_.begin(resume_, status.started ? 0 : start->time_us);
}

Status Capture::check_source(SourceCheck check) {
  return check_source_log(options_.source, resume_, check, stopper_.get());
}

Status Capture::read_source() {
  // Where a last transaction is known its digest tells more than the GTIDs.
  SLUICE_TRY(check_source(last_.known() ? SourceCheck::kReach : SourceCheck::kGtids));
  auto status = read_from(last_.known() ? last_.before : resume_);
  if (status.ok() || status.error().code() != ErrorCode::POSITION_LOST) return status;
  // A reset log looks like a purged one to a reader that is in it; where the log ends now tells them apart.
  SLUICE_TRY(check_source(SourceCheck::kReach));
  if (!assembler_.checking()) return status;
  // Nothing in scope for so long that the source has purged the last transaction. What was read since has to confirm
  // the place.
  SLUICE_TRY(check_source(SourceCheck::kPresent));
  log::warn("store.capture", "the last transaction in scope is purged",
            {{"transaction", last_.end.to_string()}, {"confirmed", resume_.to_string()}});
  last_ = {};
  return read_from(resume_);
}

Status Capture::read_from(const Position& from) {
  mysql::BinlogOptions options;
  options.server_id = server_id_;
  options.stopper = stopper_;
  DefinitionsHere definitions(history_, assembler_);
  options.branches = assembler_.branches().open_at(from);
  assembler_.connected(resume_, last_);
  SLUICE_ASSIGN(auto reader, mysql::BinlogReader::open(options_.source, from, options, definitions));
  if (events_.connected) events_.connected();
  auto status = reader->read(assembler_);
  auto handed_on = assembler_.disconnected();
  resume_ = assembler_.emitted();
  last_ = assembler_.handed_last();
  return handed_on.ok() ? status : handed_on;
}

}  // namespace sluice::store
