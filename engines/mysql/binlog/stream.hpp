// EventStream: from events to transactions. It keeps the position, the table maps and the open group, and calls the
// handler. One thread; free of the network: tests and the fuzzer feed it bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engines/mysql/binlog/charset.hpp"
#include "engines/mysql/binlog/events.hpp"
#include "engines/mysql/binlog/image_decoder.hpp"
#include "engines/mysql/binlog/reader.hpp"
#include "engines/mysql/binlog/tables.hpp"
#include "engines/mysql/binlog/xa_branches.hpp"

namespace sluice::mysql {

// Gives a prepared branch that was not seen; null when the log does not hold it any more.
using FindBranch = std::function<Result<XaBranchPtr>(const std::string& xid, const Position& until)>;

struct StreamSettings {
  std::string system_time_zone = "+00:00";   // of the source, for statements that ran in SYSTEM
  std::string default_time_zone = "+00:00";  // for statements whose event names none
  bool folds_names = false;                  // the source keeps names in lower case
  bool pass_unknown_branches = false;        // as BinlogOptions
  bool branches_only = false;
  FindBranch find_branch;  // not set: none is found
};

class EventStream {
 public:
  EventStream(SchemaSource& source, const Collations& collations, StreamSettings settings)
      : settings_(std::move(settings)), collations_(collations), tables_(source, collations) {}

  // `gtids_known`: start.gtids is the whole executed set there (an empty one only when nothing was executed).
  void start(const Position& start, bool gtids_known);
  void set_handler(BinlogHandler& handler) { handler_ = &handler; }
  void keep(XaBranchPtr branch) { xa_.keep(std::move(branch)); }  // it is prepared at the start

  // One event as it came: header, body, checksum.
  Status event(std::string_view bytes);
  // Tells the handler of groups that were read and held nothing for it.
  Status report_progress();

  Position position() const { return {file_, offset_, gtids_}; }

 private:
  struct Group {
    bool open = false;
    bool delivered = false;  // on_begin was called
    bool bracketed = false;  // ends with XID, COMMIT or ROLLBACK; else with its one statement
    bool xa = false;
    uint8_t alter_phase = 0;
    std::string gtid;
    int64_t time_us = 0;
    uint32_t server_id = 0;
    uint64_t rows = 0;
    std::vector<std::pair<std::string, uint64_t>> savepoints;  // with the rows before them
  };

  // stream.cpp: framing
  Status checked_event(std::string_view bytes);
  Status dispatch(const EventHeader& header, std::string_view body, bool in_payload);
  Status other(const EventHeader& header) const;
  Result<std::string_view> strip_checksum(const EventHeader& header, std::string_view bytes) const;
  void advance(const EventHeader& header);
  Status rotate(const EventHeader& header, std::string_view body);
  Status format_description(std::string_view bytes);
  Status heartbeat(const EventHeader& header, std::string_view body);
  Status incident(std::string_view body) const;
  Status previous_gtids(std::string_view body, bool mariadb);
  Status open_group(const EventHeader& header, Gtid gtid);
  Status begin_delivery();
  Status commit(const EventHeader& header);
  Status rollback();
  Status drop_unfinished();
  // stream_statements.cpp: QUERY and XA
  Status query(const EventHeader& header, std::string_view body, bool compressed);
  Status statement(const EventHeader& header, const Query& query);
  Status ddl(const EventHeader& header, const Query& query);
  Status deliver_ddl(const EventHeader& header, const Query& query);
  Status roll_back_to(std::string_view sql);
  Status xa_prepare(const EventHeader& header, std::string_view body);
  Status xa_commit(const EventHeader& header, std::string_view sql);
  Status xa_rollback(const EventHeader& header, std::string_view sql);
  Result<XaBranchPtr> branch_to_commit(std::string_view sql);
  Status end_branch(const XaBranch& branch);
  Status deliver_branch(const XaBranch& branch);
  bool passed_over() const { return settings_.branches_only && !group_.xa; }
  Error statement_in_log(std::string_view sql) const;
  // stream_rows.cpp: table maps and rows
  Status table_map(std::string_view body);
  Status rows(const EventHeader& header, std::string_view body);
  Status decode_rows(Table& table, RowOp op, uint16_t flags, const uint8_t* before, const uint8_t* after,
                     std::string_view images);
  Status deliver_row(const Table& table, RowOp op, uint16_t flags, std::span<const ValueView> before,
                     std::span<const ValueView> after);
  size_t table_id_size(uint8_t type) const { return format_.post_header(type, 8) == 6 ? 4 : 6; }

  StreamSettings settings_;
  const Collations& collations_;
  BinlogHandler* handler_ = nullptr;
  Tables tables_;
  ImageDecoder decoder_;
  XaBranches xa_;
  FormatDescription format_;
  bool format_known_ = false;
  Group group_;
  std::string file_, gtids_;
  bool gtids_known_ = false;
  uint64_t offset_ = 0;    // end of the event that is being handled
  uint64_t settled_ = 0;   // end of the last group, or of what lies between groups
  bool progress_ = false;  // something was read since the handler last heard of a position
  uint64_t reported_ = 0;  // offset of that
  std::vector<ValueView> before_, after_;
  std::string inflated_, sql_text_;
};

// Decodes the events of a binlog file's content, with or without its magic number.
Status decode_event_stream(std::string_view bytes, SchemaSource& source, BinlogHandler& handler);

}  // namespace sluice::mysql
