// Drill: what a drill leaves to chance. `./dev test` runs each drill once; `./dev drill NAME` again and again, each
// time with the next seed. The seed is printed: SLUICE_DRILL_SEED repeats it.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace sluice::testing {

class Drill {
 public:
  Drill() : Drill(next_seed()) {}
  // When something is done: up to `limit`, never at once.
  std::chrono::milliseconds moment(std::chrono::milliseconds limit) {
    return std::chrono::milliseconds(1 + random_() % static_cast<uint64_t>(limit.count()));
  }

 private:
  explicit Drill(uint64_t seed) : random_(seed) {
    std::printf("SLUICE_DRILL_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
  }
  static uint64_t next_seed() {
    static uint64_t next = [] {
      const char* given = std::getenv("SLUICE_DRILL_SEED");
      return given != nullptr && *given != 0 ? std::stoull(given) : 1;
    }();
    return next++;
  }
  std::mt19937_64 random_;
};

}  // namespace sluice::testing
