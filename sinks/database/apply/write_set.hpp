// Write sets: what a row change touches, as hashes that may collide but never miss (exactness.md section 4). Pure.
//
// A claim is one touched value: 63 bits of hash and one bit that tells whether the value is only needed (a child row
// needs its parent's key: shared) or written (exclusive). Two transactions depend on each other when they claim the
// same hash and at least one of them exclusively.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/schema.hpp"
#include "core/value.hpp"

namespace sluice::database {

using Claim = uint64_t;
inline constexpr Claim kSharedBit = 1;
inline Claim exclusive_claim(uint64_t hash) { return hash & ~kSharedBit; }
inline Claim shared_claim(uint64_t hash) { return hash | kSharedBit; }
inline uint64_t claim_slot(Claim claim) { return claim & ~kSharedBit; }
inline bool claim_is_shared(Claim claim) { return (claim & kSharedBit) != 0; }

// How the values of a key column are brought to a form in which equal means equal to the target.
enum class Fold : uint8_t {
  kNumber,    // integers, BIT, YEAR, ENUM, SET
  kFloat,     // FLOAT, DOUBLE: one zero
  kDecimal,   // text; no trailing zeros, no negative zero
  kTemporal,  // text; no trailing zeros of the fraction
  kBytes,     // no trailing spaces and zero bytes
  kAscii,     // text under a listed collation: ASCII is folded, anything else makes the row claim the whole key
  kWhole,     // cannot be hashed: every row claims the whole key
};
Fold fold_of(const Column& target_column, Physical event_physical);

// One key of a table (primary, unique, referenced by or referencing another table).
struct KeySpec {
  uint64_t seed = 0;
  bool shared = false;            // referencing columns: the values are only needed
  bool with_slot = false;         // hashed rows also share the slot of the whole key
  bool whole = false;             // every row claims the whole key (prefix, expression and generated parts)
  std::vector<uint32_t> columns;  // of the event's schema
  std::vector<Fold> folds;        // one per column
  // Appends the claims of one row image. A NULL in any part adds nothing.
  void append_claims(std::span<const ValueView> row, std::vector<Claim>& claims) const;
};

uint64_t hash_text(std::string_view text, uint64_t seed = 0);
uint64_t slot_of_key(uint64_t seed);  // the slot of the whole key

// Sorted, without doubles; a slot that is claimed both ways is claimed exclusively.
void normalise_claims(std::vector<Claim>& claims);

}  // namespace sluice::database
