// Applier: applies groups of transactions over one registered connection, each group in one target transaction that
// ends with the applier's checkpoint row. Blocking; used by one thread.
//
// Nothing is decided here after a lost answer: any lost connection is an error, and the session starts again from the
// rows, read FOR UPDATE, which waits for a COMMIT that is still on its way (exactness.md section 1).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engines/mysql/server_watch.hpp"
#include "sinks/database/apply/cascades.hpp"
#include "sinks/database/apply/merge.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::database {

struct ApplyOptions {
  Endpoint target;
  Owner owner;
  std::shared_ptr<Lease> lease;
  ConflictPolicy on_conflict = ConflictPolicy::kStop;
  // Of the target: a statement may be silent for as long as the server is alive. Without it, for two minutes.
  std::shared_ptr<mysql::ServerWatch> watch;
};

// What one applier is asked to do next. An empty group only writes the checkpoint.
struct Group {
  TransactionGroup transactions;
  Position low_watermark;
  std::vector<std::string> applied;  // of this applier, above the low watermark, this group included
  std::shared_ptr<const CascadeGraph> cascades;
  // A transaction above the budget comes in pieces: several groups, one target transaction.
  bool first_piece = true, last_piece = true;
  bool plainly = false;                       // as logged, statement by statement
  std::optional<ConflictPolicy> on_conflict;  // for this group instead of the project's
};

struct GroupResult {
  uint64_t rows = 0;
  std::vector<std::string> conflicts;  // resolved as the policy says, for display
  uint64_t conflicts_skipped = 0;      // of them, rows that were left as they were
};

class Applier {
 public:
  // `seq` is what the applier's row holds.
  static Result<std::unique_ptr<Applier>> open(const ApplyOptions& options, uint32_t number, uint64_t seq);

  // Success: committed (a piece that is not the last: executed). ROW_CONFLICT of a piece that was merged asks for the
  // same transaction again, plainly. Every error leaves nothing of the group behind, unless the connection is lost.
  Result<GroupResult> apply(const Group& group);

  // Breaks the connection, so that a call that waits for a dead target returns. From any thread.
  void abort();

  uint32_t number() const { return number_; }
  uint64_t connection_id() const { return connection_->id(); }

 private:
  struct Packet {
    std::string sql;
    std::vector<const Statement*> statements;  // per statement of the packet; null: not counted
    size_t guard_from = SIZE_MAX;              // index of the checkpoint's statements
  };
  Applier(const ApplyOptions& options, uint32_t number, uint64_t seq) : options_(options), number_(number), seq_(seq) {}

  Result<GroupResult> apply_merged(const Group& group);
  Result<GroupResult> apply_plainly(const Group& group);
  // Opens the target transaction when something must be read in it first; true when it is open.
  Result<bool> begin(const Group& group);
  Result<std::vector<Packet>> packets_of(const Group& group, const std::vector<Statement>& statements, bool begun);
  Status run_packet(const Packet& packet);
  Result<mysql::ExecResult> send(const Statement& statement);
  // What the plain statements of a group met; recorded in its target transaction.
  struct Outcome {
    GroupResult result;
    std::vector<ConflictRow> conflicts;
  };
  Status run_plain(const Group& group, const Statement& statement, Outcome& outcome);
  Status resolve(const Group& group, const Statement& statement, const Error& why, Outcome& outcome);
  Status overwrite(const Statement& statement);
  Status set_foreign_key_checks(bool on);
  Status commit(const Group& group);
  Error guard_failed();
  void roll_back();
  std::string checkpoint_of(const Group& group) const;

  const ApplyOptions options_;
  const uint32_t number_;
  uint64_t seq_;
  mysql::WatchedConnection connection_;
  int foreign_key_checks_ = -1;  // of the session; -1 = not known
  bool lenient_ = false;         // a packet was sent that makes the session so for a while
};

}  // namespace sluice::database
