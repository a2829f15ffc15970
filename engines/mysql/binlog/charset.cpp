#include "engines/mysql/binlog/charset.hpp"

#include <iconv.h>

#include <algorithm>
#include <utility>

#include "core/utf8.hpp"
#include "engines/mysql/binlog/bytes.hpp"

namespace sluice::mysql {

namespace {
struct Known {
  uint32_t id;
  const char *charset, *name;
};
constexpr Known kCommon[] = {
    {8, "latin1", "latin1_swedish_ci"},
    {11, "ascii", "ascii_general_ci"},
    {28, "gbk", "gbk_chinese_ci"},
    {33, "utf8mb3", "utf8mb3_general_ci"},
    {35, "ucs2", "ucs2_general_ci"},
    {45, "utf8mb4", "utf8mb4_general_ci"},
    {46, "utf8mb4", "utf8mb4_bin"},
    {47, "latin1", "latin1_bin"},
    {54, "utf16", "utf16_general_ci"},
    {60, "utf32", "utf32_general_ci"},
    {63, "binary", "binary"},
    {65, "ascii", "ascii_bin"},
    {83, "utf8mb3", "utf8mb3_bin"},
    {192, "utf8mb3", "utf8mb3_unicode_ci"},
    {224, "utf8mb4", "utf8mb4_unicode_ci"},
    {255, "utf8mb4", "utf8mb4_0900_ai_ci"},
};

// The names by which the C library knows the servers' character sets.
constexpr std::pair<std::string_view, const char*> kIconvNames[] = {
    {"latin2", "ISO-8859-2"},  {"latin5", "ISO-8859-9"}, {"latin7", "ISO-8859-13"}, {"greek", "ISO-8859-7"},
    {"hebrew", "ISO-8859-8"},  {"cp1250", "CP1250"},     {"cp1251", "CP1251"},      {"cp1256", "CP1256"},
    {"cp1257", "CP1257"},      {"cp850", "CP850"},       {"cp852", "CP852"},        {"cp866", "CP866"},
    {"koi8r", "KOI8-R"},       {"koi8u", "KOI8-U"},      {"gb2312", "EUC-CN"},      {"gbk", "CP936"},
    {"gb18030", "GB18030"},    {"big5", "BIG5"},         {"sjis", "SHIFT_JIS"},     {"cp932", "CP932"},
    {"ujis", "EUC-JP"},        {"eucjpms", "EUC-JP-MS"}, {"euckr", "CP949"},        {"tis620", "TIS-620"},
    {"ucs2", "UCS-2BE"},       {"utf16", "UTF-16BE"},    {"utf16le", "UTF-16LE"},   {"utf32", "UTF-32BE"},
    {"macroman", "MACINTOSH"}, {"hp8", "HP-ROMAN8"},
};

// latin1 is cp1252 whose five undefined places stand for themselves.
constexpr uint16_t kLatin1Upper[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                       0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                       0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                       0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

std::string latin1_to_utf8(std::string_view bytes) {
  std::string text;
  for (char c : bytes) {
    uint32_t code = static_cast<uint8_t>(c);
    if (code >= 0x80 && code < 0xa0) code = kLatin1Upper[code - 0x80];
    append_utf8(text, code);
  }
  return text;
}
}  // namespace

Collations::Collations() {
  for (const Known& known : kCommon) set(known.id, known.charset, known.name);
}

const Collation* Collations::find(uint32_t id) const {
  auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

unsigned bytes_per_character(std::string_view charset) {
  for (std::string_view four : {"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"}) {
    if (charset == four) return 4;
  }
  for (std::string_view three : {"utf8mb3", "utf8", "ujis", "eucjpms"}) {
    if (charset == three) return 3;
  }
  for (std::string_view two : {"ucs2", "gbk", "gb2312", "big5", "sjis", "cp932", "euckr"}) {
    if (charset == two) return 2;
  }
  return 1;
}

namespace {
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool is_plain(std::string_view charset, std::string_view bytes) {
  for (std::string_view other : {"ucs2", "utf16", "utf16le", "utf32", "swe7"}) {
    if (charset == other) return false;
  }
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

iconv_t open_converter(std::string_view charset) {
  for (const auto& [name, iconv_name] : kIconvNames) {
    if (name == charset) return iconv_open("UTF-8", iconv_name);
  }
  return iconv_t(-1);
}

// Bytes of the character at the beginning of `bytes`, as servers see it, when iconv does not know it.
size_t unknown_character(std::string_view charset, std::string_view bytes) {
  auto byte = [&](size_t at) { return at < bytes.size() ? static_cast<uint8_t>(bytes[at]) : 0U; };
  if (byte(0) < 0x80) return 1;
  if (charset == "gb18030" && byte(1) >= '0' && byte(1) <= '9') return std::min<size_t>(4, bytes.size());
  for (std::string_view pairs : {"sjis", "cp932", "gbk", "gb18030", "big5", "euckr"}) {
    if (charset == pairs && byte(1) >= 0x40) return 2;
  }
  return 1;
}
}  // namespace

Result<std::string> to_utf8(std::string_view charset, std::string_view bytes) {
  if (charset.empty() || charset == "binary" || charset == "ascii" || charset.starts_with("utf8")) {
    return std::string(bytes);
  }
  if (charset == "latin1") return latin1_to_utf8(bytes);
  if (is_plain(charset, bytes)) return std::string(bytes);
  iconv_t converter = open_converter(charset);
  if (converter == iconv_t(-1)) {
    return Error(ErrorCode::UNSUPPORTED,
                 "text in character set " + std::string(charset) + " cannot be converted to UTF-8");
  }
  std::string input(bytes), text(bytes.size() * 3 + 16, '\0');
  char *in = input.data(), *out = text.data();
  size_t in_left = input.size(), out_left = text.size();
  size_t converted = iconv(converter, &in, &in_left, &out, &out_left);
  iconv_close(converter);
  if (converted == static_cast<size_t>(-1)) {
    return Error(ErrorCode::UNSUPPORTED,
                 "text in character set " + std::string(charset) + " holds characters that cannot be converted");
  }
  text.resize(text.size() - out_left);
  return text;
}

std::string to_utf8_leniently(std::string_view charset, std::string_view bytes) {
  std::string text;
  iconv_t converter = open_converter(charset);
  std::string input(bytes);
  char* in = input.data();
  size_t in_left = input.size();
  while (in_left > 0) {
    if (converter != iconv_t(-1)) {
      std::string part(in_left * 3 + 16, '\0');
      char* out = part.data();
      size_t out_left = part.size();
      iconv(converter, &in, &in_left, &out, &out_left);
      text.append(part, 0, part.size() - out_left);
      if (in_left == 0) break;
    }
    size_t size = unknown_character(charset, {in, in_left});
    if (size == 1 && static_cast<uint8_t>(*in) < 0x80)
      text.push_back(*in);
    else
      text.append(kReplacement);
    in += size;
    in_left -= size;
  }
  if (converter != iconv_t(-1)) iconv_close(converter);
  return text;
}

}  // namespace sluice::mysql
