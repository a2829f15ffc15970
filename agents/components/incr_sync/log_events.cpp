#include "agents/components/incr_sync/log_events.hpp"

namespace sluice::agents::incr_sync {

Status LogEvents::add(const Batch& batch, const std::shared_ptr<const void>& pin) {
  pin_ = pin;
  auto done = batch.for_each([this](const RecordView& record) -> Status {
    return std::visit([this](const auto& one) { return add(one); }, record);
  });
  pin_.reset();
  return done;
}

void LogEvents::pin_batch() {
  if (open_.pins.empty() || open_.pins.back() != pin_) open_.pins.push_back(pin_);
}

Status LogEvents::add(const Begin& begin) {
  if (in_transaction_) return Error(ErrorCode::CORRUPTED, "a transaction begins inside another one");
  in_transaction_ = true;
  open_ = {};
  open_.id = begin.gtid;
  open_.commit_time_us = begin.commit_time_us;
  return {};
}

Status LogEvents::add(const Rows& rows) {
  if (!in_transaction_) return Error(ErrorCode::CORRUPTED, "rows outside of a transaction");
  return rows.for_each([&](RowView before, RowView after) -> Status {
    pin_batch();
    open_.rows.push_back({rows.schema_id, rows.op, rows.flags, before, after});
    open_.bytes += before.bytes().size() + after.bytes().size();
    if (open_.bytes + open_.rows.size() * sizeof(LoggedRow) >= piece_bytes_) cut();
    return {};
  });
}

// What was collected goes out as a piece; the transaction goes on.
void LogEvents::cut() {
  LogEvent next;
  next.id = open_.id;
  next.commit_time_us = open_.commit_time_us;
  next.first_piece = false;
  open_.last_piece = false;
  name_ddl();
  ready_.push_back(std::move(open_));
  open_ = std::move(next);
}

// Without GTIDs a transaction has no name before its end; then the statements of a first piece have none either.
void LogEvents::name_ddl() {
  if (open_.id.empty()) return;
  for (size_t i = 0; i < open_.ddl.size(); ++i) open_.ddl[i].position = open_.id + "#" + std::to_string(i);
}

Status LogEvents::add(const Ddl& ddl) {
  if (!in_transaction_) return Error(ErrorCode::CORRUPTED, "a DDL statement outside of a transaction");
  if (!open_.rows.empty() || !open_.first_piece)
    return Error(ErrorCode::UNSUPPORTED, "a DDL statement after rows of the same transaction", {}, open_.id);
  open_.ddl.push_back(database::DdlEvent::of(ddl, {}));
  return {};
}

Status LogEvents::add(const Commit& commit) {
  if (!in_transaction_) return Error(ErrorCode::CORRUPTED, "a commit outside of a transaction");
  in_transaction_ = false;
  open_.end = commit.position();
  if (!commit.gtid.empty()) open_.id = commit.gtid;
  if (open_.id.empty()) open_.id = open_.end.file + ":" + std::to_string(open_.end.offset);
  if (commit.commit_time_us != 0) open_.commit_time_us = commit.commit_time_us;
  name_ddl();
  ready_.push_back(std::exchange(open_, {}));
  return {};
}

Status LogEvents::add(const Heartbeat& heartbeat) {
  if (in_transaction_) return {};
  LogEvent event;
  event.heartbeat = true;
  event.end = heartbeat.position();
  // Only the newest of several that stand together counts.
  if (!ready_.empty() && ready_.back().heartbeat)
    ready_.back() = std::move(event);
  else
    ready_.push_back(std::move(event));
  return {};
}

}  // namespace sluice::agents::incr_sync
