#include "coordinator/metadata/sealer.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::coordinator {
namespace {

Error io_error(const std::string& path, const std::string& what) {
  return Error(ErrorCode::IO_ERROR, what + ": " + std::strerror(errno), path);
}

std::string random_hex() {
  unsigned char bytes[crypto_secretbox_KEYBYTES];
  randombytes_buf(bytes, sizeof bytes);
  std::string hex(sizeof bytes * 2 + 1, '\0');
  sodium_bin2hex(hex.data(), hex.size(), bytes, sizeof bytes);
  sodium_memzero(bytes, sizeof bytes);
  hex.pop_back();
  return hex;
}

Result<Secret> read_secret(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return io_error(path, "cannot look at the file");
  if (info.st_mode & 0077) return Error(ErrorCode::IO_ERROR, "others may read it; run chmod 600 on it", path);
  std::string text(4096, '\0');
  ssize_t got = read(fd, text.data(), text.size());
  if (got < 0) return io_error(path, "cannot read the file");
  text.resize(got);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  if (text.empty()) return Error(ErrorCode::IO_ERROR, "the file is empty", path);
  return Secret(std::move(text));
}

// Written beside the final name, synced and linked, so a crash leaves the whole file or none, and of two starters the
// first wins.
Status make_secret(const std::string& path) {
  std::string draft = path + "." + std::to_string(getpid());
  int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return io_error(path, "cannot create the file");
  std::string text = random_hex() + "\n";
  bool written = write(fd, text.data(), text.size()) == ssize_t(text.size()) && fsync(fd) == 0;
  sodium_memzero(text.data(), text.size());
  close(fd);
  bool linked = written && (link(draft.c_str(), path.c_str()) == 0 || errno == EEXIST);
  Status status = linked ? Status() : io_error(path, "cannot write the file");
  unlink(draft.c_str());
  return status;
}

}  // namespace

Result<Secret> read_or_make_secret_file(const std::string& path) {
  if (sodium_init() < 0) return Error(ErrorCode::INTERNAL, "libsodium does not start");
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) {
    SLUICE_TRY(make_secret(path));
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  if (fd < 0) return io_error(path, "cannot open the file");
  auto secret = read_secret(fd, path);
  close(fd);
  return secret;
}

Result<Sealer> Sealer::open(const std::string& key_file, bool secrets_exist) {
  if (secrets_exist && access(key_file.c_str(), F_OK) != 0 && errno == ENOENT)
    return Error(ErrorCode::NOT_FOUND,
                 "the master key is lost, and passwords in the metadata are sealed under it: put the file back",
                 key_file);
  SLUICE_ASSIGN(Secret hex, read_or_make_secret_file(key_file));
  std::string key(crypto_secretbox_KEYBYTES, '\0');
  size_t length = 0;
  const char* end = nullptr;
  int bad = sodium_hex2bin(reinterpret_cast<unsigned char*>(key.data()), key.size(), hex.reveal().data(),
                           hex.reveal().size(), nullptr, &length, &end);
  if (bad != 0 || length != key.size() || end != hex.reveal().data() + hex.reveal().size())
    return Error(ErrorCode::INVALID_ARGUMENT, "a master key is 64 hexadecimal digits", key_file);
  return Sealer(Secret(std::move(key)));
}

std::string Sealer::seal(const Secret& secret) const {
  const std::string& clear = secret.reveal();
  std::string sealed(crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + clear.size(), '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(sealed.data());
  randombytes_buf(bytes, crypto_secretbox_NONCEBYTES);
  crypto_secretbox_easy(bytes + crypto_secretbox_NONCEBYTES, reinterpret_cast<const unsigned char*>(clear.data()),
                        clear.size(), bytes, reinterpret_cast<const unsigned char*>(key_.reveal().data()));
  return sealed;
}

Result<Secret> Sealer::unseal(const std::string& sealed) const {
  constexpr size_t kOverhead = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
  if (sealed.size() < kOverhead) return Error(ErrorCode::CORRUPTED, "a sealed secret is too short");
  std::string clear(sealed.size() - kOverhead, '\0');
  const auto* bytes = reinterpret_cast<const unsigned char*>(sealed.data());
  if (crypto_secretbox_open_easy(reinterpret_cast<unsigned char*>(clear.data()), bytes + crypto_secretbox_NONCEBYTES,
                                 sealed.size() - crypto_secretbox_NONCEBYTES, bytes,
                                 reinterpret_cast<const unsigned char*>(key_.reveal().data())) != 0)
    return Error(ErrorCode::CORRUPTED,
                 "a sealed secret cannot be opened: the master key is another one, or the bytes changed");
  return Secret(std::move(clear));
}

}  // namespace sluice::coordinator
