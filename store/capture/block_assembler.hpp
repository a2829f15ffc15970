// BlockAssembler: turns the events of a source's log into blocks. Used by the thread that reads the log.
//
// A block is handed on when it has reached its size, when the source has nothing more to send, or a few milliseconds
// after its first commit. What is complete is never held back by a transaction that is still open. Transactions of
// which nothing is in scope leave no records; the position still advances, at least once a second, by a heartbeat.
//
// Every connection to a source begins by reading the last known transaction again (exactness.md section 5): until it
// has come and its digest is the same, nothing is handed on. SOURCE_DIVERGED when it is another one or does not come.
#pragma once

#include <functional>
#include <optional>
#include <unordered_set>
#include <vector>

#include "core/clock.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/binlog/reader.hpp"
#include "engines/mysql/dialect/ddl.hpp"
#include "store/capture/block_sink.hpp"
#include "store/capture/prepared_branches.hpp"
#include "store/capture/transaction_digest.hpp"
#include "store/serve/source_state.hpp"

namespace sluice::store {

struct AssemblerOptions {
  size_t block_bytes = 256 << 10;
  std::chrono::milliseconds flush_after{5};
  std::chrono::milliseconds heartbeat_every{1000};
  Clock* clock = nullptr;  // null: system_clock()
};

class BlockAssembler final : public mysql::BinlogHandler {
 public:
  // Called for every statement that concerns the scope, before it is added, once. Gives rows for the log to keep.
  using DdlSeen = std::function<std::vector<KeptRow>(const mysql::DdlStatement&, const Ddl&)>;

  BlockAssembler(const AssemblerOptions& options, const TableMapping& scope, const SourceState& source, BlockSink& sink,
                 DdlSeen ddl_seen);

  // Events follow. The log was read up to `position`; `last`, when known, comes again and is checked.
  void connected(const Position& position, const LastTransaction& last);
  // The connection is gone: hands on what is complete and forgets the rest.
  Status disconnected();

  const Position& position() const { return position_; }  // read up to here, nothing open
  // What the next connection needs: the log was handed on up to emitted(), the last transaction is handed_last(), and
  // what of the XA branches is known.
  const Position& emitted() const { return emitted_; }
  const LastTransaction& handed_last() const { return last_; }
  PreparedBranches& branches() { return branches_; }
  bool checking() const { return expected_.has_value(); }    // the last transaction has not come yet
  const std::string& current_gtid() const { return gtid_; }  // of the open transaction

  Status on_begin(const Begin& begin) override;
  Status on_row(const SchemaPtr& schema, uint64_t schema_id, RowOp op, uint16_t flags,
                std::span<const ValueView> before, std::span<const ValueView> after) override;
  Status on_ddl(const Ddl& ddl) override;
  Status on_unreadable_ddl(const Ddl& ddl, const Error& why) override;
  Status on_commit(const Commit& commit) override;
  Status on_rollback() override;
  Status on_prepared(const mysql::XaBranchPtr& branch) override { return branches_.prepared(branch), Status(); }
  Status on_branch_end(const mysql::XaBranch& branch, const Position& end) override {
    return branches_.ended(branch, end), Status();
  }
  Status on_heartbeat(const Position& position) override;
  Status on_idle() override;
  bool wants(std::string_view database, std::string_view table) override { return scope_.includes(database, table); }

 private:
  void open_transaction();
  Status grow();
  Status compare(const Commit& commit);
  Error diverged(std::string cause) const;
  Status pass_empty(const Commit& commit);
  Status flush_complete();
  Status emit(BatchBuilder& builder);
  Status emit_before_open(BatchBuilder& complete);
  Status split(BatchBuilder& complete);
  void add_heartbeat(BatchBuilder& builder) const;
  Status heartbeat_if_due();
  std::chrono::nanoseconds now() const { return clock_.boot_time(); }

  const AssemblerOptions options_;
  Clock& clock_;
  const TableMapping& scope_;
  const SourceState& source_;
  BlockSink& sink_;
  DdlSeen ddl_seen_;

  Position position_;
  Position emitted_;      // position of the last block
  LastTransaction last_;  // of what was handed on or passed over
  std::optional<LastTransaction> expected_;
  PreparedBranches branches_;
  std::vector<KeptRow> kept_;  // since the last block

  BatchBuilder builder_;   // complete transactions, then the open one
  bool complete_ = false;  // the builder holds something complete
  std::chrono::nanoseconds complete_since_{0};
  std::chrono::nanoseconds emitted_at_{0};
  TransactionDigest digest_;               // of what was handed on
  std::optional<LastTransaction> passed_;  // a transaction without records after all that are in the builder

  bool in_transaction_ = false;
  bool in_builder_ = false;  // the open transaction's Begin was added
  bool spans_ = false;       // parts of it were handed on
  std::string gtid_;
  Begin begin_;                        // its gtid is gtid_
  std::vector<TableNews> table_news_;  // since the last block
  size_t news_before_ = 0;             // how many of them are older than the open transaction
  std::unordered_set<uint64_t> announced_;
  uint64_t announced_last_ = 0;
};

}  // namespace sluice::store
