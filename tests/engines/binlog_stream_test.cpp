// EventStream fed with events made by hand: framing, positions, and what real servers seldom write.
#include "engines/mysql/binlog/stream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

namespace sluice::mysql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NothingKnown : public SchemaSource {
 public:
  Result<SchemaPtr> table(const TableName&) override { return Error(ErrorCode::NOT_FOUND, "nothing is known"); }
};

class Notes : public BinlogHandler {
 public:
  Status on_begin(const Begin& begin) override { return note("begin " + std::string(begin.gtid)); }
  Status on_row(const SchemaPtr&, uint64_t, RowOp op, uint16_t flags, std::span<const ValueView> before,
                std::span<const ValueView> after) override {
    std::string text(1, " iud"[static_cast<int>(op)]);
    for (auto row : {before, after}) {
      for (const ValueView& v : row) text += v.null ? " null" : " " + std::to_string(v.i);
    }
    return note(text + (flags == 0 ? "" : " flags " + std::to_string(flags)));
  }
  Status on_ddl(const Ddl& ddl) override { return note("ddl " + std::string(ddl.sql)); }
  Status on_commit(const Commit& commit) override { return note("commit " + commit.position().to_string()); }
  Status on_rollback() override { return note("rollback"); }
  Status on_heartbeat(const Position& position) override { return note("at " + position.to_string()); }
  Status on_idle() override { return {}; }
  bool wants(std::string_view database, std::string_view) override { return database != "other"; }
  Status on_prepared(const XaBranchPtr& branch) override {
    return branches.push_back("prepared " + name(*branch)), Status();
  }
  Status on_branch_end(const XaBranch& branch, const Position&) override {
    return branches.push_back("end " + name(branch)), Status();
  }
  std::vector<std::string> notes, branches;

 private:
  static std::string name(const XaBranch& branch) {  // "1:61:" is a
    return branch.xid.size() < 4 ? branch.xid : std::string(1, static_cast<char>('a' + branch.xid[3] - '1'));
  }
  Status note(std::string text) {
    notes.push_back(std::move(text));
    return {};
  }
};

std::string le(uint64_t value, size_t size) { return std::string(reinterpret_cast<const char*>(&value), size); }

const std::string kSid = "0123456789abcdef";

class BinlogStream : public ::testing::Test {
 protected:
  void SetUp() override {
    stream_.set_handler(notes_);
    stream_.start({"binlog.000001", 4, ""}, true);
  }
  void start_again(StreamSettings settings) {
    std::destroy_at(&stream_);
    std::construct_at(&stream_, source_, collations_, std::move(settings));
    offset_ = 4;
    SetUp();
  }
  // Feeds one event; log_pos is its true end unless given.
  Status feed(uint8_t type, const std::string& body, uint16_t flags = 0, std::optional<uint32_t> log_pos = {}) {
    std::string event = le(1'700'000'000, 4) + le(type, 1) + le(9, 4);
    size_t size = EventHeader::kSize + body.size() + (checksums_ ? 4 : 0);
    if ((flags & event::kFlagArtificial) == 0) offset_ += size;
    event += le(size, 4) + le(log_pos.value_or(static_cast<uint32_t>(offset_)), 4) + le(flags, 2) + body;
    if (checksums_) event += le(crc32_z(0, reinterpret_cast<const Bytef*>(event.data()), event.size()), 4);
    return stream_.event(event);
  }
  void ok(const Status& status) { EXPECT_TRUE(status.ok()) << status.error().to_string(); }
  static std::string refusal(const Status& status) { return status.ok() ? "OK" : std::string(status.error().id()); }

  static std::string query(const std::string& sql) {
    return le(1, 4) + le(0, 4) + le(1, 1) + le(0, 2) + le(0, 2) + "d" + std::string(1, '\0') + sql;
  }
  static std::string maria_gtid(uint64_t number, uint8_t flags) {
    return le(number, 8) + le(0, 4) + le(flags, 1) + le(0, 6);
  }
  static std::string gtid(uint64_t number) { return le(1, 1) + kSid + le(number, 8); }
  // Two INT columns "a", "b" with full metadata.
  static std::string table_map(const std::string& database = "d", uint64_t id = 7) {
    return le(id, 6) + le(1, 2) + le(database.size(), 1) + database + le(0, 1) + le(1, 1) + "t" + le(0, 1) + le(2, 1) +
           "\3\3" + le(0, 1) + "\3" + le(1, 1) + le(1, 1) + le(0, 1) + le(4, 1) + le(4, 1) + "\1a\1b";
  }
  static std::string rows_v2(const std::string& bitmaps_and_rows, uint16_t flags = 1, uint64_t id = 7,
                             const std::string& extra = "") {
    return le(id, 6) + le(flags, 2) + le(2 + extra.size(), 2) + extra + le(2, 1) + bitmaps_and_rows;
  }
  static std::string row(uint32_t a, uint32_t b) { return le(0, 1) + le(a, 4) + le(b, 4); }
  Status begin(uint64_t number) {
    SLUICE_TRY(feed(event::kGtid, gtid(number)));
    return feed(event::kQuery, query("BEGIN"));
  }
  std::string here(const std::string& gtids = "") { return Position{"binlog.000001", offset_, gtids}.to_string(); }
  static std::string set(const std::string& numbers) { return "30313233-3435-3637-3839-616263646566:" + numbers; }

  NothingKnown source_;
  Collations collations_;
  Notes notes_;
  EventStream stream_{source_, collations_, {}};
  uint64_t offset_ = 4;
  bool checksums_ = false;
};

TEST_F(BinlogStream, AMySqlTransaction) {
  ok(begin(5));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2) + row(3, 4))));
  ok(feed(event::kXid, le(1, 8)));
  std::string end = here(set("5"));
  EXPECT_THAT(notes_.notes, ElementsAre("begin " + set("5"), "i 1 2", "i 3 4", "commit " + end));
  EXPECT_EQ(end, stream_.position().to_string());
}

TEST_F(BinlogStream, ExtraRowDataAndFlags) {
  ok(begin(1));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kDeleteRows, rows_v2("\3" + row(1, 2), 1 | 2 | 4 | 0x10, 7, le(1, 1) + le(3, 2))));
  EXPECT_EQ("d 1 2 flags 7", notes_.notes.back());
}

TEST_F(BinlogStream, AnAfterImageIsCompletedFromTheBeforeImage) {
  ok(begin(1));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kUpdateRows, rows_v2("\3\2" + row(1, 2) + le(0, 1) + le(9, 4))));
  EXPECT_EQ("u 1 2 1 9", notes_.notes.back());
  ok(feed(event::kTableMap, table_map()));
  EXPECT_EQ("BINLOG_FORMAT", refusal(feed(event::kUpdateRows, rows_v2("\1\3" + le(0, 1) + le(1, 4) + row(1, 2), 0))));
  EXPECT_EQ("BINLOG_FORMAT", refusal(feed(event::kWriteRows, rows_v2("\1" + le(0, 1) + le(1, 4), 0))));
  EXPECT_EQ("BINLOG_FORMAT", refusal(feed(event::kPartialUpdateRows, rows_v2("\3\3" + row(1, 2)))));
}

TEST_F(BinlogStream, DamagedRowsAreRefused) {
  ok(begin(1));
  ok(feed(event::kTableMap, table_map()));
  EXPECT_EQ("BINLOG_EVENT_INVALID", refusal(feed(event::kWriteRows, rows_v2("\3" + row(1, 2) + "x", 0))));
  EXPECT_EQ("BINLOG_EVENT_INVALID", refusal(feed(event::kWriteRows, rows_v2("\3" + row(1, 2), 0, 8))));
  EXPECT_EQ("SCHEMA_MISMATCH",
            refusal(feed(event::kWriteRows, le(7, 6) + le(0, 2) + le(2, 2) + le(3, 1) + "\7" + row(1, 2))));
}

TEST_F(BinlogStream, MapsEndWithTheirStatement) {
  ok(begin(1));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2), 0)));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2), 1)));
  EXPECT_EQ("BINLOG_EVENT_INVALID", refusal(feed(event::kWriteRows, rows_v2("\3" + row(1, 2), 1))));
}

TEST_F(BinlogStream, TheMiddleOfATransactionIsNoPlaceToStart) {
  Status status = feed(event::kTableMap, table_map());
  EXPECT_EQ("BINLOG_EVENT_INVALID", refusal(status));
  EXPECT_THAT(status.error().cause(), HasSubstr("border"));
}

TEST_F(BinlogStream, MariaDbGroups) {
  ok(feed(event::kMariaGtid, maria_gtid(1, 0x29)));
  ok(feed(event::kQuery, query("CREATE TABLE t (a INT)")));
  std::string first = here("0-9-1");
  ok(feed(event::kMariaGtid, maria_gtid(2, 0x0c)));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kWriteRowsV1, le(7, 6) + le(1, 2) + le(2, 1) + "\3" + row(1, 2)));
  ok(feed(event::kQuery, query("COMMIT")));
  EXPECT_THAT(notes_.notes, ElementsAre("begin 0-9-1", "ddl CREATE TABLE t (a INT)", "commit " + first, "begin 0-9-2",
                                        "i 1 2", "commit " + here("0-9-2")));
}

TEST_F(BinlogStream, ARolledBackGroupIsUndone) {
  ok(begin(1));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2))));
  ok(feed(event::kQuery, query("ROLLBACK")));
  ok(stream_.report_progress());
  EXPECT_THAT(notes_.notes, ElementsAre("begin " + set("1"), "i 1 2", "rollback", "at " + here(set("1"))));
}

TEST_F(BinlogStream, AGroupThatTheServerDidNotFinishIsDropped) {
  ok(begin(1));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2))));
  ok(feed(event::kRotate, le(4, 8) + "binlog.000002", event::kFlagArtificial));
  ok(stream_.report_progress());
  EXPECT_THAT(notes_.notes, ElementsAre("begin " + set("1"), "i 1 2", "rollback", "at binlog.000002:4"));
}

TEST_F(BinlogStream, WhatIsNotWantedMovesThePosition) {
  ok(begin(1));
  ok(feed(event::kTableMap, table_map("other")));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2) + "rubbish is not even read")));
  ok(stream_.report_progress());
  EXPECT_THAT(notes_.notes, IsEmpty());
  ok(feed(event::kXid, le(1, 8)));
  ok(stream_.report_progress());
  ok(stream_.report_progress());
  EXPECT_THAT(notes_.notes, ElementsAre("at " + here(set("1"))));
}

TEST_F(BinlogStream, OffsetsPassFourGibibytes) {
  stream_.start({"binlog.000001", 0xffffff00ULL, ""}, true);
  offset_ = 0xffffff00ULL;
  ok(feed(event::kRowsQuery, std::string(300, 'x')));
  ok(begin(1));
  ok(feed(event::kQuery, query("CREATE TABLE t (a INT)")));
  ok(feed(event::kXid, le(1, 8), 0, 0));  // a position that the server did not fill in
  EXPECT_GT(offset_, 1ULL << 32);
  EXPECT_EQ("commit " + here(set("1")), notes_.notes.back());
}

TEST_F(BinlogStream, LeftOutEventsAreCountedByTheServersPosition) {
  offset_ += 1'000'000;
  ok(begin(1));
  ok(feed(event::kQuery, query("COMMIT")));
  ok(stream_.report_progress());
  EXPECT_EQ("at " + here(set("1")), notes_.notes.back());
}

TEST_F(BinlogStream, Heartbeats) {
  ok(feed(event::kHeartbeat, "binlog.000001", 0, 5000));
  ok(feed(event::kHeartbeatV2,
          le(1, 1) + le(13, 1) + "binlog.000001" + le(2, 1) + le(9, 1) + "\xfe" + le(1ULL << 33, 8) + le(0, 1)));
  EXPECT_THAT(notes_.notes, ElementsAre("at binlog.000001:5000", "at binlog.000001:8589934592"));
  notes_.notes.clear();
  ok(begin(1));
  ok(feed(event::kHeartbeat, "binlog.000001", 0, 6000));
  EXPECT_THAT(notes_.notes, IsEmpty());
}

TEST_F(BinlogStream, XaBranchesWaitForTheirEnd) {
  auto prepare = [&](uint64_t number, const std::string& name, bool one_phase) {
    ok(feed(event::kGtid, gtid(number)));
    ok(feed(event::kQuery, query("XA START X'61',X'',1")));
    ok(feed(event::kTableMap, table_map()));
    ok(feed(event::kWriteRows, rows_v2("\3" + row(static_cast<uint32_t>(number), 0))));
    ok(feed(event::kQuery, query("XA END X'61',X'',1")));
    ok(feed(event::kXaPrepare, le(one_phase ? 1 : 0, 1) + le(1, 4) + le(1, 4) + le(0, 4) + name));
  };
  prepare(1, "a", false);
  prepare(2, "b", false);
  prepare(3, "c", true);
  EXPECT_THAT(notes_.notes, ElementsAre("begin " + set("3"), "i 3 0", "commit " + here(set("1-3"))));
  notes_.notes.clear();
  ok(feed(event::kGtid, gtid(4)));
  ok(feed(event::kQuery, query("XA COMMIT X'62',X'',1")));
  EXPECT_THAT(notes_.notes, ElementsAre("begin " + set("4"), "i 2 0", "commit " + here(set("1-4"))));
  ok(feed(event::kGtid, gtid(5)));
  ok(feed(event::kQuery, query("XA ROLLBACK X'61',X'',1")));
  ok(feed(event::kGtid, gtid(6)));
  Status unknown = feed(event::kQuery, query("XA COMMIT X'7a',X'',1"));
  EXPECT_EQ("POSITION_LOST", refusal(unknown));
  EXPECT_THAT(unknown.error().cause(), HasSubstr("no longer holds its XA PREPARE"));
  EXPECT_THAT(notes_.branches, ElementsAre("prepared a", "prepared b", "end b", "end a"));
}

TEST_F(BinlogStream, ABranchFromBeforeTheStart) {
  TableSchema schema;
  schema.columns = {Column{.name = "a"}};
  std::vector<ValueView> values{ValueView::of_int(5)};
  XaBranch before;
  before.prepared = {"binlog.000001", 3, ""};
  before.rows.push_back({std::make_shared<const TableSchema>(schema), 1, RowOp::kInsert, 0, {}, {}});
  before.rows[0].after = encode_row(schema, values);
  auto commit = [&](uint64_t number, const std::string& name) {
    ok(feed(event::kGtid, gtid(number)));
    ok(feed(event::kQuery, query("XA COMMIT X'" + name + "',X'',1")));
  };
  before.xid = xid_from_sql("XA COMMIT X'61',X'',1");
  stream_.keep(std::make_shared<const XaBranch>(before));
  commit(1, "61");
  EXPECT_THAT(notes_.notes, ElementsAre("begin " + set("1"), "i 5", "commit " + here(set("1"))));
  notes_.notes.clear();
  StreamSettings settings;
  settings.pass_unknown_branches = true;
  start_again(settings);
  commit(2, "62");
  ok(stream_.report_progress());
  EXPECT_THAT(notes_.notes, ElementsAre("at " + here(set("2"))));
}

// A reader of branches reads past everything else, whatever it is.
TEST_F(BinlogStream, BranchesOnly) {
  StreamSettings settings;
  settings.branches_only = true;
  start_again(settings);
  ok(begin(1));
  ok(feed(event::kQuery, query("INSERT INTO t VALUES (1)")));
  ok(feed(event::kTableMap, "not even read"));
  ok(feed(event::kXid, le(1, 8)));
  ok(feed(event::kGtid, gtid(2)));
  ok(feed(event::kQuery, query("CREATE TABLE t (a INT)")));
  ok(feed(event::kGtid, gtid(3)));
  ok(feed(event::kQuery, query("XA COMMIT X'62',X'',1")));
  ok(feed(event::kGtid, gtid(4)));
  ok(feed(event::kQuery, query("XA START X'61',X'',1")));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2))));
  ok(feed(event::kXaPrepare, le(0, 1) + le(1, 4) + le(1, 4) + le(0, 4) + "a"));
  EXPECT_THAT(notes_.notes, IsEmpty());
  EXPECT_THAT(notes_.branches, ElementsAre("prepared a"));
}

TEST_F(BinlogStream, OpenXaBranchesAreBounded) {
  ok(feed(event::kGtid, gtid(1)));
  ok(feed(event::kQuery, query("XA START X'61',X'',1")));
  std::string many;
  for (uint32_t i = 0; i < 200'000; ++i) many += row(i, i);
  Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) {
    ok(feed(event::kTableMap, table_map()));
    status = feed(event::kWriteRows, rows_v2("\3" + many));
  }
  EXPECT_EQ("UNSUPPORTED", refusal(status));
  EXPECT_THAT(status.error().cause(), HasSubstr("64 MiB"));
}

TEST_F(BinlogStream, Savepoints) {
  ok(begin(1));
  ok(feed(event::kQuery, query("SAVEPOINT `s`")));
  ok(feed(event::kQuery, query("ROLLBACK TO `s`")));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2))));
  EXPECT_EQ("UNSUPPORTED", refusal(feed(event::kQuery, query("ROLLBACK TO `s`"))));
}

// A branch's rows are kept until its end; they count all the same.
TEST_F(BinlogStream, SavepointsInsideABranch) {
  ok(feed(event::kGtid, gtid(1)));
  ok(feed(event::kQuery, query("XA START X'61',X'',1")));
  ok(feed(event::kQuery, query("SAVEPOINT `s`")));
  ok(feed(event::kQuery, query("ROLLBACK TO `s`")));
  ok(feed(event::kTableMap, table_map()));
  ok(feed(event::kWriteRows, rows_v2("\3" + row(1, 2))));
  EXPECT_EQ("UNSUPPORTED", refusal(feed(event::kQuery, query("ROLLBACK TO `s`"))));
}

TEST_F(BinlogStream, Refusals) {
  EXPECT_EQ("INCIDENT_IN_LOG", refusal(feed(event::kIncident, le(1, 2) + le(4, 1) + "lost")));
  EXPECT_EQ("UNSUPPORTED", refusal(feed(99, "?")));
  EXPECT_EQ("OK", refusal(feed(99, "?", event::kFlagIgnorable)));
  EXPECT_EQ("STATEMENT_IN_LOG", refusal(feed(event::kExecuteLoad, "")));
  ok(begin(1));
  Status status = feed(event::kQuery, query("INSERT INTO t VALUES (1)"));
  EXPECT_EQ("STATEMENT_IN_LOG", refusal(status));
  EXPECT_EQ("binlog.000001:" + std::to_string(offset_), status.error().position());
  EXPECT_EQ("BINLOG_EVENT_INVALID", refusal(feed(event::kGtid, gtid(2))));
}

TEST_F(BinlogStream, ChecksumsAreVerified) {
  std::string versions = le(4, 2) + std::string("8.4.0") + std::string(45, '\0') + le(0, 4) + le(19, 1);
  std::string lengths(40, '\0');
  lengths[event::kTableMap - 1] = 8;
  for (uint8_t type : {event::kWriteRows, event::kUpdateRows, event::kDeleteRows}) lengths[type - 1U] = 10;
  checksums_ = true;
  ok(feed(event::kFormatDescription, versions + lengths + le(1, 1)));
  ok(begin(1));
  checksums_ = false;
  EXPECT_EQ("BINLOG_EVENT_INVALID", refusal(feed(event::kXid, le(1, 8) + "????")));
}

TEST_F(BinlogStream, PayloadsAreUnpacked) {
  auto inner = [](uint8_t type, const std::string& body) {
    return le(1'700'000'000, 4) + le(type, 1) + le(9, 4) + le(EventHeader::kSize + body.size(), 4) + le(0, 4) +
           le(0, 2) + body;
  };
  std::string events = inner(event::kQuery, query("BEGIN")) + inner(event::kTableMap, table_map()) +
                       inner(event::kWriteRows, rows_v2("\3" + row(1, 2))) + inner(event::kXid, le(1, 8));
  ok(feed(event::kGtid, gtid(1)));
  ok(feed(event::kTransactionPayload, le(2, 1) + le(3, 1) + "\xfc" + le(255, 2) + le(0, 1) + events));
  EXPECT_THAT(notes_.notes, ElementsAre("begin " + set("1"), "i 1 2", "commit " + here(set("1"))));
  EXPECT_FALSE(feed(event::kTransactionPayload, le(2, 1) + le(1, 1) + le(0, 1) + le(0, 1) + "no zstd").ok());
}

TEST_F(BinlogStream, DdlHasItsSurroundings) {
  class Surroundings : public Notes {
   public:
    Status on_ddl(const Ddl& ddl) override {
      text = std::string(ddl.database) + "|" + std::string(ddl.sql) + "|" + std::to_string(ddl.sql_mode) + "|" +
             std::string(ddl.character_set_client) + "|" + std::string(ddl.collation_connection) + "|" +
             std::string(ddl.collation_server) + "|" + std::string(ddl.default_collation_utf8mb4) + "|" +
             std::string(ddl.time_zone) + "|" + std::to_string(ddl.foreign_key_checks) + "|" +
             std::to_string(ddl.explicit_defaults_for_timestamp) + "|" + std::to_string(ddl.timestamp_us);
      return {};
    }
    std::string text;
  } handler;
  stream_.set_handler(handler);
  std::string status = le(0, 1) + le(1U << 26, 4) + le(1, 1) + le(4, 8) + le(6, 1) + "\3std" + le(4, 1) + le(8, 2) +
                       le(33, 2) + le(46, 2) + le(5, 1) + "\6SYSTEM" + le(12, 1) + le(1, 1) + "d" + le(0, 1) +
                       le(16, 1) + le(1, 1) + le(18, 1) + le(255, 2) + le(128, 1) + le(123456, 3) + le(99, 1) +
                       "unknown";
  ok(feed(event::kQuery, le(1, 4) + le(0, 4) + le(1, 1) + le(0, 2) + le(status.size(), 2) + status + "d" + le(0, 1) +
                             "CREATE TABLE \xe4 (a INT)"));
  EXPECT_EQ(
      "d|CREATE TABLE ä (a INT)|4|latin1|utf8mb3_general_ci|utf8mb4_bin|utf8mb4_0900_ai_ci|+00:00|0|1|1700000000123456",
      handler.text);
}

TEST_F(BinlogStream, TwoPhaseAlter) {
  auto alter = [&](uint64_t number, uint8_t phase) {
    ok(feed(event::kMariaGtid, maria_gtid(number, 0x29) + le(phase, 1) + (phase == kStartAlter ? "" : le(1, 8))));
    ok(feed(event::kQuery, query("ALTER TABLE t ADD b INT")));
  };
  alter(1, kStartAlter);
  alter(2, kStartAlter);
  alter(3, kRollbackAlter);
  EXPECT_THAT(notes_.notes, IsEmpty());
  alter(4, kCommitAlter);
  EXPECT_THAT(notes_.notes, ElementsAre("begin 0-9-4", "ddl ALTER TABLE t ADD b INT", "commit " + here("0-9-4")));
}

TEST_F(BinlogStream, MySqlCreateSelectLosesItsInternalClause) {
  ok(begin(1));
  ok(feed(event::kQuery, query("CREATE TABLE t (a INT) START TRANSACTION")));
  EXPECT_EQ("ddl CREATE TABLE t (a INT)", notes_.notes.back());
}

}  // namespace
}  // namespace sluice::mysql
