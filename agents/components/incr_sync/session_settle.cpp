// Session: what happens when things have come to rest: the end of the window, holds, drains, stops; and what is told.
#include "agents/components/incr_sync/session.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/positions.hpp"

namespace sluice::agents::incr_sync {
namespace {

using namespace std::chrono_literals;
constexpr std::string_view kLog = "incr_sync";
constexpr auto kLeavePatience = 5s;  // for what is in flight when a stop is desired; then its outcome is found later

bool greater(const Position& a, const Position& b) { return compare_in_log(a, b) > 0; }

}  // namespace

Status Session::settle() {
  if (ended_ || finishing_) return {};
  // The Store has moved: the next session reads from its new place.
  if (!leaving_ && !desired_.store_address().empty() && desired_.store_address() != store_address_)
    leaving_ = SessionEnd::kRestart;
  if (leaving_) {
    if (leaving_since_ == Clock::time_point()) leaving_since_ = Clock::now();
    if (flying_ == 0 && !barrier_.raised()) {
      finish(*leaving_);
    } else if (Clock::now() - leaving_since_ > kLeavePatience) {
      // A DDL statement is ended by a stop only: another session would begin it anew.
      if (leaving_ == SessionEnd::kStopped || !barrier_.raised()) ended_ = leaving_;
    }
    return {};
  }
  if (window_ && !seeking_ && quiet() && !window_end().empty() && reached(window_end())) SLUICE_TRY(close_window());
  if (ended_ || finishing_) return {};
  SLUICE_TRY(settle_hold());
  return settle_drain();
}

Status Session::settle_hold() {
  const auto& hold = desired_.hold();
  if (hold.id() == 0) {
    if (hold_seen_ == 0) return {};
    hold_seen_ = 0;
    job_.change([](IncrProgress& progress) { progress.hold = {}; });
    return advance();
  }
  const auto now = Clock::now();
  if (hold.id() != hold_seen_) {
    hold_seen_ = hold.id();
    hold_over_ = false;
    hold_until_ = now + (hold.patience_ms() > 0 ? std::chrono::milliseconds(hold.patience_ms()) : 60'000ms);
  }
  if (hold_over_) return {};
  if (now > hold_until_) {
    hold_over_ = true;
    job_.change([&](IncrProgress& progress) { progress.hold = {hold.id(), false, {}}; });
    return advance();
  }
  if (!quiet()) return {};
  if (hold.has_apply_to()) {
    const Position to = net::from_proto(hold.apply_to());
    if (!reached(to)) return {};
    if (stands_before(to, changed_)) {
      // More is applied than the one who holds has seen; what it compares would differ.
      hold_over_ = true;
      job_.change([&](IncrProgress& progress) { progress.hold = {hold.id(), false, {}}; });
      return advance();
    }
    watermark_.pass(to);
  }
  job_.change([&](IncrProgress& progress) { progress.hold = {hold.id(), true, watermark_.low()}; });
  return {};
}

Status Session::settle_drain() {
  if (!desired_.drain()) return {};
  auto drain_to = job_.sample().drain_to;
  if (!drain_to) {
    SLUICE_ASSIGN(auto* source, source_catalog());
    SLUICE_ASSIGN(drain_to, mysql::end_position(*source));
    job_.change([&](IncrProgress& progress) { progress.drain_to = drain_to; });
    log::info(kLog, "drains", {{"to", drain_to->to_string()}});
  }
  if (window_ && greater(window_end(), *drain_to)) {
    // A table that was copied again is newer than the end that was asked for: the others have to reach it.
    drain_to = window_end();
    job_.change([&](IncrProgress& progress) { progress.drain_to = drain_to; });
    return advance();
  }
  if ((window_ && !seeking_) || !quiet() || !reached(*drain_to)) return {};
  watermark_.pass(*drain_to);
  finish(SessionEnd::kFinished);
  return {};
}

// Writes the last checkpoint, then ends.
void Session::finish(SessionEnd how) {
  finishing_ = how;
  if (streaming_ || watermark_.low() == persisted_) {
    ended_ = how;
    publish();
    return;
  }
  auto group = std::make_shared<database::Group>();
  group->low_watermark = watermark_.low();
  group->applied = watermark_.applied_by(0);
  send(0, std::move(group));
}

void Session::publish() {
  int64_t complete = watermark_.oldest_open_time_us();
  if (complete == 0 && !queue_.empty()) complete = queue_.front().commit_time_us;
  const bool nothing_left =
      queue_.empty() && batches_.empty() && watermark_.open() == 0 && !streaming_ && item_caught_up_;
  const bool caught_up = nothing_left && (source_end_.empty() || !greater(source_end_, item_end_));
  if (caught_up) {
    caught_up_us_ = source_asked_us_;
    complete = source_asked_us_;
  }
  if (complete == 0) complete = std::max(watermark_.low_time_us(), caught_up_us_);
  static auto groups = metrics::gauge("sluice_incr_sync_groups", "Target transactions under way");
  static auto waiting =
      metrics::gauge("sluice_incr_sync_transactions_waiting", "Source transactions not handed out yet");
  groups.set(static_cast<double>(flying_));
  waiting.set(static_cast<double>(scheduler_.undispatched()));
  job_.change([&](IncrProgress& progress) {
    progress.applied = persisted_;  // a Store that is placed anew begins here: not behind what a restart finds
    progress.complete_until_us = complete;
    progress.caught_up = caught_up;
    // A Store that the source has not answered yet knows less than the one before.
    if (source_asked_us_ == 0) return;
    progress.source_asked_us = source_asked_us_;
    progress.source_heard = heard_;
  });
}
}  // namespace sluice::agents::incr_sync
