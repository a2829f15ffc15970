#include "engines/mysql/dialect/fold.hpp"

#include <locale.h>
#include <wctype.h>

#include <algorithm>

#include "core/ascii.hpp"
#include "core/utf8.hpp"
#include "engines/mysql/dialect/analysis.hpp"
#include "engines/mysql/quoting.hpp"

namespace sluice::mysql {
namespace {

wint_t lower(wint_t code) {
  static const locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (unicode != nullptr) return towlower_l(code, unicode);
  return code >= 'A' && code <= 'Z' ? code + 32 : code;
}

}  // namespace

// Names have no characters outside of the basic plane; what is no such character stays.
std::string fold_name(std::string_view name) {
  std::string text;
  auto byte = [&](size_t at) { return at < name.size() ? static_cast<uint8_t>(name[at]) : 0U; };
  auto follows = [&](size_t at) { return (byte(at) & 0xc0) == 0x80; };
  for (size_t at = 0; at < name.size();) {
    uint32_t first = byte(at);
    if (first < 0x80) {
      append_utf8(text, lower(first));
      at += 1;
    } else if (first >> 5 == 6 && follows(at + 1)) {
      append_utf8(text, lower((first & 31) << 6 | (byte(at + 1) & 63)));
      at += 2;
    } else if (first >> 4 == 14 && follows(at + 1) && follows(at + 2)) {
      append_utf8(text, lower((first & 15) << 12 | (byte(at + 1) & 63) << 6 | (byte(at + 2) & 63)));
      at += 3;
    } else {
      text.push_back(name[at++]);
    }
  }
  return text;
}

bool same_name(std::string_view a, std::string_view b) {
  const auto is_ascii = [](char c) { return static_cast<uint8_t>(c) < 0x80; };
  size_t at = 0;
  for (; at < std::min(a.size(), b.size()) && is_ascii(a[at]) && is_ascii(b[at]); ++at) {
    if (ascii::lower(a[at]) != ascii::lower(b[at])) return false;
  }
  return fold_name(a.substr(at)) == fold_name(b.substr(at));
}

std::string fold_names(std::string_view sql, std::string_view default_database, uint64_t sql_mode) {
  auto analysis = analyse_ddl(sql, default_database, sql_mode);
  if (!analysis.ok() || analysis->statement.kind == DdlKind::kUnknown) return std::string(sql);
  std::vector<Edit> edits;
  for (const NameRef& ref : analysis->names) {
    TableName folded{fold_name(ref.name.database), fold_name(ref.name.table)};
    if (folded == ref.name) continue;
    std::string text = quote_name(folded.table);
    if (!folded.database.empty()) text = quote_name(folded.database) + "." + text;
    // Other parts of a query go on to use the name as it was written.
    bool aliased = ref.needs_alias && folded.table != ref.name.table;
    if (aliased && ref.role == NameRole::kRead) text += " AS " + quote_name(ref.name.table);
    if (aliased && ref.role == NameRole::kQualifier) text = quote_name(ref.name.table);
    edits.push_back({ref.place, std::move(text)});
  }
  if (analysis->database_name)
    edits.push_back({*analysis->database_name, quote_name(fold_name(analysis->statement.database))});
  return edits.empty() ? std::string(sql) : apply_edits(sql, std::move(edits));
}

}  // namespace sluice::mysql
