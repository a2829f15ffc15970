#include "engines/mysql/binlog/stream.hpp"

#include "engines/mysql/binlog/bytes.hpp"
#include "engines/mysql/binlog/inflate.hpp"

namespace sluice::mysql {

namespace {
constexpr uint64_t kReportBytes = 1 << 20;
constexpr uint32_t kBackwards = 0xf0000000U;
constexpr size_t kKeptBytes = 4 << 20;
}  // namespace

void EventStream::start(const Position& start, bool gtids_known) {
  file_ = start.file;
  offset_ = settled_ = reported_ = start.offset;
  gtids_ = start.gtids;
  gtids_known_ = gtids_known;
}

Status EventStream::event(std::string_view bytes) {
  Status status = checked_event(bytes);
  if (status.ok() || status.error().code() == ErrorCode::CANCELLED) return status;
  return status.error().with_position(file_ + ":" + std::to_string(offset_));
}

Status EventStream::checked_event(std::string_view bytes) {
  SLUICE_ASSIGN(EventHeader header, parse_header(bytes));
  if (header.type == event::kFormatDescription) {
    SLUICE_TRY(format_description(bytes));
    if (header.log_pos != 0 && !header.artificial()) advance(header);
  } else {
    SLUICE_ASSIGN(std::string_view body, strip_checksum(header, bytes));
    bool heartbeat = header.type == event::kHeartbeat || header.type == event::kHeartbeatV2;
    if (!header.artificial() && !heartbeat) advance(header);
    SLUICE_TRY(dispatch(header, body, false));
  }
  if (group_.open) return {};
  if (inflated_.capacity() > kKeptBytes) inflated_ = std::string();
  if (sql_text_.capacity() > kKeptBytes) sql_text_ = std::string();
  if (offset_ != settled_) progress_ = true;
  settled_ = offset_;
  return offset_ - reported_ >= kReportBytes ? report_progress() : Status();
}

Status EventStream::report_progress() {
  if (!progress_ || group_.open || handler_ == nullptr) return {};
  progress_ = false;
  reported_ = offset_;
  return handler_->on_heartbeat(position());
}

// The checksum is announced by the format description. What the server makes up on the way (the first ROTATE, which
// comes before any description, is one) may follow another rule: there the sum itself tells.
Result<std::string_view> EventStream::strip_checksum(const EventHeader& header, std::string_view bytes) const {
  std::string_view body = bytes.substr(EventHeader::kSize);
  bool made_up = header.artificial() || !format_known_;
  if (!made_up && !format_.checksums) return body;
  if (checksum_matches(bytes)) return body.substr(0, body.size() - 4);
  if (made_up) return body;
  return invalid_event("checksum of an event of type " + std::to_string(header.type));
}

// log_pos is the end of the event modulo 4 GiB, or 0; the server may leave out events that were not asked for.
void EventStream::advance(const EventHeader& header) {
  uint64_t sum = offset_ + header.size;
  uint32_t ahead = header.log_pos - static_cast<uint32_t>(sum);
  if (header.log_pos == 0 || ahead >= kBackwards) ahead = 0;
  if (header.type == event::kFormatDescription && header.log_pos <= offset_) return;
  offset_ = header.type == event::kFormatDescription ? header.log_pos : sum + ahead;
}

namespace {
bool is_rows(uint8_t type) {
  return (type >= event::kWriteRowsV1 && type <= event::kDeleteRowsV1) ||
         (type >= event::kWriteRows && type <= event::kDeleteRows) || type == event::kPartialUpdateRows ||
         (type >= event::kMariaWriteCompressed && type <= event::kMariaDeleteCompressedV2);
}
}  // namespace

// Events that say nothing about data, and unknown ones.
Status EventStream::other(const EventHeader& header) const {
  switch (header.type) {
    case 0:
    case event::kStop:
    case event::kIntvar:
    case event::kRand:
    case event::kUserVar:
    case event::kIgnorable:
    case event::kRowsQuery:
    case event::kTransactionContext:
    case event::kViewChange:
    case event::kMariaAnnotate:
    case event::kMariaCheckpoint:
    case event::kMariaStartEncryption:
      return {};
    default:
      if ((header.flags & event::kFlagIgnorable) != 0) return {};
      return Error(ErrorCode::UNSUPPORTED, "events of type " + std::to_string(header.type) + " are not known");
  }
}

Status EventStream::dispatch(const EventHeader& header, std::string_view body, bool in_payload) {
  if (is_rows(header.type)) return rows(header, body);
  switch (header.type) {
    case event::kQuery:
      return query(header, body, false);
    case event::kMariaQueryCompressed:
      return query(header, body, true);
    case event::kRotate:
      return rotate(header, body);
    case event::kTableMap:
      return table_map(body);
    case event::kXid:
      return commit(header);
    case event::kXaPrepare:
      return xa_prepare(header, body);
    case event::kMariaGtid: {
      SLUICE_ASSIGN(Gtid gtid, parse_mariadb_gtid(body, header.server_id));
      return open_group(header, std::move(gtid));
    }
    case event::kGtid:
    case event::kAnonymousGtid: {
      SLUICE_ASSIGN(Gtid gtid, parse_mysql_gtid(body, header.type == event::kAnonymousGtid));
      return open_group(header, std::move(gtid));
    }
    case event::kGtidTagged: {
      SLUICE_ASSIGN(Gtid gtid, parse_mysql_tagged_gtid(body));
      return open_group(header, std::move(gtid));
    }
    case event::kTransactionPayload:
      if (in_payload) return invalid_event("a payload inside a payload");
      return for_each_payload_event(body, [this](std::string_view bytes) -> Status {
        SLUICE_ASSIGN(EventHeader inner, parse_header(bytes));
        return dispatch(inner, bytes.substr(EventHeader::kSize), true);
      });
    case event::kPreviousGtids:
      return previous_gtids(body, false);
    case event::kMariaGtidList:
      return header.artificial() ? Status() : previous_gtids(body, true);
    case event::kHeartbeat:
    case event::kHeartbeatV2:
      return heartbeat(header, body);
    case event::kIncident:
      return settings_.branches_only ? Status() : Status(incident(body));
    case event::kBeginLoad:
    case event::kExecuteLoad:
      return passed_over() ? Status() : Status(statement_in_log("LOAD DATA"));
    default:
      return other(header);
  }
}

Status EventStream::rotate(const EventHeader&, std::string_view body) {
  SLUICE_ASSIGN(Rotate rotate, parse_rotate(body));
  if (file_ != rotate.file) {
    SLUICE_TRY(drop_unfinished());
    file_ = std::string(rotate.file);
    offset_ = rotate.position;
    reported_ = 0;
    progress_ = true;
  } else if (!group_.open && rotate.position > offset_) {
    offset_ = rotate.position;
  }
  return {};
}

Status EventStream::format_description(std::string_view bytes) {
  SLUICE_ASSIGN(format_, parse_format_description(bytes));
  format_known_ = true;
  tables_.clear();  // ids begin anew with a server's start
  return drop_unfinished();
}

Status EventStream::heartbeat(const EventHeader& header, std::string_view body) {
  SLUICE_ASSIGN(Heartbeats beat, parse_heartbeat(body, header.type == event::kHeartbeatV2));
  if (group_.open) return {};
  if (beat.file == file_) {
    uint64_t position =
        beat.position.value_or(offset_ + static_cast<uint32_t>(header.log_pos - static_cast<uint32_t>(offset_)));
    bool backwards =
        !beat.position && static_cast<uint32_t>(header.log_pos - static_cast<uint32_t>(offset_)) >= kBackwards;
    if (position > offset_ && !backwards) offset_ = position;
  }
  settled_ = offset_;
  progress_ = true;
  return report_progress();
}

Status EventStream::incident(std::string_view body) const {
  Cursor cursor(body);
  uint16_t kind = cursor.u16();
  std::string message(cursor.bytes(cursor.u8()));
  return Error(ErrorCode::INCIDENT_IN_LOG,
               "incident " + std::to_string(kind) + (message.empty() ? "" : ": " + message));
}

Status EventStream::previous_gtids(std::string_view body, bool mariadb) {
  if (gtids_known_ || group_.open) return {};
  SLUICE_ASSIGN(gtids_, mariadb ? parse_mariadb_gtid_list(body) : parse_previous_gtids(body));
  gtids_known_ = true;
  return {};
}

Status EventStream::open_group(const EventHeader& header, Gtid gtid) {
  if (group_.open) return invalid_event("a transaction begins inside another");
  group_ = Group();
  group_.open = true;
  group_.bracketed = gtid.begins && !gtid.standalone;
  group_.alter_phase = gtid.alter_phase;
  group_.gtid = std::move(gtid.text);
  group_.time_us = gtid.commit_time_us != 0 ? gtid.commit_time_us : int64_t{header.timestamp} * 1'000'000;
  group_.server_id = header.server_id;
  if (gtid.prepared_xa) {
    group_.xa = true;
    xa_.start();
  }
  return {};
}

Status EventStream::begin_delivery() {
  if (group_.delivered) return {};
  group_.delivered = true;
  Begin begin;
  begin.gtid = group_.gtid;
  begin.commit_time_us = group_.time_us;
  begin.server_id = group_.server_id;
  return handler_->on_begin(begin);
}

Status EventStream::commit(const EventHeader& header) {
  if (!group_.open) return {};
  if (group_.xa) {  // ended in one phase
    group_.xa = false;
    group_.rows = 0;  // counted as they are delivered
    SLUICE_TRY(deliver_branch(xa_.take_started()));
  }
  if (gtids_known_ && !group_.gtid.empty()) gtids_ = gtids_after(gtids_, group_.gtid);
  tables_.end_statement();
  group_.open = false;
  settled_ = offset_;
  if (!group_.delivered) {
    progress_ = true;
    return {};
  }
  Commit commit;
  commit.gtid = group_.gtid;
  commit.file = file_;
  commit.offset = offset_;
  commit.gtids = gtids_;
  commit.commit_time_us = std::max(group_.time_us, int64_t{header.timestamp} * 1'000'000);
  commit.row_count = group_.rows;
  progress_ = false;
  reported_ = offset_;
  return handler_->on_commit(commit);
}

Status EventStream::rollback() {
  if (!group_.open) return {};
  if (group_.xa) xa_.take_started();
  if (gtids_known_ && !group_.gtid.empty()) gtids_ = gtids_after(gtids_, group_.gtid);
  tables_.end_statement();
  group_.open = false;
  settled_ = offset_;
  progress_ = true;
  return group_.delivered ? handler_->on_rollback() : Status();
}

// The server died while it wrote the group; the next file begins without it.
Status EventStream::drop_unfinished() {
  if (!group_.open) return {};
  if (group_.xa) xa_.take_started();
  tables_.end_statement();
  group_.open = false;
  return group_.delivered ? handler_->on_rollback() : Status();
}

Status decode_event_stream(std::string_view bytes, SchemaSource& source, BinlogHandler& handler) {
  if (bytes.starts_with("\xfe"
                        "bin"))
    bytes.remove_prefix(4);
  Collations collations;
  EventStream stream(source, collations, {});
  stream.start({"binlog.000001", 4, ""}, false);
  stream.set_handler(handler);
  while (!bytes.empty()) {
    if (bytes.size() < EventHeader::kSize) return invalid_event("the log ends inside an event's header");
    uint32_t size = 0;
    std::memcpy(&size, bytes.data() + 9, 4);
    if (size < EventHeader::kSize || size > bytes.size()) return invalid_event("the log ends inside an event");
    SLUICE_TRY(stream.event(bytes.substr(0, size)));
    bytes.remove_prefix(size);
  }
  return stream.report_progress();
}

}  // namespace sluice::mysql
