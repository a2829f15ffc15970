// NameFolding: how a server tells names of databases and tables apart (lower_case_table_names). Immutable value.
#pragma once

#include "core/result.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

class NameFolding {
 public:
  enum class Mode : uint8_t {
    kAsWritten,   // 0: the case of letters counts
    kLowerCase,   // 1: names are kept in lower case
    kIgnoresCase  // 2: names are kept as they were written, and found in any case
  };
  static Result<NameFolding> of(Connection& connection);
  NameFolding() = default;
  explicit NameFolding(Mode mode) : mode_(mode) {}

  Mode mode() const { return mode_; }
  // Names of one table have one key.
  TableName key(TableName name) const;

 private:
  Mode mode_ = Mode::kAsWritten;
};

}  // namespace sluice::mysql
