// DdlRunner: DDL of the log on the target, journalled so that a restart knows whether it was done (exactness.md
// section 4), and what the operator decided about it. Blocking; one thread at a time; the caller has drained what
// touches the tables concerned.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/record.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/dialect/ddl.hpp"
#include "sinks/database/apply/ddl_snapshot.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::database {

enum class DdlPolicy : uint8_t { kApply, kStop, kSkip };

// A statement of the log with the session it ran in; owns its texts.
struct DdlEvent {
  std::string position;  // journal key: unique and the same at every reading
  std::string database, sql;
  uint64_t sql_mode = 0;
  int64_t timestamp_us = 0;
  std::string collation_connection, collation_server, default_collation_utf8mb4, time_zone;
  bool foreign_key_checks = true;
  uint8_t explicit_defaults_for_timestamp = 2;
  static DdlEvent of(const Ddl& ddl, std::string position);
};

// An operator's word on one statement. It is carried out once: the journal remembers its identity.
struct DdlDecision {
  enum class What : uint8_t { kSkip, kDone, kRetry, kReplace } what = What::kSkip;
  std::string statement;  // kReplace: what runs on the target instead, with the target's names
  std::string identity;   // of this decision; the same at every start
};

// A point at which a test ends the work: after the journal says kBefore, kExecuting, after the statement, after kDone.
enum class DdlCrash : uint8_t { kNone, kAfterBefore, kAfterExecuting, kAfterStatement, kAfterDone };

struct DdlOptions {
  Endpoint target;
  Owner owner;
  std::shared_ptr<Lease> lease;
  DdlPolicy policy = DdlPolicy::kApply;
  std::set<std::string, std::less<>> types;  // OMS names; empty = all
  DdlCrash crash = DdlCrash::kNone;          // for tests
};

enum class DdlOutcome : uint8_t { kNothing, kApplied, kSkipped };

struct DdlMode {
  bool window = false;                  // inside the copy's window: foreign keys are added later, checks are off
  std::vector<TableName> neighbours;    // on the target: tables that the statement concerns without naming them
  std::optional<DdlDecision> decision;  // the operator's on this statement
};

class DdlRunner {
 public:
  DdlRunner(DdlOptions options, const TableMapping& mapping) : options_(std::move(options)), mapping_(mapping) {}

  // At the start of a session: what an earlier one left.
  Status load_journal(mysql::Connection& control);
  // Whether the journal remembers a decision on the statement at this position.
  bool was_decided(const std::string& position) const;

  Result<DdlOutcome> run(const DdlEvent& event, const mysql::DdlStatement& statement, const DdlMode& mode,
                         mysql::Connection& control);
  // run() over connections of its own; what it waits for ends with abort().
  Result<DdlOutcome> run_beside(const DdlEvent& event, const mysql::DdlStatement& statement, const DdlMode& mode);
  // For a statement that cannot be run as the log has it: what the journal or the operator says of it; none: nothing
  // yet. `only_skip`: no other decision counts.
  Result<std::optional<DdlOutcome>> decided(const DdlEvent& event, const DdlMode& mode, bool only_skip,
                                            mysql::Connection& control);

  // Ends what is under way, and what begins later: connections are broken. From any thread.
  void abort();

 private:
  class Running {  // makes a session known to abort() while it is used
   public:
    Running(DdlRunner& runner, mysql::Connection& session);
    ~Running();
    Running(const Running&) = delete;

   private:
    DdlRunner& runner_;
    mysql::Connection& session_;
  };
  struct Task {  // what is run on the target
    const DdlEvent& event;
    const mysql::DdlStatement& statement;
    std::string sql;
    std::string default_database;
  };

  const DdlRow* known(const DdlEvent& event) const;
  const DdlDecision* pending(const DdlEvent& event, const DdlMode& mode) const;
  Result<std::optional<DdlOutcome>> settle(const DdlEvent& event, DdlState state, const DdlDecision& decision,
                                           mysql::Connection& control);
  Result<DdlOutcome> replace(const DdlEvent& event, const DdlDecision* decision, const DdlMode& mode,
                             mysql::Connection& control);
  Result<DdlOutcome> begin(const Task& task, const DdlMode& mode, const std::vector<TableName>& named,
                           const std::string& decision, mysql::Connection& control);
  Result<DdlOutcome> recover(const Task& task, const DdlMode& mode, DdlRow row, mysql::Connection& control);
  Result<DdlOutcome> execute(const Task& task, const DdlMode& mode, DdlRow row, mysql::Connection& control);
  Result<std::unique_ptr<mysql::Connection>> catalog() const;
  std::vector<TableName> named_by(const mysql::DdlStatement& statement) const;
  Status prepare_session(mysql::Connection& session, const Task& task, bool window) const;
  std::string drop_again(const mysql::DdlStatement& statement) const;
  bool wanted(const mysql::DdlStatement& statement) const;
  Status journal(mysql::Connection& control, DdlRow& row, DdlState state);

  const DdlOptions options_;
  const TableMapping& mapping_;
  std::map<std::string, DdlRow> known_;
  std::mutex mutex_;
  std::set<mysql::Connection*> running_;
  bool aborted_ = false;
};

}  // namespace sluice::database
