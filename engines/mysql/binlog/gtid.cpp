// GTIDs of both families and the identities of XA branches.
#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>

#include "engines/mysql/binlog/bytes.hpp"
#include "engines/mysql/binlog/events.hpp"

namespace sluice::mysql {

namespace {
constexpr char kHex[] = "0123456789abcdef";

std::string hex(std::string_view bytes) {
  std::string text;
  for (char c : bytes) {
    text.push_back(kHex[static_cast<uint8_t>(c) >> 4]);
    text.push_back(kHex[static_cast<uint8_t>(c) & 15]);
  }
  return text;
}

std::string uuid_text(std::string_view bytes) {
  std::string text = hex(bytes);
  for (size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string xid_key(uint32_t format, std::string_view gtrid, std::string_view bqual) {
  return std::to_string(format) + ":" + hex(gtrid) + ":" + hex(bqual);
}
}  // namespace

Result<Gtid> parse_mariadb_gtid(std::string_view body, uint32_t server_id) {
  Cursor cursor(body);
  uint64_t sequence = cursor.u64();
  uint32_t domain = cursor.u32();
  uint8_t flags = cursor.u8();
  if (cursor.failed()) return invalid_event("a short GTID event");
  Gtid gtid;
  gtid.text = std::to_string(domain) + "-" + std::to_string(server_id) + "-" + std::to_string(sequence);
  gtid.standalone = (flags & 0x01) != 0;
  gtid.begins = true;
  gtid.prepared_xa = (flags & 0x40) != 0;
  gtid.completed_xa = (flags & 0x80) != 0;
  if ((flags & 0x02) != 0) cursor.skip(8);
  if (gtid.prepared_xa || gtid.completed_xa) {
    cursor.skip(4);
    uint8_t gtrid = cursor.u8();
    uint8_t bqual = cursor.u8();
    cursor.skip(static_cast<uint64_t>(gtrid) + bqual);
  } else if ((flags & 0x02) == 0) {
    cursor.skip(std::min<size_t>(6, cursor.left()));
  }
  if (cursor.failed()) return invalid_event("a short GTID event");
  if (!cursor.done()) {
    uint8_t extra = cursor.u8();
    gtid.alter_phase = extra & (kStartAlter | kCommitAlter | kRollbackAlter);
  }
  return gtid;
}

Result<Gtid> parse_mysql_gtid(std::string_view body, bool anonymous) {
  Cursor cursor(body);
  cursor.skip(1);
  std::string_view sid = cursor.bytes(16);
  uint64_t number = cursor.u64();
  if (cursor.failed()) return invalid_event("a short GTID event");
  Gtid gtid;
  if (!anonymous) gtid.text = uuid_text(sid) + ":" + std::to_string(number);
  if (cursor.left() >= 17 + 7 && cursor.u8() == 2) {
    cursor.skip(16);
    gtid.commit_time_us = static_cast<int64_t>(cursor.fixed(7) & ~(uint64_t{1} << 55));
  }
  return gtid;
}

Result<Gtid> parse_mysql_tagged_gtid(std::string_view body) {
  Cursor cursor(body);
  cursor.varlen();  // version
  cursor.varlen();  // size
  cursor.varlen();  // last field that may not be ignored
  std::string sid, tag;
  int64_t number = 0;
  Gtid gtid;
  while (!cursor.done() && !cursor.failed()) {
    uint64_t field = cursor.varlen();
    if (field > 6) break;  // nothing more of interest
    switch (field) {
      case 1:
        for (int i = 0; i < 16; ++i) sid.push_back(static_cast<char>(cursor.varlen()));
        break;
      case 2:
        number = cursor.signed_varlen();
        break;
      case 3:
        tag = std::string(cursor.bytes(cursor.varlen()));
        break;
      case 4:
      case 5:
        cursor.signed_varlen();
        break;
      case 6:
        gtid.commit_time_us = static_cast<int64_t>(cursor.varlen());
        break;
      default:
        cursor.varlen();
        break;
    }
  }
  if (cursor.failed() || sid.size() != 16) return invalid_event("a short tagged GTID event");
  gtid.text = uuid_text(sid) + (tag.empty() ? "" : ":" + tag) + ":" + std::to_string(number);
  return gtid;
}

Result<std::string> parse_mariadb_gtid_list(std::string_view body) {
  Cursor cursor(body);
  uint32_t count = cursor.u32() & 0x0fffffff;
  // The list holds, per domain, every server id that wrote to it; the last entry of a domain is its newest.
  std::map<uint32_t, std::string> newest;
  for (uint32_t i = 0; i < count && !cursor.failed(); ++i) {
    uint32_t domain = cursor.u32(), server = cursor.u32();
    uint64_t sequence = cursor.u64();
    newest[domain] = std::to_string(domain) + "-" + std::to_string(server) + "-" + std::to_string(sequence);
  }
  if (cursor.failed()) return invalid_event("a short GTID_LIST event");
  std::string text;
  for (const auto& [domain, gtid] : newest) text += (text.empty() ? "" : ",") + gtid;
  return text;
}

Result<std::string> parse_previous_gtids(std::string_view body) {
  Cursor cursor(body);
  uint64_t head = cursor.u64();
  bool tagged = (head >> 56) == 1;
  uint64_t count = tagged ? (head >> 8) & 0xffffffffffffULL : head;
  std::string text;
  for (uint64_t i = 0; i < count && !cursor.failed(); ++i) {
    std::string_view sid_bytes = cursor.bytes(16);
    std::string tag;
    if (cursor.failed()) break;
    std::string sid = uuid_text(sid_bytes);
    if (tagged) tag = std::string(cursor.bytes(cursor.varlen()));
    text += (text.empty() ? "" : ",") + sid + (tag.empty() ? "" : ":" + tag);
    uint64_t intervals = cursor.u64();
    for (uint64_t k = 0; k < intervals && !cursor.failed(); ++k) {
      uint64_t first = cursor.u64(), end = cursor.u64();
      text += ":" + std::to_string(first);
      if (end > first + 1) text += "-" + std::to_string(end - 1);
    }
  }
  if (cursor.failed()) return invalid_event("a short PREVIOUS_GTIDS event");
  return text;
}

namespace {
struct GtidGroup {
  std::string sid, tag;
  std::vector<std::pair<uint64_t, uint64_t>> intervals;  // end exclusive
};

bool parse_number(std::string_view text, uint64_t* value) {
  auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return status == std::errc() && end == text.data() + text.size();
}

// "uuid[:tag]:1-5:7[:tag2:1]" into groups of one sid and tag each. False when it is not of this form.
bool parse_gtid_group(std::string_view text, std::vector<GtidGroup>* groups) {
  size_t colon = text.find(':');
  std::string_view uuid = text.substr(0, colon);
  std::string sid;
  int high = -1;
  for (char c : uuid) {
    if (c == '-') continue;
    int digit = hex_digit(c);
    if (digit < 0) return false;
    if (high < 0) {
      high = digit;
    } else {
      sid.push_back(static_cast<char>(high << 4 | digit)), high = -1;
    }
  }
  if (sid.size() != 16 || high >= 0 || colon == std::string_view::npos) return false;
  groups->push_back({sid, {}, {}});
  while (colon != std::string_view::npos) {
    text.remove_prefix(colon + 1);
    colon = text.find(':');
    std::string_view part = text.substr(0, colon);
    size_t dash = part.find('-');
    uint64_t first = 0, last = 0;
    if (parse_number(part.substr(0, dash), &first)) {
      last = first;
      if (dash != std::string_view::npos && !parse_number(part.substr(dash + 1), &last)) return false;
      if (first == 0 || last < first) return false;
      groups->back().intervals.emplace_back(first, last + 1);
    } else if (groups->back().intervals.empty() && groups->back().tag.empty()) {
      groups->back().tag = std::string(part);
    } else {
      groups->push_back({sid, std::string(part), {}});
    }
  }
  return true;
}

void put(std::string& out, uint64_t value) { out.append(reinterpret_cast<const char*>(&value), 8); }
}  // namespace

namespace {
Result<std::vector<GtidGroup>> parse_gtid_set(std::string_view text) {
  std::vector<GtidGroup> groups;
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    while (!part.empty() && (part.front() == ' ' || part.front() == '\n')) part.remove_prefix(1);
    if (!part.empty() && !parse_gtid_group(part, &groups)) {
      return Error(ErrorCode::INVALID_ARGUMENT, "not a GTID set of MySQL: " + std::string(part));
    }
  }
  return groups;
}
}  // namespace

Result<std::string> normalize_gtid_set(std::string_view text) {
  SLUICE_ASSIGN(std::vector<GtidGroup> groups, parse_gtid_set(text));
  std::string normal;
  for (const GtidGroup& group : groups) {
    if (group.intervals.empty()) continue;
    normal += (normal.empty() ? "" : ",") + uuid_text(group.sid) + (group.tag.empty() ? "" : ":" + group.tag);
    for (auto [first, end] : group.intervals) {
      normal += ":" + std::to_string(first);
      if (end > first + 1) normal += "-" + std::to_string(end - 1);
    }
  }
  return normal;
}

Result<std::string> encode_gtid_set(std::string_view text) {
  SLUICE_ASSIGN(std::vector<GtidGroup> groups, parse_gtid_set(text));
  bool tagged = std::any_of(groups.begin(), groups.end(), [](const GtidGroup& g) { return !g.tag.empty(); });
  std::string bytes;
  put(bytes, tagged ? uint64_t{1} << 56 | static_cast<uint64_t>(groups.size()) << 8 | 1 : groups.size());
  for (const GtidGroup& group : groups) {
    bytes += group.sid;
    if (tagged) {
      bytes.push_back(static_cast<char>(group.tag.size() << 1));
      bytes += group.tag;
    }
    put(bytes, group.intervals.size());
    for (auto [first, end] : group.intervals) put(bytes, first), put(bytes, end);
  }
  return bytes;
}

Result<XaPrepare> parse_xa_prepare(std::string_view body) {
  Cursor cursor(body);
  XaPrepare result;
  result.one_phase = cursor.u8() != 0;
  uint32_t format = cursor.u32(), gtrid = cursor.u32(), bqual = cursor.u32();
  std::string_view first = cursor.bytes(gtrid), second = cursor.bytes(bqual);
  if (cursor.failed() || gtrid > 64 || bqual > 64) return invalid_event("a bad XA_PREPARE event");
  result.xid = xid_key(format, first, second);
  return result;
}

std::string xid_from_sql(std::string_view sql) {
  // The server writes X'hex',X'hex',number.
  std::string parts[2];
  for (std::string& part : parts) {
    size_t open = sql.find("X'");
    if (open == std::string_view::npos) open = sql.find("x'");
    if (open == std::string_view::npos) return {};
    size_t close = sql.find('\'', open + 2);
    if (close == std::string_view::npos) return {};
    for (char c : sql.substr(open + 2, close - open - 2)) {
      int digit = hex_digit(c);
      if (digit < 0) return {};
      part.push_back(kHex[digit]);
    }
    sql.remove_prefix(close + 1);
  }
  while (!sql.empty() && (sql.front() == ',' || sql.front() == ' ')) sql.remove_prefix(1);
  uint32_t format = 0;
  auto [end, status] = std::from_chars(sql.data(), sql.data() + sql.size(), format);
  if (status != std::errc()) return {};
  return std::to_string(format) + ":" + parts[0] + ":" + parts[1];
}

bool same_gtids(std::string_view a, std::string_view b) {
  auto parts = [](std::string_view text) {
    bool mysql = text.find(':') != std::string_view::npos;
    auto normal = mysql ? normalize_gtid_set(text) : Result<std::string>(std::string(text));
    std::vector<std::string> list;
    std::stringstream in(normal.ok() ? *normal : std::string(text));
    for (std::string one; std::getline(in, one, ',');) list.push_back(one);
    std::sort(list.begin(), list.end());
    return list;
  };
  return parts(a) == parts(b);
}

}  // namespace sluice::mysql
