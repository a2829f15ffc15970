#include "store/capture/block_assembler.hpp"

#include <algorithm>

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

void BlockAssembler::connected(const Position& position, const LastTransaction& last) {
  position_ = emitted_ = position;
  last_ = last;
  expected_.reset();
  if (last.known()) expected_ = last;
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
  table_news_.clear();
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
  news_before_ = table_news_.size();
}

Status BlockAssembler::on_row(const SchemaPtr& schema, uint64_t schema_id, RowOp op, uint16_t flags,
                              std::span<const ValueView> before, std::span<const ValueView> after) {
  open_transaction();
  if (schema_id != announced_last_ && !expected_) {
    announced_last_ = schema_id;
    if (announced_.insert(schema_id).second) table_news_.push_back({{}, schema});
  }
  builder_.add_row(*schema, schema_id, op, flags, before, after);
  return builder_.size() >= options_.block_bytes ? grow() : Status();
}

Status BlockAssembler::on_ddl(const Ddl& ddl) {
  auto parsed = mysql::parse_ddl(ddl.sql, ddl.database, ddl.sql_mode);
  auto statement = parsed.ok() ? std::move(parsed).value() : mysql::DdlStatement();  // may change anything
  if (!ddl_in_scope(statement, scope_)) return {};
  if (statement.kind == mysql::DdlKind::kDataChange)
    return Error(ErrorCode::STATEMENT_IN_LOG, std::string(ddl.sql.substr(0, 200)),
                 statement.tables.empty() ? std::string(ddl.database) : statement.tables[0].source.to_string(),
                 position_.to_string());
  // What is read again has had its effect.
  if (ddl_seen_ && !expected_)
    for (KeptRow& row : ddl_seen_(statement, ddl)) kept_.push_back(std::move(row));
  announced_.clear();  // tables may have another definition from now on, which has to be named again
  announced_last_ = 0;
  open_transaction();
  if (!expected_)
    for (TableName& name : tables_changed_by(statement)) table_news_.push_back({std::move(name), nullptr});
  builder_.add(ddl);
  return builder_.size() >= options_.block_bytes ? grow() : Status();
}

// What nobody wants may be written as it likes.
Status BlockAssembler::on_unreadable_ddl(const Ddl& ddl, const Error& why) {
  if (!ddl_in_scope(ddl, scope_)) return {};
  return why.with_object(std::string(ddl.sql.substr(0, 200))).with_position(position_.to_string());
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
  if (!spans_ && position_ != emitted_) {
    // Readers do not see where a transaction ends that comes in parts, but must see that it begins behind this.
    BatchBuilder before;
    add_heartbeat(before);
    SLUICE_TRY(emit_before_open(before));
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
    table_news_.resize(std::min(table_news_.size(), news_before_));
    announced_.clear();
    announced_last_ = 0;
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
  if (in_transaction_ || complete_ || position_ == emitted_) return {};
  if (now() - emitted_at_ < options_.heartbeat_every) return {};
  add_heartbeat(builder_);
  return emit(builder_);
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
  return emit_before_open(complete);
}

// What the open transaction says of tables goes with it.
Status BlockAssembler::emit_before_open(BatchBuilder& complete) {
  std::vector<TableNews> later(table_news_.begin() + static_cast<ptrdiff_t>(news_before_), table_news_.end());
  table_news_.resize(news_before_);
  SLUICE_TRY(emit(complete));
  table_news_ = std::move(later);
  news_before_ = 0;
  return {};
}

Status BlockAssembler::emit(BatchBuilder& builder) {
  SLUICE_ASSIGN(auto batch, Batch::open(builder.finish()));
  SLUICE_TRY(batch.for_each([&](const RecordView& record) -> Status {
    digest_.add(record);
    if (auto* commit = std::get_if<Commit>(&record)) {
      last_ = {emitted_, commit->position(), digest_.value()};
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
  NewBlock block{std::move(batch), std::move(table_news_), last_, {}};
  block.kept = branches_.take_changes(last_.known() ? last_.before : emitted_);
  for (KeptRow& row : kept_) block.kept.push_back(std::move(row));
  kept_.clear();
  table_news_.clear();
  return sink_.write(std::move(block));
}

}  // namespace sluice::store
