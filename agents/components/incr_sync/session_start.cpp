// Session: where the project begins to apply.
#include <algorithm>

#include "agents/components/incr_sync/session.hpp"
#include "core/log.hpp"
#include "core/net/convert.hpp"

namespace sluice::agents::incr_sync {
namespace {

using database::CheckpointRow;
constexpr std::string_view kLog = "incr_sync";

}  // namespace

// Nothing was applied yet: where the project's log begins. That is before the tables were listed, so that the log has
// the CREATE of every table that is not among them; a table's first window may begin later. With a start time it is
// only where the first transaction of that time is looked for.
void Session::choose_start() {
  start_ = windows_.first_start();
  const Position begin = net::from_proto(job_.context.spec().start());
  if (!begin.empty() && (start_.empty() || compare_in_log(begin, start_) < 0)) start_ = begin;
  seeking_ = job_.context.spec().start_time_us() != 0;
}

// Passes over what was committed before the start time, DDL included. False: the event is the first that counts. When a
// large transaction was committed is known at its last piece; then it is read again from its beginning.
bool Session::seek(LogEvent& event) {
  if (event.end.empty()) return true;
  if (!event.heartbeat && event.commit_time_us >= job_.context.spec().start_time_us()) {
    found_ = true;
    return false;
  }
  watermark_.pass(event.end);
  return true;
}

// The rows take the position before the first transaction that counts, all at once: a restart finds either that, or
// that it is still looked for.
Status Session::begin_here() {
  if (flying_ > 0) return {};
  SLUICE_ASSIGN(auto* connection, control());
  const auto& owner = job_.apply.owner;
  SLUICE_ASSIGN(auto rows, database::read_checkpoints(*connection, owner, true));
  for (CheckpointRow& row : rows) {
    ++row.seq;
    if (WindowMarker::is(row)) {
      row = WindowMarker{.end = row.low_watermark}.to_row(row.epoch, row.seq);
    } else {
      row.low_watermark = watermark_.low();
    }
  }
  SLUICE_TRY(database::rewrite_checkpoints(*connection, owner, rows));
  log::info(kLog, "the start time is found", {{"position", watermark_.low().to_string()}});
  ended_ = SessionEnd::kRestart;
  return {};
}

}  // namespace sluice::agents::incr_sync
