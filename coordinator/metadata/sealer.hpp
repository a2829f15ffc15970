// Sealer: encrypts secrets before they enter metadata (libsodium secretbox) and makes the coordinator's key files.
// Immutable after construction, safe to share between threads.
#pragma once

#include <string>

#include "core/result.hpp"
#include "core/secret.hpp"

namespace sluice::coordinator {

class Sealer {
 public:
  // Reads the master key (32 bytes as hex). A file that others can read is refused. When it does not exist one is made
  // with mode 0600, unless secrets are sealed already: then the key is lost, and NOT_FOUND says so.
  static Result<Sealer> open(const std::string& key_file, bool secrets_exist);

  std::string seal(const Secret& secret) const;            // nonce and box; differs at every call
  Result<Secret> unseal(const std::string& sealed) const;  // CORRUPTED: another key, or changed bytes

 private:
  explicit Sealer(Secret key) : key_(std::move(key)) {}
  Secret key_;
};

// The text of a secret file; when it does not exist, a random one of 32 bytes as hex is made with mode 0600, written
// whole or not at all. IO_ERROR when it cannot be read or others may read it.
Result<Secret> read_or_make_secret_file(const std::string& path);

}  // namespace sluice::coordinator
