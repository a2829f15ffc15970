// Metadata: the coordinator's memory. Ordered keys with etcd's meaning of revisions, so that an etcd implementation
// fits: one revision for the whole store, raised by every transaction; each key knows the revision that wrote it last.
//
// Thread safe. txn() returns when its writes are on disk (RocksDB: WAL synced), so it blocks: it is called from
// detached actors and start-up only. Values are opaque bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace sluice::coordinator {

struct KeyValue {
  std::string key, value;
  uint64_t mod_revision = 0;  // of the transaction that wrote it last
};

struct Txn {
  struct Compare {
    std::string key;
    uint64_t mod_revision = 0;  // 0: the key does not exist
  };
  struct Put {
    std::string key, value;
  };
  std::vector<Compare> compares;
  std::vector<Put> puts;
  std::vector<std::string> deletes;
};

struct TxnResult {
  bool committed = false;  // false: a compare did not hold, nothing was written
  uint64_t revision = 0;   // of the store after it
};

class Metadata {
 public:
  virtual ~Metadata() = default;
  virtual Result<std::optional<KeyValue>> get(std::string_view key) = 0;
  virtual Result<std::vector<KeyValue>> list(std::string_view prefix) = 0;  // in key order
  virtual Result<TxnResult> txn(const Txn& txn) = 0;
};

// The embedded implementation: one directory, one process.
Result<std::unique_ptr<Metadata>> open_rocksdb_metadata(const std::string& directory);

}  // namespace sluice::coordinator
