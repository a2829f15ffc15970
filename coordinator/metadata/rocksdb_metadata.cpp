// Metadata in an embedded RocksDB. A value is stored as 8 bytes of mod revision (little endian) and the caller's bytes;
// the store's revision lies under its own key, outside the keys of callers, and is written in the same batch.
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <cstring>
#include <mutex>

#include "coordinator/metadata/metadata.hpp"

namespace sluice::coordinator {
namespace {

const std::string kRevisionKey("\0revision", 9);

std::string encode(uint64_t revision, std::string_view value) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(revision >> (8 * i));
  return bytes.append(value);
}

Result<KeyValue> decode(std::string key, std::string_view bytes) {
  if (bytes.size() < 8)
    return Error(ErrorCode::CORRUPTED, "a metadata value is shorter than its header", std::move(key));
  KeyValue result{std::move(key), std::string(bytes.substr(8)), 0};
  for (int i = 0; i < 8; ++i) result.mod_revision |= uint64_t(static_cast<uint8_t>(bytes[i])) << (8 * i);
  return result;
}

Error error_of(const rocksdb::Status& status, const std::string& object) {
  auto code = status.IsCorruption() ? ErrorCode::CORRUPTED
              : status.IsNoSpace()  ? ErrorCode::DISK_FULL
                                    : ErrorCode::IO_ERROR;
  return Error(code, status.ToString(), object);
}

class RocksdbMetadata final : public Metadata {
 public:
  RocksdbMetadata(std::unique_ptr<rocksdb::DB> db, uint64_t revision) : db_(std::move(db)), revision_(revision) {}

  Result<std::optional<KeyValue>> get(std::string_view key) override {
    std::string bytes;
    auto status = db_->Get({}, rocksdb::Slice(key.data(), key.size()), &bytes);
    if (status.IsNotFound()) return std::optional<KeyValue>();
    if (!status.ok()) return error_of(status, std::string(key));
    SLUICE_ASSIGN(auto found, decode(std::string(key), bytes));
    return std::optional<KeyValue>(std::move(found));
  }

  Result<std::vector<KeyValue>> list(std::string_view prefix) override {
    std::vector<KeyValue> found;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
    rocksdb::Slice start(prefix.data(), prefix.size());
    for (it->Seek(start); it->Valid() && it->key().starts_with(start); it->Next()) {
      SLUICE_ASSIGN(auto item, decode(it->key().ToString(), it->value().ToStringView()));
      found.push_back(std::move(item));
    }
    if (!it->status().ok()) return error_of(it->status(), std::string(prefix));
    return found;
  }

  Result<TxnResult> txn(const Txn& txn) override {
    std::lock_guard lock(mutex_);
    for (const auto& compare : txn.compares) {
      SLUICE_ASSIGN(auto found, get(compare.key));
      if ((found ? found->mod_revision : 0) != compare.mod_revision) return TxnResult{false, revision_};
    }
    if (txn.puts.empty() && txn.deletes.empty()) return TxnResult{true, revision_};
    uint64_t revision = revision_ + 1;
    rocksdb::WriteBatch batch;
    for (const auto& put : txn.puts) batch.Put(put.key, encode(revision, put.value));
    for (const auto& key : txn.deletes) batch.Delete(key);
    batch.Put(kRevisionKey, encode(revision, ""));
    rocksdb::WriteOptions options;
    options.sync = true;
    auto status = db_->Write(options, &batch);
    if (!status.ok()) return error_of(status, "metadata");
    revision_ = revision;
    return TxnResult{true, revision_};
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::mutex mutex_;  // one transaction at a time
  uint64_t revision_;
};

}  // namespace

Result<std::unique_ptr<Metadata>> open_rocksdb_metadata(const std::string& directory) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 4 << 20;
  options.keep_log_file_num = 2;
  options.max_open_files = 64;
  options.info_log_level = rocksdb::WARN_LEVEL;
  rocksdb::DB* raw = nullptr;
  auto status = rocksdb::DB::Open(options, directory, &raw);
  if (!status.ok()) {
    if (status.ToString().find("lock") != std::string::npos)
      return Error(ErrorCode::WORK_DIR_IN_USE, "another coordinator holds the metadata: " + status.ToString(),
                   directory);
    return error_of(status, directory);
  }
  std::unique_ptr<rocksdb::DB> db(raw);
  std::string bytes;
  uint64_t revision = 0;
  status = db->Get({}, kRevisionKey, &bytes);
  if (status.ok()) {
    SLUICE_ASSIGN(auto stored, decode(kRevisionKey, bytes));
    revision = stored.mod_revision;
  } else if (!status.IsNotFound()) {
    return error_of(status, directory);
  }
  return std::unique_ptr<Metadata>(std::make_unique<RocksdbMetadata>(std::move(db), revision));
}

}  // namespace sluice::coordinator
