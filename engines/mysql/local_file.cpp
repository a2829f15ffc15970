#include "engines/mysql/local_file.hpp"

#include <mysql.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace sluice::mysql {
namespace {

int refuse_open(void** handle, const char*, void*) {
  *handle = nullptr;
  return 1;
}
int refuse_read(void*, char*, unsigned) { return -1; }
void close_nothing(void*) {}
int refusal(void*, char* text, unsigned size) {
  std::snprintf(text, size, "files of the client are not readable");
  return 2000;  // CR_UNKNOWN_ERROR
}

int open_function(void** handle, const char*, void* file) {
  *handle = file;
  return 0;
}
int read_function(void* file, char* buffer, unsigned size) { return static_cast<LocalFile*>(file)->read(buffer, size); }
int function_failed(void*, char* text, unsigned size) {
  std::snprintf(text, size, "the producer of the rows failed");
  return 2000;
}

}  // namespace

void refuse_local_files(st_mysql* mysql) {
  mysql_set_local_infile_handler(mysql, refuse_open, refuse_read, close_nothing, refusal, nullptr);
}

LocalFile::LocalFile(st_mysql* mysql, const std::function<Result<std::string_view>()>& next)
    : mysql_(mysql), next_(next) {
  mysql_set_local_infile_handler(mysql_, open_function, read_function, close_nothing, function_failed, this);
}

LocalFile::~LocalFile() { refuse_local_files(mysql_); }

int LocalFile::read(char* buffer, unsigned size) {
  if (ended_) return 0;
  if (piece_.empty()) {
    auto next = next_();
    if (!next.ok()) {
      // The library would end the file as if it were whole, and the server would keep the rows so far. A broken
      // connection makes the server undo the statement.
      error_ = next.error();
      shutdown(mysql_get_socket(mysql_), SHUT_RDWR);
      return -1;
    }
    piece_ = *next;
    if (piece_.empty()) {
      ended_ = true;
      return 0;
    }
  }
  const size_t count = std::min<size_t>(size, piece_.size());
  std::memcpy(buffer, piece_.data(), count);
  piece_.remove_prefix(count);
  return static_cast<int>(count);
}

}  // namespace sluice::mysql
