// DifferenceReport: the difference file (JSON lines) and the correction SQL of one verification. Owned and used by one
// thread. Files are made when the first difference is written; those of an earlier run are removed.
//
// The correction SQL makes the target equal to what was compared. It is never run by Sluice. It removes every row that
// is wrong or too many, then inserts what the source has, in one transaction without foreign key checks, so that values
// of unique keys may have moved between rows and nothing cascades.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "agents/components/checker/compare.hpp"
#include "agents/components/checker/table_pair.hpp"

namespace sluice::agents::checker {

class DifferenceReport {
 public:
  static constexpr uint64_t kRowsPerTable = 100'000;  // written per table; all are counted

  static Result<DifferenceReport> create(const std::string& folder);

  // A table or column that the target does not have.
  Status add_missing_object(const TablePair& pair, const std::string& what);
  // Rows found by key: reads them from both sides.
  Status add_rows(Sides& sides, const TablePair& pair, const ChunkComparison& comparison);
  // Rows of a table without a key.
  Status add_surpluses(Sides& sides, const TablePair& pair, const MultisetComparison& comparison);
  // A place to go back to when the comparison of a table fails in its middle.
  struct Mark {
    std::streamoff lines = 0, deletes = 0, inserts = 0;
  };
  Mark mark();
  Status rewind(const Mark& mark);
  // Puts the correction file together.
  Status finish();

  const std::string& difference_file() const { return difference_file_; }  // empty: there are no differences
  const std::string& correction_file() const { return correction_file_; }  // empty: nothing to correct

 private:
  DifferenceReport() = default;
  Status write_line(const std::string& json);
  Status write_delete(const std::string& sql);
  Status write_insert(const std::string& sql);
  Status add_row(Sides& sides, const TablePair& pair, const KeyDifference& difference);
  bool room_for(const TablePair& pair);
  std::string path_of(const char* name) const;

  std::string folder_, difference_file_, correction_file_;
  std::ofstream lines_, deletes_, inserts_;
  std::string table_;  // the one that is being written
  uint64_t written_ = 0;
};

}  // namespace sluice::agents::checker
