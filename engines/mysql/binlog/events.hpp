// The events of the binlog that frame and describe transactions, parsed from bytes. Pure functions; views live as long
// as the bytes. Rows and table maps have their own files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace sluice::mysql {

namespace event {
inline constexpr uint8_t kQuery = 2, kStop = 3, kRotate = 4, kIntvar = 5, kRand = 13, kUserVar = 14;
inline constexpr uint8_t kFormatDescription = 15, kXid = 16, kBeginLoad = 17, kExecuteLoad = 18, kTableMap = 19;
inline constexpr uint8_t kWriteRowsV1 = 23, kUpdateRowsV1 = 24, kDeleteRowsV1 = 25, kIncident = 26, kHeartbeat = 27;
inline constexpr uint8_t kIgnorable = 28, kRowsQuery = 29, kWriteRows = 30, kUpdateRows = 31, kDeleteRows = 32;
inline constexpr uint8_t kGtid = 33, kAnonymousGtid = 34, kPreviousGtids = 35, kTransactionContext = 36;
inline constexpr uint8_t kViewChange = 37, kXaPrepare = 38, kPartialUpdateRows = 39, kTransactionPayload = 40;
inline constexpr uint8_t kHeartbeatV2 = 41, kGtidTagged = 42;
inline constexpr uint8_t kMariaAnnotate = 160, kMariaCheckpoint = 161, kMariaGtid = 162, kMariaGtidList = 163;
inline constexpr uint8_t kMariaStartEncryption = 164, kMariaQueryCompressed = 165, kMariaWriteCompressed = 166;
inline constexpr uint8_t kMariaUpdateCompressed = 167, kMariaDeleteCompressed = 168, kMariaWriteCompressedV2 = 169;
inline constexpr uint8_t kMariaUpdateCompressedV2 = 170, kMariaDeleteCompressedV2 = 171;
inline constexpr uint16_t kFlagArtificial = 0x20, kFlagIgnorable = 0x80;
}  // namespace event

struct EventHeader {
  static constexpr size_t kSize = 19;
  uint32_t timestamp = 0;  // seconds, Unix time
  uint8_t type = 0;
  uint32_t server_id = 0;
  uint32_t size = 0;     // header and checksum included
  uint32_t log_pos = 0;  // end of the event, modulo 4 GiB; 0 when not known
  uint16_t flags = 0;
  bool artificial() const { return (flags & event::kFlagArtificial) != 0; }
};
// BINLOG_EVENT_INVALID unless `bytes` is exactly one event.
Result<EventHeader> parse_header(std::string_view bytes);
bool checksum_matches(std::string_view event_bytes);  // CRC32 in the last four bytes

struct FormatDescription {
  std::string server_version = "unknown";
  bool mariadb = false;
  uint32_t created = 0;
  bool checksums = false;
  std::vector<uint8_t> post_header_lengths;  // by event type - 1
  uint8_t post_header(uint8_t type, uint8_t otherwise) const {
    return type >= 1 && type <= post_header_lengths.size() ? post_header_lengths[type - 1U] : otherwise;
  }
};
Result<FormatDescription> parse_format_description(std::string_view event_bytes);

struct Query {
  uint16_t error_code = 0;
  std::string_view database, sql;
  uint64_t sql_mode = 0;
  uint32_t flags2 = 0;
  bool has_flags2 = false, has_charset = false;
  uint16_t client_charset = 0, collation_connection = 0, collation_server = 0, default_collation_utf8mb4 = 0;
  std::string_view time_zone;
  uint32_t microseconds = 0;
  uint8_t explicit_defaults = 2;
  uint8_t alter_phase = 0;  // MariaDB gtid_flags3
};
// `body` without header and checksum.
Result<Query> parse_query(std::string_view body);

struct Rotate {
  uint64_t position = 0;
  std::string_view file;
};
Result<Rotate> parse_rotate(std::string_view body);

struct Gtid {
  std::string text;            // empty: anonymous
  int64_t commit_time_us = 0;  // 0: not known
  bool standalone = false;     // MariaDB: exactly one member follows
  bool begins = false;         // MariaDB: the event is the BEGIN
  bool prepared_xa = false, completed_xa = false;
  uint8_t alter_phase = 0;  // kStartAlter, kCommitAlter, kRollbackAlter
};
inline constexpr uint8_t kStartAlter = 2, kCommitAlter = 4, kRollbackAlter = 8;
Result<Gtid> parse_mariadb_gtid(std::string_view body, uint32_t server_id);
Result<Gtid> parse_mysql_gtid(std::string_view body, bool anonymous);
Result<Gtid> parse_mysql_tagged_gtid(std::string_view body);

// Text forms of the sets at the start of each file.
Result<std::string> parse_mariadb_gtid_list(std::string_view body);
Result<std::string> parse_previous_gtids(std::string_view body);
// A set of MySQL with one part for each pair of server and tag: the form that gtids_after() extends. Servers print
// tagged parts behind the untagged one of the same server.
Result<std::string> normalize_gtid_set(std::string_view text);
// Whether two lists or sets name the same transactions, however they are written.
bool same_gtids(std::string_view a, std::string_view b);
// The bytes that COM_BINLOG_DUMP_GTID takes for a set in text form.
Result<std::string> encode_gtid_set(std::string_view text);

struct XaPrepare {
  bool one_phase = false;
  std::string xid;  // as xid_from_sql() gives it
};
Result<XaPrepare> parse_xa_prepare(std::string_view body);
// Identity of the branch that `XA COMMIT X'…',X'…',1` and the like name; empty when the text names none.
std::string xid_from_sql(std::string_view sql);

struct Heartbeats {
  std::string_view file;
  std::optional<uint64_t> position;  // none: the header's
};
Result<Heartbeats> parse_heartbeat(std::string_view body, bool version2);

// What a statement of the log is, by its first word after comments.
enum class StatementKind : uint8_t {
  kBegin,
  kCommit,
  kRollback,
  kSavepoint,
  kRollbackTo,
  kReleaseSavepoint,
  kXaStart,
  kXaEnd,
  kXaPrepare,
  kXaCommit,
  kXaRollback,
  kDataChange,
  kDdl,
};
StatementKind statement_kind(std::string_view sql);
// The text from its first word on.
std::string_view skip_comments(std::string_view sql);

}  // namespace sluice::mysql
