// How a Store's records are printed for people. Used by one thread.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "core/record.hpp"

namespace sluice::cli {

// Prints records as text: one line per begin, row, statement and commit. Rows need their definitions first.
class RecordPrinter {
 public:
  using Schemas = std::function<SchemaPtr(uint64_t id)>;
  RecordPrinter(std::ostream& out, Schemas schemas, std::vector<std::string> tables, bool with_rows = true)
      : out_(out), schemas_(std::move(schemas)), tables_(std::move(tables)), with_rows_(with_rows) {}

  Status print(const Batch& batch);
  uint64_t transactions() const { return transactions_; }
  const Position& position() const { return position_; }  // after the last transaction or heartbeat that was printed

 private:
  Status print_rows(const Rows& rows);
  bool wanted(const TableSchema& schema) const;

  std::ostream& out_;
  Schemas schemas_;
  std::vector<std::string> tables_;
  bool with_rows_;
  uint64_t transactions_ = 0;
  Position position_;
};

// A column's value as it is printed: numbers and dates bare, text quoted, other bytes as 0x…, labels of ENUM and SET.
std::string printed_value(const Column& column, const ValueView& value);

}  // namespace sluice::cli
