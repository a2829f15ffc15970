// The client side of LOAD DATA LOCAL INFILE: the "file" is a function. Real files are never read, whatever name the
// server asks for, so a malicious server gets nothing.
// Owned by the connection and called on its thread, inside Connection::load_data.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "core/result.hpp"

struct st_mysql;

namespace sluice::mysql {

// Makes the session refuse every request for a file. Called once, when it is made.
void refuse_local_files(st_mysql* mysql);

// Answers the requests of one statement from `next`; refuses again when it ends.
class LocalFile {
 public:
  LocalFile(st_mysql* mysql, const std::function<Result<std::string_view>()>& next);
  ~LocalFile();
  LocalFile(const LocalFile&) = delete;

  const std::optional<Error>& error() const { return error_; }  // what `next` returned
  int read(char* buffer, unsigned size);

 private:
  st_mysql* mysql_;
  const std::function<Result<std::string_view>()>& next_;
  std::string_view piece_;
  bool ended_ = false;
  std::optional<Error> error_;
};

}  // namespace sluice::mysql
