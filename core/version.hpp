// The version of this build, told by `sluice --version` and by agents at their registration.
#pragma once

namespace sluice {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace sluice
