// The reading half of Log.
#include <rocksdb/db.h>

#include "store/log/log.hpp"

namespace sluice::store {

LogStatus Log::status() const {
  std::lock_guard lock(mutex_);
  if (incarnations_.empty()) return {};
  const Incarnation& newest = incarnations_.rbegin()->second;
  return {true, incarnations_.begin()->second.begin, newest.end, newest.last};
}

std::vector<Incarnation> Log::incarnations() const {
  std::lock_guard lock(mutex_);
  std::vector<Incarnation> rows;
  for (auto& [id, row] : incarnations_) rows.push_back(row);
  return rows;
}

Log::Extent Log::extent(uint64_t incarnation) const {
  std::lock_guard lock(mutex_);
  Extent extent;
  auto found = incarnations_.find(incarnation);
  if (found != incarnations_.end()) {
    extent.exists = true;
    extent.first = found->second.first;
    extent.visible = found->second.visible;
  }
  auto next = incarnations_.upper_bound(incarnation);
  if (next != incarnations_.end()) extent.next_incarnation = next->first;
  return extent;
}

Result<BlockInfo> Log::block_info(uint64_t incarnation, uint64_t sequence) const {
  std::string value;
  auto status = db_->Get({}, index_, block_key(incarnation, sequence), &value);
  if (!status.ok()) return fail(status, "read the index");
  return BlockInfo::decode(value);
}

Result<std::shared_ptr<const StoredBlock>> Log::block(uint64_t incarnation, uint64_t sequence) const {
  {
    std::lock_guard lock(mutex_);
    if (!recent_.empty() && recent_.front()->info.incarnation == incarnation &&
        sequence >= recent_.front()->info.sequence && sequence <= recent_.back()->info.sequence)
      return recent_[sequence - recent_.front()->info.sequence];
  }
  SLUICE_ASSIGN(auto info, block_info(incarnation, sequence));
  std::string bytes;
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  auto status = db_->Get(options, blocks_, block_key(incarnation, sequence), &bytes);
  if (!status.ok()) return fail(status, "read a block");
  auto batch = Batch::open(std::move(bytes));
  if (!batch.ok()) return batch.error().with_object(options_.path).with_position(info.end.to_string());
  return std::make_shared<const StoredBlock>(StoredBlock{std::move(info), std::move(batch).value()});
}

Result<SchemaPtr> Log::schema(uint64_t id) const {
  {
    std::lock_guard lock(mutex_);
    auto found = schema_cache_.find(id);
    if (found != schema_cache_.end()) return found->second;
  }
  std::string value;
  auto status = db_->Get({}, schemas_, schema_key(id), &value);
  if (!status.ok()) return fail(status, "read a table definition");
  SLUICE_ASSIGN(auto decoded, TableSchema::decode(value));
  auto schema = std::make_shared<const TableSchema>(std::move(decoded));
  std::lock_guard lock(mutex_);
  return schema_cache_.emplace(id, std::move(schema)).first->second;
}

Status Log::for_each_table(const std::function<Status(SchemaPtr)>& visit) const {
  std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator({}, meta_));
  for (rows->Seek("t"); rows->Valid() && rows->key().starts_with("t"); rows->Next()) {
    std::string value;
    auto status = db_->Get({}, schemas_, rows->value(), &value);
    if (!status.ok()) return fail(status, "read a table definition");
    SLUICE_ASSIGN(auto decoded, TableSchema::decode(value));
    SLUICE_TRY(visit(std::make_shared<const TableSchema>(std::move(decoded))));
  }
  return rows->status().ok() ? Status() : Status(fail(rows->status(), "read table definitions"));
}

Status Log::for_each_kept(const std::function<Status(std::string_view, std::string_view)>& visit) const {
  std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator({}, meta_));
  for (rows->Seek("k"); rows->Valid() && rows->key().starts_with("k"); rows->Next())
    SLUICE_TRY(visit(rows->key().ToStringView().substr(1), rows->value().ToStringView()));
  return rows->status().ok() ? Status() : Status(fail(rows->status(), "read what is kept"));
}

uint64_t Log::bytes_on_disk() const {
  uint64_t total = 0;
  for (auto* family : {meta_, blocks_, index_, schemas_})
    for (const auto& property :
         {rocksdb::DB::Properties::kTotalSstFilesSize, rocksdb::DB::Properties::kSizeAllMemTables}) {
      uint64_t value = 0;
      if (db_->GetIntProperty(family, property, &value)) total += value;
    }
  return total;
}

uint64_t Log::add_listener(std::function<void()> listener) {
  std::lock_guard lock(listeners_mutex_);
  listeners_[next_listener_] = std::move(listener);
  return next_listener_++;
}

void Log::remove_listener(uint64_t id) {
  std::lock_guard lock(listeners_mutex_);
  listeners_.erase(id);
}

}  // namespace sluice::store
