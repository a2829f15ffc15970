// DdlRunner: DDL of the log on the target, journalled so that a restart knows whether it was done (exactness.md
// section 4). Blocking; one thread; the caller has drained every applier.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/record.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/dialect/ddl.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::database {

enum class DdlPolicy : uint8_t { kApply, kStop, kSkip };

// A statement of the log with the session it ran in; owns its texts.
struct DdlEvent {
  std::string position;  // journal key: unique and the same at every reading
  std::string database, sql;
  uint64_t sql_mode = 0;
  int64_t timestamp_us = 0;
  std::string collation_connection, collation_server, time_zone;
  bool foreign_key_checks = true;
  uint8_t explicit_defaults_for_timestamp = 2;
  static DdlEvent of(const Ddl& ddl, std::string position);
};

struct DdlOptions {
  Endpoint target;
  Owner owner;
  std::shared_ptr<Lease> lease;
  DdlPolicy policy = DdlPolicy::kApply;
  std::set<std::string, std::less<>> types;  // OMS names; empty = all
};

enum class DdlOutcome : uint8_t { kNothing, kApplied, kSkipped };

class DdlRunner {
 public:
  DdlRunner(DdlOptions options, const TableMapping& mapping) : options_(std::move(options)), mapping_(mapping) {}

  // At the start of a session: what an earlier one left.
  Status load_journal(mysql::Connection& control);
  // `window`: the statement stands inside the copy's window (foreign keys are added later, checks are off).
  Result<DdlOutcome> run(const DdlEvent& event, const mysql::DdlStatement& statement, bool window,
                         mysql::Connection& control);
  // A point at which a test ends the work: after the journal says kExecuting, after the statement, after kDone.
  enum class CrashPoint : uint8_t { kNone, kAfterExecuting, kAfterStatement, kAfterDone };
  CrashPoint crash_point = CrashPoint::kNone;

 private:
  struct Snapshot {
    std::map<std::string, std::pair<std::string, std::string>> tables;  // name -> definition, server's id
    std::string to_json() const;
    static Result<Snapshot> from_json(const std::string& text);
    bool operator==(const Snapshot&) const = default;
  };
  enum class Verdict : uint8_t { kDone, kNotDone, kUnknown };

  Result<DdlOutcome> execute(const DdlEvent& event, const mysql::DdlStatement& statement, std::string sql, bool window,
                             DdlRow row, mysql::Connection& control);
  Result<Snapshot> look(const mysql::DdlStatement& statement) const;
  Verdict decide(const mysql::DdlStatement& statement, const Snapshot& before, const Snapshot& now) const;
  Status prepare_session(mysql::Connection& session, const DdlEvent& event, bool window) const;
  std::string drop_again(const mysql::DdlStatement& statement) const;
  bool wanted(const mysql::DdlStatement& statement) const;
  Status journal(mysql::Connection& control, DdlRow& row, DdlState state);

  const DdlOptions options_;
  const TableMapping& mapping_;
  std::map<std::string, DdlRow> known_;
};

}  // namespace sluice::database
