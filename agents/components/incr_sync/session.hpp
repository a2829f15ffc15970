// Session: follows the log from the recovered position until it is told to end, or something breaks; then everything
// starts again from the target's own rows. This is the dispatcher: it decides what may be applied, when, and in which
// mode. Blocking where it needs a database; used by one thread.
//
//   items of the Store -> events -> [consume: windows, definitions, DDL, limits] -> scheduler -> [dispatch] -> appliers
//        ^ credit comes back when the batches are let go                                 acks -> watermark
//
// Strictly, a DDL statement runs beside the appliers, behind a barrier for the tables that it concerns.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "agents/components/incr_sync/ddl_barrier.hpp"
#include "agents/components/incr_sync/ddl_order.hpp"
#include "agents/components/incr_sync/decisions.hpp"
#include "agents/components/incr_sync/job.hpp"
#include "agents/components/incr_sync/log_events.hpp"
#include "agents/components/incr_sync/window_marker.hpp"
#include "agents/components/incr_sync/windows.hpp"
#include "core/row_throttle.hpp"
#include "sinks/database/apply/definitions.hpp"
#include "sinks/database/apply/scheduler.hpp"
#include "sinks/database/apply/watermark.hpp"
#include "store/client/log_client.hpp"

namespace sluice::agents::incr_sync {

enum class SessionEnd : uint8_t { kFinished, kStopped, kRestart };

class Session {
 public:
  using SendGroup = std::function<void(uint32_t applier, std::shared_ptr<const database::Group>)>;
  using SendDdl = std::function<void(std::shared_ptr<const DdlOrder>)>;

  explicit Session(Job& job);

  // Takes over, recovers, opens connections. Blocking, before anything else.
  Status open();
  const Position& start() const { return start_; }
  std::vector<std::shared_ptr<database::Applier>> take_appliers() { return std::move(appliers_); }
  const std::shared_ptr<database::DdlRunner>& ddl() const { return ddl_; }
  bool runs_ddl() const { return barrier_.raised(); }
  // Connections of this epoch that an earlier session or process, or this one, left behind: what they have under way
  // ends.
  Status end_leftovers();
  void attach(std::shared_ptr<store::LogClient> client, SendGroup send, SendDdl send_ddl);

  // An error ends the session.
  Status on_item(const store::LogItem& item);
  Status on_applied(uint32_t applier, const database::Group& group, const Result<database::GroupResult>& result);
  Status on_stream_end(const Error& error);
  Status on_ddl(const Result<database::DdlOutcome>& outcome);
  Status on_desired(const cluster::v1::ComponentDesired& desired);
  Status on_tick();
  std::optional<SessionEnd> ended() const { return ended_; }
  // Breaks off the statements that run, which only their server can end otherwise. From any thread.
  void abort();

 private:
  using Clock = std::chrono::steady_clock;
  struct TableUse {  // what a schema id of the stream stands for now
    bool included = false;
    TableName source;
    SchemaPtr schema;
    std::optional<database::TablePlanPtr> plan;      // null: rows are passed over
    std::optional<database::TablePlanPtr> observer;  // for rows that the table's copy holds already
  };

  // session_open.cpp
  Status recover_rows();
  Status load_tables();
  void choose_start();
  Result<mysql::Connection*> control();
  Result<mysql::Connection*> target_catalog();
  Result<mysql::Connection*> source_catalog();
  Result<mysql::Connection*> source_data();

  // session_start.cpp
  bool seek(LogEvent& event);
  Status begin_here();

  // session.cpp
  Status advance();
  Status consume();
  Result<bool> read_batch();
  void dispatch();
  void send(uint32_t applier, std::shared_ptr<database::Group> group);
  bool quiet() const { return flying_ == 0 && scheduler_.empty() && !streaming_ && !barrier_.raised(); }
  std::optional<Position> limit() const;
  bool reached(const Position& position) const;
  std::optional<database::ConflictPolicy> decided_policy(const std::string& id) const;
  size_t idle_count() const;
  bool may_dispatch();

  // session_rows.cpp
  Result<bool> add_transaction(LogEvent& event);
  Result<bool> add_rows(LogEvent& event, database::Transaction& transaction);
  Result<TableUse*> use_of(uint64_t schema_id);
  struct RowsPlan {
    database::TablePlanPtr plan;  // null: the rows are passed over
    bool observe = false;
  };
  Result<std::optional<RowsPlan>> plan_rows(TableUse& use, uint64_t schema_id, const LogEvent& event);
  Result<database::TablePlanPtr> plan_of(TableUse& use, uint64_t schema_id, const LogEvent& event);
  Result<database::TablePlanPtr> observer_of(TableUse& use, uint64_t schema_id);
  Result<bool> stream_piece(LogEvent& event);
  bool may_be_known(const LogEvent& first) const;
  bool pass_piece(const LogEvent& event);
  bool waits_for_recopies();
  Status place_large_transaction(const LogEvent& event);

  // session_settle.cpp
  Status settle();
  Status settle_hold();
  Status settle_drain();
  void finish(SessionEnd how);
  void publish();

  // session_window.cpp
  Position window_end() const;
  Status close_window();
  Status prepare_recheck(const std::vector<database::RecheckRow>& rows);
  void wait_for_branches(const Error& pending);
  Status recheck_all();
  Status record_orphans();
  void end_snapshot();
  Status write_marker(const WindowMarker& marker, bool begun = false);
  Status become_strict();

  // session_recheck.cpp
  struct Rereading;
  Result<bool> recheck(const std::vector<database::RecheckRow>& rows, mysql::Connection* snapshot);
  Result<Rereading> collect_rereading(const std::vector<database::RecheckRow>& rows);
  Result<bool> find_sides(Rereading& reading);
  Status rewrite(const Rereading& reading, mysql::Connection& source, mysql::Connection& target);
  Result<bool> wait_for_definitions(const TableName& table);

  // session_barrier.cpp
  enum class DdlStep : uint8_t { kWait, kDone, kRunsBeside };
  Result<DdlStep> pass_ddl(LogEvent& event);
  Result<bool> can_run_beside(const LogEvent& event);
  Result<DdlStep> run_beside(LogEvent& event);
  Result<bool> barred(const LogEvent& event);

  // session_ddl.cpp
  Status check_large(const LogEvent& event) const;
  Result<bool> run_ddl(LogEvent& event);
  Result<bool> run_statement(const database::DdlEvent& ddl, const Position& end);
  Result<bool> decided_or(const database::DdlEvent& ddl, const Error& error);
  Result<std::optional<std::vector<TableName>>> absent_tables(const mysql::DdlStatement& statement);
  Status after_statement(const mysql::DdlStatement& statement, database::DdlOutcome outcome);
  database::DdlMode mode_of(const database::DdlEvent& ddl) const;
  Result<bool> carry_out(const database::DdlEvent& ddl, const mysql::DdlStatement& statement);
  Result<bool> across_border(const database::DdlEvent& ddl, const mysql::DdlStatement& statement);
  Status drop_tables(const database::DdlEvent& ddl, const std::vector<TableName>& tables);
  Status add_tables_of_log(const std::string& database, std::vector<TableName>& tables);
  Status need_copies(const std::vector<TableName>& tables, const std::string& reason);
  void wait_for_copies();
  void hear_of_copies();
  Status look_for_copies();
  void forget_definitions();

  Job& job_;
  std::shared_ptr<store::LogClient> client_;
  SendGroup send_;
  SendDdl send_ddl_;
  cluster::v1::ComponentDesired desired_;
  Decisions decisions_;
  std::optional<SessionEnd> ended_;

  std::unique_ptr<mysql::Connection> control_, target_catalog_, source_catalog_, source_data_;
  std::unique_ptr<mysql::Connection> snapshot_;  // of the source at snapshot_at_, while rows wait to be read again
  Position snapshot_at_;
  std::vector<std::shared_ptr<database::Applier>> appliers_;
  database::Definitions definitions_;
  std::shared_ptr<database::DdlRunner> ddl_;
  Windows windows_;
  std::vector<database::TableRow> tables_;

  struct PinnedBatch;
  std::deque<std::shared_ptr<const PinnedBatch>> batches_;  // not yet cut into events, which take more memory
  LogEvents events_;
  std::deque<LogEvent> queue_;
  database::Scheduler scheduler_;
  database::Watermark watermark_;
  std::unordered_map<uint64_t, TableUse> uses_;
  DdlBarrier barrier_;
  // The statement that waits at the front of the queue for its barrier, or runs behind it.
  struct Beside {
    std::shared_ptr<const DdlOrder> order;
    Concerned concerned;
    uint64_t number = 0;  // in the watermark
  };
  std::optional<Beside> beside_;
  std::optional<Error> stream_end_;  // the Store's stream ended while a statement runs
  std::vector<bool> idle_;
  size_t flying_ = 0;
  bool streaming_ = false;  // pieces of one transaction are under way
  bool streaming_plainly_ = false;
  bool passing_ = false;  // they are passed over, because the target holds them, or may
  std::string store_address_;

  Position start_;
  // Nothing is applied yet: the first transaction of the project's start time is looked for. When it is found the rows
  // say so, and the session starts again from them.
  bool seeking_ = false;
  bool found_ = false;  // it stands at the front of the queue
  Position consumed_;   // end of the last event that was taken from the queue
  Position changed_;    // end of the last one that changed something on the target
  Position seen_;       // everything up to here stands in the queue, or stood there
  Position item_end_;   // what the Store held when nothing was left to read
  bool item_caught_up_ = false;
  Position source_end_;
  int64_t source_asked_us_ = 0;
  Clock::time_point heard_;  // when the source said so
  bool streams_ = false;     // the Store has sent something
  Position persisted_;       // greatest low watermark in a committed row
  Position told_durable_;
  Clock::time_point checkpointed_, told_at_, looked_at_;
  int64_t caught_up_us_ = 0;

  bool window_ = true;
  bool window_closed_ = false;
  Position extended_end_;  // end of the last reading of rows again
  uint64_t marker_seq_ = 1;
  int recheck_rounds_ = 0;
  bool orphans_recorded_ = false;
  std::set<std::pair<TableName, std::string>> unmatched_columns_;  // of the target; see wait_for_definitions
  Clock::time_point recheck_not_before_;
  std::optional<Clock::time_point> branches_since_;  // prepared XA transactions keep the snapshot from being opened

  bool blocked_ = false;                   // the event at the front waits for copies
  std::set<TableName> owed_copies_;        // tables that a streamed transaction did not fit
  std::map<TableName, uint32_t> awaited_;  // tables, and the round that their copy must exceed
  std::optional<SessionEnd> leaving_;      // nothing new is dispatched; ends when nothing is in flight
  Clock::time_point leaving_since_;
  std::optional<SessionEnd> finishing_;
  uint64_t hold_seen_ = 0;  // id of the hold that is served
  bool hold_over_ = false;  // its patience is over
  Clock::time_point hold_until_;
  RowThrottle throttle_{std::chrono::seconds(1)};
};

}  // namespace sluice::agents::incr_sync
