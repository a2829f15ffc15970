#include "store/capture/block_assembler.hpp"

#include "store/ddl_scope.hpp"
#include "store/log/reencode.hpp"

namespace sluice::store {

BlockAssembler::BlockAssembler(const AssemblerOptions& options, const TableMapping& scope, const SourceState& source,
                               BlockSink& sink, DdlSeen ddl_seen)
    : options_(options),
      clock_(options.clock ? *options.clock : system_clock()),
      scope_(scope),
      source_(source),
      sink_(sink),
      ddl_seen_(std::move(ddl_seen)) {}

void BlockAssembler::connected(const Position& position, const LastTransaction& last,
                               std::function<Position()> safe_resume) {
  position_ = emitted_ = began_ = position;
  last_ = handed_last_ = last;
  expected_.reset();
  if (last.known()) expected_ = last;
  safe_resume_ = std::move(safe_resume);
  announced_.clear();
  announced_last_ = 0;
  emitted_at_ = now();
}

Status BlockAssembler::disconnected() {
  auto flushed = expected_ ? Status() : flush_complete();
  if (flushed.ok() && spans_) flushed = sink_.discard_open();
  builder_ = BatchBuilder();
  complete_ = in_transaction_ = in_builder_ = spans_ = false;
  passed_.reset();
  gtid_.clear();
  safe_resume_ = nullptr;
  return flushed;
}

Error BlockAssembler::diverged(std::string cause) const {
  return Error(ErrorCode::SOURCE_DIVERGED, std::move(cause), {},
               expected_ ? expected_->end.to_string() : std::string());
}

Status BlockAssembler::on_begin(const Begin& begin) {
  in_transaction_ = true;
  in_builder_ = spans_ = false;
  gtid_ = std::string(begin.gtid);
  begin_ = begin;
  begin_.gtid = gtid_;
  return {};
}

void BlockAssembler::open_transaction() {
  if (in_builder_) return;
  builder_.add(begin_);
  in_builder_ = true;
}

Status BlockAssembler::on_row(const SchemaPtr& schema, uint64_t schema_id, RowOp op, uint16_t flags,
                              std::span<const ValueView> before, std::span<const ValueView> after) {
  open_transaction();
  if (schema_id != announced_last_ && !expected_) {
    announced_last_ = schema_id;
    if (announced_.insert(schema_id).second) new_schemas_.push_back(schema);
  }
  builder_.add_row(*schema, schema_id, op, flags, before, after);
  return builder_.size() >= options_.block_bytes ? grow() : Status();
}

Status BlockAssembler::on_ddl(const Ddl& ddl) {
  auto statement = mysql::parse_ddl(ddl.sql, ddl.database, ddl.sql_mode);
  if (statement.ok()) {
    if (!ddl_in_scope(statement.value(), scope_)) return {};
    if (statement->kind == mysql::DdlKind::kDataChange)
      return Error(ErrorCode::STATEMENT_IN_LOG, std::string(ddl.sql.substr(0, 200)),
                   statement->tables.empty() ? std::string(ddl.database) : statement->tables[0].source.to_string(),
                   position_.to_string());
    if (ddl_seen_) ddl_seen_(statement.value());
  }
  announced_.clear();  // tables may have another definition from now on, which has to be named again
  announced_last_ = 0;
  open_transaction();
  builder_.add(ddl);
  return builder_.size() >= options_.block_bytes ? grow() : Status();
}

// The builder has reached a block's size inside a transaction.
Status BlockAssembler::grow() {
  if (expected_) {
    // The transaction that is read again is only digested.
    SLUICE_ASSIGN(auto batch, Batch::open(builder_.finish()));
    return batch.for_each([&](const RecordView& record) -> Status { return digest_.add(record), Status(); });
  }
  if (complete_) {
    SLUICE_TRY(flush_complete());
    if (builder_.size() < options_.block_bytes) return {};
  }
  if (!spans_ && can_heartbeat()) {
    // Readers do not see where a transaction ends that comes in parts, but must see that it begins behind this.
    BatchBuilder before;
    add_heartbeat(before);
    SLUICE_TRY(emit(before));
  }
  SLUICE_TRY(emit(builder_));
  spans_ = true;
  return {};
}

Status BlockAssembler::on_commit(const Commit& commit) {
  in_transaction_ = false;
  if (expected_) return compare(commit);
  bool written = in_builder_;
  in_builder_ = false;
  if (!written) return pass_empty(commit);
  builder_.add(commit);
  position_ = commit.position();
  passed_.reset();
  gtid_.clear();
  if (!complete_) complete_since_ = now();
  complete_ = true;
  if (spans_ || builder_.size() >= options_.block_bytes || now() - complete_since_ >= options_.flush_after) {
    spans_ = false;
    return flush_complete();
  }
  return {};
}

// A transaction without records still is the last one that was read.
Status BlockAssembler::pass_empty(const Commit& commit) {
  TransactionDigest digest;
  digest.add(begin_);
  digest.add(commit);
  LastTransaction passed{position_, commit.position(), digest.value()};
  position_ = passed.end;
  passed_ = std::move(passed);
  gtid_.clear();
  if (complete_ && now() - complete_since_ >= options_.flush_after) return flush_complete();
  return heartbeat_if_due();
}

// A transaction that was read before. Everything up to the last one comes again; the last one must be the same.
Status BlockAssembler::compare(const Commit& commit) {
  auto order = compare_in_log(commit.position(), expected_->end);
  if (order > 0) return diverged("the source goes on without the last transaction that was read");
  if (!in_builder_) builder_.add(begin_);
  in_builder_ = false;
  builder_.add(commit);
  gtid_.clear();
  SLUICE_ASSIGN(auto batch, Batch::open(builder_.finish()));
  SLUICE_TRY(batch.for_each([&](const RecordView& record) -> Status { return digest_.add(record), Status(); }));
  if (order < 0) return {};
  if (digest_.value() != expected_->digest) return diverged("the last transaction that was read is another one now");
  expected_.reset();
  return {};
}

Status BlockAssembler::on_rollback() {
  in_transaction_ = false;
  gtid_.clear();
  if (expected_) {
    builder_ = BatchBuilder();
  } else if (spans_) {
    builder_ = BatchBuilder();
    SLUICE_TRY(sink_.discard_open());
  } else if (in_builder_) {
    BatchBuilder complete;
    SLUICE_TRY(split(complete));
    builder_ = std::move(complete);
  }
  in_builder_ = spans_ = false;
  return {};
}

Status BlockAssembler::on_heartbeat(const Position& position) {
  if (expected_) {
    if (compare_in_log(position, expected_->end) > 0) return diverged("the last transaction that was read is gone");
    return {};
  }
  if (in_transaction_) return {};
  if (compare_in_log(position, position_) > 0) position_ = position;
  if (complete_) SLUICE_TRY(flush_complete());
  return heartbeat_if_due();
}

Status BlockAssembler::on_idle() {
  if (expected_) return {};
  if (complete_) SLUICE_TRY(flush_complete());
  return heartbeat_if_due();
}

Status BlockAssembler::heartbeat_if_due() {
  if (in_transaction_ || complete_ || now() - emitted_at_ < options_.heartbeat_every || !can_heartbeat()) return {};
  add_heartbeat(builder_);
  return emit(builder_);
}

// Whether there is something to tell: the log was read further than what was handed on.
bool BlockAssembler::can_heartbeat() const {
  if (position_ == emitted_) return false;
  // No transaction is known by which a reader could start before a prepared XA branch: stay before it.
  return last_.known() || passed_ || !safe_resume_ || compare_in_log(safe_resume_(), position_) >= 0;
}

void BlockAssembler::add_heartbeat(BatchBuilder& builder) const {
  auto sample = source_.get();
  Heartbeat heartbeat;
  heartbeat.file = position_.file;
  heartbeat.offset = position_.offset;
  heartbeat.gtids = position_.gtids;
  heartbeat.source_time_us = sample.asked_us;
  heartbeat.end_file = sample.end.file;
  heartbeat.end_offset = sample.end.offset;
  builder.add(heartbeat);
}

// Moves what is complete out of the builder; the open transaction's part stays.
Status BlockAssembler::split(BatchBuilder& complete) {
  SLUICE_ASSIGN(auto batch, Batch::open(builder_.finish()));
  BatchBuilder open;
  SLUICE_TRY(split_open(batch, complete, open));
  builder_ = std::move(open);
  return {};
}

Status BlockAssembler::flush_complete() {
  if (!complete_) return {};
  if (!in_builder_) {
    if (passed_) add_heartbeat(builder_);
    return emit(builder_);
  }
  BatchBuilder complete;
  SLUICE_TRY(split(complete));
  if (passed_) add_heartbeat(complete);
  return emit(complete);
}

Status BlockAssembler::emit(BatchBuilder& builder) {
  SLUICE_ASSIGN(auto batch, Batch::open(builder.finish()));
  SLUICE_TRY(batch.for_each([&](const RecordView& record) -> Status {
    digest_.add(record);
    if (auto* commit = std::get_if<Commit>(&record)) {
      last_ = {last_.known() ? last_.end : began_, commit->position(), digest_.value()};
      emitted_ = last_.end;
    } else if (auto* heartbeat = std::get_if<Heartbeat>(&record)) {
      emitted_ = heartbeat->position();
    }
    return {};
  }));
  if (passed_ && emitted_ == position_) {
    last_ = *passed_;
    passed_.reset();
  }
  complete_ = false;
  emitted_at_ = now();
  if (!(handed_last_ == last_)) {
    LastTransaction handed = last_;
    Position safe = safe_resume_ ? safe_resume_() : Position();
    if (!safe.empty() && compare_in_log(safe, handed.before) < 0) handed.before = safe;
    handed_last_ = std::move(handed);
  }
  NewBlock block{std::move(batch), std::move(new_schemas_), handed_last_};
  new_schemas_.clear();
  return sink_.write(std::move(block));
}

}  // namespace sluice::store
