#include "core/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sluice {
namespace {

Error failed(const char* what, const std::string& path) {
  const ErrorCode code = errno == ENOSPC   ? ErrorCode::DISK_FULL
                         : errno == ENOENT ? ErrorCode::NOT_FOUND
                                           : ErrorCode::IO_ERROR;
  return Error(code, std::string(what) + ": " + std::strerror(errno), path);
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return ::fsync(fd) == 0;
}

}  // namespace

Status write_whole(const std::string& path, std::string_view bytes, unsigned mode) {
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return failed("cannot write", path);
  const bool written = write_all(fd, bytes);
  const Error error = failed("cannot write", path);  // while errno tells why
  ::close(fd);
  if (written && ::rename(fresh.c_str(), path.c_str()) == 0) return {};
  const Error why = written ? failed("cannot write", path) : error;
  ::unlink(fresh.c_str());
  return why;
}

Result<std::string> read_whole(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return failed("cannot read", path);
  std::string bytes;
  char block[16384];
  for (size_t count; (count = std::fread(block, 1, sizeof block, file)) > 0;) bytes.append(block, count);
  const bool sound = std::ferror(file) == 0;
  const Error error = failed("cannot read", path);
  std::fclose(file);
  return sound ? Result<std::string>(std::move(bytes)) : Result<std::string>(error);
}

}  // namespace sluice
