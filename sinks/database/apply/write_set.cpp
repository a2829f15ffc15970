#include "sinks/database/apply/write_set.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "core/ascii.hpp"

namespace sluice::database {
namespace {

// Collations in which two ASCII texts are equal only if they differ in case, spaces and control characters. Languages
// with contractions (Hungarian, Czech, Croatian …) are not among them, nor are the Chinese ones (Y = ~). A test asks a
// server about each.
bool is_plain_collation(std::string_view collation) {
  if (collation.ends_with("_bin") || collation == "binary") return true;
  const size_t first = collation.find('_');
  if (first == std::string_view::npos) return false;
  const std::string_view charset = collation.substr(0, first);
  for (std::string_view wide : {"ucs2", "utf16", "utf16le", "utf32", "swe7"}) {
    if (charset == wide) return false;
  }
  std::string_view rest = collation.substr(first + 1);
  for (std::string_view suffix : {"_ci", "_cs"}) {
    if (rest.ends_with(suffix)) rest.remove_suffix(suffix.size());
  }
  for (std::string_view name : {"general",       "general1400_as", "general_mysql500",  "general_nopad",    "unicode",
                                "unicode_nopad", "unicode_520",    "unicode_520_nopad", "0900_ai",          "0900_as",
                                "uca1400_ai",    "uca1400_as",     "uca1400_nopad_ai",  "uca1400_nopad_as", "swedish",
                                "swedish_nopad", "german1",        "japanese",          "japanese_nopad",   "korean",
                                "korean_nopad"}) {
    if (rest != name) continue;
    if (rest.starts_with("swedish")) return charset == "latin1";
    // Tables with slips: M = N in the one, @ = ` in the other.
    return !rest.starts_with("general") || (charset != "macce" && charset != "geostd8");
  }
  return false;
}

void append_number(std::string& text, uint64_t value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_bytes(std::string& text, std::string_view bytes) {
  append_number(text, bytes.size());
  text.append(bytes);
}

std::string_view without_fraction_zeros(std::string_view value) {
  if (value.find('.') == std::string_view::npos) return value;
  while (value.ends_with('0')) value.remove_suffix(1);
  if (value.ends_with('.')) value.remove_suffix(1);
  return value;
}

std::string_view without_padding(std::string_view value) {
  while (!value.empty() && (value.back() == ' ' || value.back() == '\0')) value.remove_suffix(1);
  return value;
}

void append_decimal(std::string& text, std::string_view value) {
  value = without_fraction_zeros(value);
  const bool negative = value.starts_with('-');
  if (negative) value.remove_prefix(1);
  while (value.size() > 1 && value[0] == '0' && value[1] != '.') value.remove_prefix(1);
  if (negative && value != "0") text += '-';
  append_bytes(text, value);
}

// False when the value is not ASCII.
bool append_ascii(std::string& text, std::string_view value) {
  const size_t start = text.size();
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) return false;
    if (byte <= 0x20 || byte == 0x7f) continue;
    text += ascii::lower(c);
  }
  append_number(text, text.size() - start);
  return true;
}

bool append_value(std::string& text, Fold fold, const ValueView& value) {
  switch (fold) {
    case Fold::kNumber:
      append_number(text, value.u);
      return true;
    case Fold::kFloat: {
      double number = value.physical == Physical::kFloat ? static_cast<double>(value.f) : value.d;
      if (number == 0) number = 0;
      uint64_t bits = 0;
      std::memcpy(&bits, &number, sizeof bits);
      append_number(text, number == 0 ? 0 : bits);
      return true;
    }
    case Fold::kDecimal:
      append_decimal(text, value.bytes);
      return true;
    case Fold::kTemporal:
      append_bytes(text, without_fraction_zeros(value.bytes));
      return true;
    case Fold::kBytes:
      append_bytes(text, without_padding(value.bytes));
      return true;
    case Fold::kAscii:
      return append_ascii(text, value.bytes);
    case Fold::kWhole:
      return false;
  }
  return false;
}

Fold fold_of_text(const Column& column) {
  if (column.collation.ends_with("_bin") || column.collation == "binary") return Fold::kBytes;
  return is_plain_collation(column.collation) ? Fold::kAscii : Fold::kWhole;
}

}  // namespace

Fold fold_of(const Column& column, Physical physical) {
  const bool number = physical == Physical::kInt || physical == Physical::kUInt;
  switch (column.type) {
    case ColumnType::kTinyInt:
    case ColumnType::kSmallInt:
    case ColumnType::kMediumInt:
    case ColumnType::kInt:
    case ColumnType::kBigInt:
    case ColumnType::kBit:
    case ColumnType::kYear:
    case ColumnType::kEnum:
    case ColumnType::kSet:
      return number ? Fold::kNumber : Fold::kWhole;
    case ColumnType::kFloat:
    case ColumnType::kDouble:
      return physical == Physical::kFloat || physical == Physical::kDouble ? Fold::kFloat : Fold::kWhole;
    default:
      break;
  }
  if (physical != Physical::kBytes) return Fold::kWhole;
  switch (column.type) {
    case ColumnType::kDecimal:
      return Fold::kDecimal;
    case ColumnType::kDate:
    case ColumnType::kTime:
    case ColumnType::kDatetime:
    case ColumnType::kTimestamp:
      return Fold::kTemporal;
    case ColumnType::kChar:
    case ColumnType::kVarchar:
    case ColumnType::kText:
      return fold_of_text(column);
    case ColumnType::kBinary:
    case ColumnType::kVarbinary:
    case ColumnType::kBlob:
      return Fold::kBytes;
    case ColumnType::kUuid:
      return Fold::kAscii;
    default:
      return Fold::kWhole;
  }
}

uint64_t hash_text(std::string_view text, uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

uint64_t slot_of_key(uint64_t seed) { return hash_text("whole key", seed); }

void KeySpec::append_claims(std::span<const ValueView> row, std::vector<Claim>& claims) const {
  thread_local std::string text;
  text.clear();
  bool hashed = !whole;
  for (size_t i = 0; i < columns.size(); ++i) {
    const ValueView& value = row[columns[i]];
    if (value.null) return;
    if (hashed) hashed = append_value(text, folds[i], value);
  }
  if (!hashed) {
    claims.push_back(exclusive_claim(slot_of_key(seed)));
    return;
  }
  if (with_slot) claims.push_back(shared_claim(slot_of_key(seed)));
  const uint64_t hash = hash_text(text, seed);
  claims.push_back(shared ? shared_claim(hash) : exclusive_claim(hash));
}

void normalise_claims(std::vector<Claim>& claims) {
  std::sort(claims.begin(), claims.end());
  // An exclusive claim sorts right before the shared one of the same slot, so the first of a slot is the one to keep.
  claims.erase(
      std::unique(claims.begin(), claims.end(), [](Claim a, Claim b) { return claim_slot(a) == claim_slot(b); }),
      claims.end());
}

}  // namespace sluice::database
