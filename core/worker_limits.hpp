// The most workers that a component runs. The API refuses to be asked for more, so that nobody gets less than he asked.
#pragma once

namespace sluice {

inline constexpr int kImportWorkersMax = 64;  // Full-Import: readers and writers
inline constexpr int kAppliersMax = 64;       // Incr-Sync

}  // namespace sluice
