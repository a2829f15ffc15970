#include "agents/components/checker/patience.hpp"

#include <algorithm>

namespace sluice::agents::checker {

using SteadyClock = std::chrono::steady_clock;

Status wait_for(ComponentContext& context, std::chrono::milliseconds time) {
  const auto deadline = SteadyClock::now() + time;
  for (;;) {
    SLUICE_TRY(context.lease()->check());
    const auto desired = context.desired();
    if (desired.stop()) return Error(ErrorCode::CANCELLED, "a stop was desired");
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
    if (left.count() <= 0) return {};
    context.wait_desired(desired.revision(), std::min(left, std::chrono::milliseconds(200)));
  }
}

Status pace(ComponentContext& context, uint64_t rows, double seconds, uint32_t readers) {
  constexpr std::chrono::milliseconds kSlice{200};
  const auto begun = SteadyClock::now();
  for (;;) {  // the limit may change meanwhile
    const uint64_t rate = throttle_of(context.desired(), context.spec());
    const std::chrono::duration<double> waited = SteadyClock::now() - begun;
    const double due =
        rate == 0 ? 0 : static_cast<double>(rows) * readers / static_cast<double>(rate) - seconds - waited.count();
    if (due <= 0) return wait_for(context, {});
    SLUICE_TRY(wait_for(context, due > 1 ? kSlice : std::chrono::milliseconds(static_cast<int64_t>(due * 1000) + 1)));
  }
}

}  // namespace sluice::agents::checker
