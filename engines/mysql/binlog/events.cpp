#include "engines/mysql/binlog/events.hpp"

#include <zlib.h>

#include <algorithm>

#include "core/ascii.hpp"
#include "engines/mysql/binlog/bytes.hpp"

namespace sluice::mysql {

Result<EventHeader> parse_header(std::string_view bytes) {
  if (bytes.size() < EventHeader::kSize) return invalid_event("an event of " + std::to_string(bytes.size()) + " bytes");
  Cursor cursor(bytes);
  EventHeader header;
  header.timestamp = cursor.u32();
  header.type = cursor.u8();
  header.server_id = cursor.u32();
  header.size = cursor.u32();
  header.log_pos = cursor.u32();
  header.flags = cursor.u16();
  if (header.size != bytes.size()) {
    return invalid_event("event of type " + std::to_string(header.type) + " says it has " +
                         std::to_string(header.size) + " bytes, there are " + std::to_string(bytes.size()));
  }
  return header;
}

bool checksum_matches(std::string_view bytes) {
  if (bytes.size() < EventHeader::kSize + 4) return false;
  size_t size = bytes.size() - 4;
  uint32_t stored = 0;
  std::memcpy(&stored, bytes.data() + size, 4);
  return crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), size) == stored;
}

Result<FormatDescription> parse_format_description(std::string_view event_bytes) {
  if (event_bytes.size() < EventHeader::kSize + 57) return invalid_event("a short format description");
  Cursor cursor(event_bytes.substr(EventHeader::kSize));
  FormatDescription result;
  uint16_t version = cursor.u16();
  std::string_view server = cursor.bytes(50);
  result.server_version = std::string(server.substr(0, server.find('\0')));
  result.mariadb = result.server_version.find("MariaDB") != std::string::npos;
  result.created = cursor.u32();
  uint8_t header_length = cursor.u8();
  if (version != 4 || header_length != EventHeader::kSize) {
    return Error(ErrorCode::UNSUPPORTED, "binlog version " + std::to_string(version) + " of " + result.server_version);
  }
  std::string_view lengths = cursor.rest();
  // Servers before 5.6.1 (MySQL) and 5.3 (MariaDB) have no algorithm byte and no checksum; the array is 27 long there.
  if (lengths.size() >= 27 + 5) {
    uint8_t algorithm = static_cast<uint8_t>(lengths[lengths.size() - 5]);
    if (algorithm > 1) return Error(ErrorCode::UNSUPPORTED, "binlog checksum algorithm " + std::to_string(algorithm));
    result.checksums = algorithm == 1;
    // The flag that the file is in use (a server writes it) counts as cleared.
    std::string cleared(event_bytes);
    cleared[17] = static_cast<char>(cleared[17] & ~1);
    if (result.checksums && !checksum_matches(cleared)) return invalid_event("checksum of a format description");
    lengths.remove_suffix(5);
  }
  result.post_header_lengths.assign(lengths.begin(), lengths.end());
  return result;
}

namespace {
void skip_databases(Cursor& cursor) {
  constexpr uint8_t kTooMany = 254;  // no names follow
  uint8_t count = cursor.u8();
  for (uint8_t i = 0; i < count && count != kTooMany; ++i) {
    while (!cursor.failed() && cursor.u8() != 0) {
    }
  }
}

// Reads the status variables of a QUERY up to the first that is not known: their block's length is given apart.
void parse_status(Cursor cursor, Query* query) {
  while (!cursor.done() && !cursor.failed()) {
    switch (cursor.u8()) {
      case 0:
        query->flags2 = cursor.u32(), query->has_flags2 = !cursor.failed();
        break;
      case 1:
        query->sql_mode = cursor.u64();
        break;
      case 2:
        cursor.skip(cursor.u8() + 1U);
        break;
      case 3:
        cursor.skip(4);
        break;
      case 4:
        query->client_charset = cursor.u16();
        query->collation_connection = cursor.u16();
        query->collation_server = cursor.u16();
        query->has_charset = !cursor.failed();
        break;
      case 5:
        query->time_zone = cursor.bytes(cursor.u8());
        break;
      case 6:
        cursor.skip(cursor.u8());
        break;
      case 7:
      case 8:
        cursor.skip(2);
        break;
      case 10:
        cursor.skip(4);
        break;
      case 11:
        cursor.skip(cursor.u8()), cursor.skip(cursor.u8());
        break;
      case 12:
        skip_databases(cursor);
        break;
      case 13:
      case 128:
        query->microseconds = static_cast<uint32_t>(cursor.fixed(3));
        break;
      case 16:
        query->explicit_defaults = cursor.u8() != 0 ? 1 : 0;
        break;
      case 9:
      case 17:
      case 129:
        cursor.skip(8);
        break;
      case 18:
        query->default_collation_utf8mb4 = cursor.u16();
        break;
      case 19:
      case 20:
        cursor.skip(1);
        break;
      case 130:
        query->alter_phase = cursor.u8();
        if ((query->alter_phase & (kCommitAlter | kRollbackAlter)) != 0) cursor.skip(8);
        break;
      default:
        return;
    }
  }
}
}  // namespace

Result<Query> parse_query(std::string_view body) {
  Cursor cursor(body);
  Query query;
  cursor.skip(8);  // the thread and how long the statement took
  uint8_t database_length = cursor.u8();
  query.error_code = cursor.u16();
  uint16_t status_length = cursor.u16();
  parse_status(Cursor(cursor.bytes(status_length)), &query);
  query.database = cursor.bytes(database_length);
  cursor.skip(1);
  if (cursor.failed()) return invalid_event("a short QUERY event");
  query.sql = cursor.rest();
  return query;
}

Result<Rotate> parse_rotate(std::string_view body) {
  Cursor cursor(body);
  Rotate rotate;
  rotate.position = cursor.u64();
  rotate.file = cursor.rest();
  if (cursor.failed() || rotate.file.empty()) return invalid_event("a short ROTATE event");
  return rotate;
}

Result<Heartbeats> parse_heartbeat(std::string_view body, bool version2) {
  Heartbeats result;
  if (!version2) {
    // Since positions may pass 4 GiB some MariaDB servers put eight bytes of position before the name. No file name
    // begins with a byte that such a number has among its upper ones.
    if (body.size() > 8 && body.find('\0') < 8) {
      result.position = Cursor(body).u64();
      body.remove_prefix(8);
    }
    result.file = body;
    return result;
  }
  Cursor cursor(body);
  while (!cursor.done()) {
    uint8_t kind = cursor.u8();
    if (kind == 0) break;
    std::string_view value = cursor.lenenc_bytes();
    if (kind == 1) result.file = value;
    if (kind == 2) {
      Cursor number(value);
      result.position = number.lenenc();
    }
  }
  if (cursor.failed()) return invalid_event("a short HEARTBEAT event");
  return result;
}

namespace {
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_word(char c) {
  return (ascii::lower(c) >= 'a' && ascii::lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// The next word in lower case (cut at 15 characters), and the text after it.
std::string next_word(std::string_view* sql) {
  *sql = skip_comments(*sql);
  std::string word;
  size_t at = 0;
  for (; at < sql->size() && is_word((*sql)[at]); ++at) {
    if (word.size() < 15) word.push_back(ascii::lower((*sql)[at]));
  }
  sql->remove_prefix(at);
  return word;
}
}  // namespace

std::string_view skip_comments(std::string_view sql) {
  for (;;) {
    size_t at = 0;
    while (at < sql.size() && (is_space(sql[at]) || sql[at] == '(' || sql[at] == ';')) ++at;
    sql.remove_prefix(at);
    if (sql.starts_with("/*!") || sql.starts_with("/*M!")) {  // its text is part of the statement
      sql.remove_prefix(sql[2] == '!' ? 3 : 4);
      at = 0;
      while (at < sql.size() && sql[at] >= '0' && sql[at] <= '9') ++at;
      sql.remove_prefix(at);
    } else if (sql.starts_with("/*")) {
      size_t end = sql.find("*/", 2);
      if (end == std::string_view::npos) return {};
      sql.remove_prefix(end + 2);
    } else if (sql.starts_with("*/")) {
      sql.remove_prefix(2);
    } else if (sql.starts_with("#") || (sql.starts_with("--") && (sql.size() == 2 || is_space(sql[2])))) {
      size_t end = sql.find('\n');
      if (end == std::string_view::npos) return {};
      sql.remove_prefix(end + 1);
    } else {
      return sql;
    }
  }
}

namespace {
StatementKind classify_xa(std::string_view rest) {
  std::string word = next_word(&rest);
  if (word == "start" || word == "begin") return StatementKind::kXaStart;
  if (word == "end") return StatementKind::kXaEnd;
  if (word == "prepare") return StatementKind::kXaPrepare;
  if (word == "commit") return StatementKind::kXaCommit;
  if (word == "rollback") return StatementKind::kXaRollback;
  return StatementKind::kDdl;
}
}  // namespace

StatementKind statement_kind(std::string_view sql) {
  std::string word = next_word(&sql);
  if (word == "begin") return StatementKind::kBegin;
  if (word == "commit") return StatementKind::kCommit;
  if (word == "savepoint") return StatementKind::kSavepoint;
  if (word == "xa") return classify_xa(sql);
  if (word == "rollback") {
    std::string next = next_word(&sql);
    if (next == "work") next = next_word(&sql);
    return next == "to" ? StatementKind::kRollbackTo : StatementKind::kRollback;
  }
  if (word == "release") return StatementKind::kReleaseSavepoint;
  // SELECT, DO and CALL stand in a log only when a function or procedure that writes was logged as a statement.
  for (std::string_view change : {"insert", "update", "delete", "replace", "load", "with", "select", "do", "call"}) {
    if (word == change) return StatementKind::kDataChange;
  }
  return StatementKind::kDdl;
}

}  // namespace sluice::mysql
