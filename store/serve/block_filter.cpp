#include "store/serve/block_filter.hpp"

#include "store/log/reencode.hpp"

namespace sluice::store {

Result<bool> BlockFilter::wanted(const Rows& rows) {
  if (!types_.rows(rows.op)) return false;
  auto known = wanted_.find(rows.schema_id);
  if (known != wanted_.end()) return known->second;
  SLUICE_ASSIGN(auto schema, schemas_(rows.schema_id));
  return wanted_[rows.schema_id] = scope_.includes(schema->database, schema->name);
}

Result<bool> BlockFilter::unchanged(const Batch& batch) {
  bool same = true, open = in_transaction_;
  SLUICE_TRY(batch.for_each([&](const RecordView& record) -> Status {
    if (std::holds_alternative<Begin>(record)) open = true;
    if (std::holds_alternative<Commit>(record)) open = false;
    if (auto* ddl = std::get_if<Ddl>(&record)) same = same && wanted(*ddl);
    if (auto* rows = std::get_if<Rows>(&record)) {
      SLUICE_ASSIGN(bool want, wanted(*rows));
      same = same && want;
    }
    return {};
  }));
  if (same) in_transaction_ = open;
  return same;
}

Result<std::optional<Batch>> BlockFilter::apply(const Batch& batch) {
  if (everything_) return std::optional<Batch>(batch);
  SLUICE_ASSIGN(bool same, unchanged(batch));
  if (same) return std::optional<Batch>(batch);
  BatchBuilder out;
  std::optional<Begin> begin;      // read, not yet passed on
  std::optional<Commit> vanished;  // the last transaction, when nothing of it was left
  auto pass = [&](const RecordView& record) -> Status {
    if (begin) out.add(*begin);
    in_transaction_ |= begin.has_value();
    begin.reset();
    return add_record(out, record);
  };
  SLUICE_TRY(batch.for_each([&](const RecordView& record) -> Status {
    if (auto* one = std::get_if<Begin>(&record)) {
      begin = *one;
    } else if (auto* commit = std::get_if<Commit>(&record)) {
      vanished.reset();
      if (in_transaction_)
        SLUICE_TRY(pass(record));
      else
        vanished = *commit;
      begin.reset();
      in_transaction_ = false;
    } else if (auto* rows = std::get_if<Rows>(&record)) {
      SLUICE_ASSIGN(bool want, wanted(*rows));
      if (want) SLUICE_TRY(pass(record));
    } else if (auto* ddl = std::get_if<Ddl>(&record)) {
      if (wanted(*ddl)) SLUICE_TRY(pass(record));
    } else {
      vanished.reset();
      SLUICE_TRY(add_record(out, record));
    }
    return {};
  }));
  if (begin) {  // goes on in the next block, where something may be wanted
    out.add(*begin);
    in_transaction_ = true;
  } else if (vanished) {
    Heartbeat heartbeat;
    heartbeat.file = vanished->file;
    heartbeat.offset = vanished->offset;
    heartbeat.gtids = vanished->gtids;
    heartbeat.source_time_us = vanished->commit_time_us;
    out.add(heartbeat);
  }
  if (out.empty()) return std::optional<Batch>();
  SLUICE_ASSIGN(auto filtered, Batch::open(out.finish()));
  return std::optional<Batch>(std::move(filtered));
}

}  // namespace sluice::store
