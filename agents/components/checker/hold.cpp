#include "agents/components/checker/hold.hpp"

#include "core/log.hpp"
#include "engines/mysql/positions.hpp"

namespace sluice::agents::checker {
namespace {

using SteadyClock = std::chrono::steady_clock;

bool reached(const Position& applied, const Position& wanted) {
  if (applied.file.empty() || wanted.file.empty()) return !wanted.gtids.empty() && applied.gtids == wanted.gtids;
  return compare_in_log(applied, wanted) >= 0;
}

// Wishes a hold, and takes the wish back when it ends.
class Wish {
 public:
  explicit Wish(ComponentContext& context)
      : context_(context), id_(static_cast<uint64_t>(system_clock().unix_time_us())), since_(SteadyClock::now()) {
    context_.update([&](cluster::v1::ComponentStatus& status) {
      status.mutable_checker()->set_wish_hold(id_);
      status.mutable_checker()->clear_wish_apply_to();
    });
  }
  ~Wish() {
    context_.update([](cluster::v1::ComponentStatus& status) {
      status.mutable_checker()->set_wish_hold(0);
      status.mutable_checker()->clear_wish_apply_to();
    });
  }
  Wish(const Wish&) = delete;

  void apply_to(const Position& position) {
    context_.update([&](cluster::v1::ComponentStatus& status) {
      *status.mutable_checker()->mutable_wish_apply_to() = net::to_proto(position);
    });
  }

  // Waits until Incr-Sync is paused under this wish and `applied` holds for the position it tells.
  Status wait(std::chrono::milliseconds patience, const std::function<bool(const Position&)>& applied) {
    const auto deadline = SteadyClock::now() + patience;
    for (;;) {
      SLUICE_TRY(context_.lease()->check());
      const auto desired = context_.desired();
      if (desired.stop()) return Error(ErrorCode::CANCELLED, "a stop was desired");
      const auto& answer = desired.hold_answer();
      if (answer.id() == id_ && answer.paused()) {
        if (epoch_ != 0 && answer.incr_sync_epoch() != epoch_) return lost();
        epoch_ = answer.incr_sync_epoch();
        if (applied(net::from_proto(answer.applied()))) return {};
      }
      const auto now = SteadyClock::now();
      if (now >= deadline) return Error(ErrorCode::TIMED_OUT, "Incr-Sync did not answer to a hold in time");
      context_.wait_desired(
          desired.revision(),
          std::min<std::chrono::milliseconds>(
              std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now) + std::chrono::milliseconds(1),
              std::chrono::milliseconds(500)));
    }
  }

  // Still the same hold, and young enough that Incr-Sync cannot have gone on by itself.
  Status still_held(std::chrono::milliseconds age_max) const {
    const auto desired = context_.desired();
    const auto& answer = desired.hold_answer();
    if (answer.id() != id_ || !answer.paused() || answer.incr_sync_epoch() != epoch_) return lost();
    if (SteadyClock::now() - since_ > age_max) return Error(ErrorCode::TIMED_OUT, "a hold took too long");
    return {};
  }

 private:
  static Error lost() { return Error(ErrorCode::TIMED_OUT, "Incr-Sync changed during a hold"); }
  ComponentContext& context_;
  const uint64_t id_;
  const SteadyClock::time_point since_;
  uint64_t epoch_ = 0;
};

Status open_target_snapshot(mysql::Connection& target) {
  SLUICE_TRY(target.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
  SLUICE_TRY(target.exec("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"));
  return {};
}

}  // namespace

Result<Sides> open_hold(ComponentContext& context, const SideEndpoints& endpoints, const HoldTimes& times) {
  SLUICE_ASSIGN(auto sides, open_sides(endpoints));  // before the pause, to keep it short
  Wish wish(context);
  SLUICE_TRY(wish.wait(times.pause, [](const Position&) { return true; }));
  SLUICE_ASSIGN(const auto position, mysql::open_snapshot(*sides.source));
  wish.apply_to(position);
  SLUICE_TRY(wish.wait(times.apply, [&](const Position& applied) { return reached(applied, position); }));
  SLUICE_TRY(open_target_snapshot(*sides.target));
  SLUICE_TRY(wish.still_held(times.whole));
  log::info("checker", "source and target are compared at one position", {{"position", position.to_string()}});
  sides.following = false;
  sides.held_at = position;
  return sides;
}

Result<bool> is_held(Sides& sides) {
  SLUICE_ASSIGN(const auto end, mysql::end_position(*sides.source));
  return reached(sides.held_at, end);
}

}  // namespace sluice::agents::checker
