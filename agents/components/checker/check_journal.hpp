// CheckJournal: the chunks that a verification has compared, so that a process that crashed goes on where it was. A
// file in the component's folder; owned and used by one thread (the planner's).
//
// A line that was cut by the crash is ignored. What was compared longer ago than kAgeMax is compared again: an answer
// about the present must not rest on an old look.
#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "agents/components/checker/compare.hpp"
#include "agents/components/checker/table_pair.hpp"

namespace sluice::agents::checker {

class CheckJournal {
 public:
  static constexpr std::chrono::minutes kAgeMax{15};

  enum class Outcome : char { kEqual = '=', kKeys = 'k', kChunk = 'c', kWhole = 'w' };
  struct Entry {
    size_t table = 0;
    mysql::Chunk chunk;
    Outcome outcome = Outcome::kEqual;
    uint64_t rows = 0;
    std::vector<RowKey> keys;  // kKeys: rows that differ
  };

  // Reads what an earlier process of the same verification left, else begins anew. The definitions must be the same.
  static Result<CheckJournal> open(const std::string& folder, const std::vector<TablePair>& pairs, bool counts_only);
  // The chunks of a table from its first one on, without gaps.
  std::vector<Entry> finished(size_t table) const;
  Status add(const Entry& entry);
  void remove();  // the verification is over

 private:
  CheckJournal() = default;
  void load(const std::string& header);
  std::string path_;
  std::ofstream out_;
  std::map<size_t, std::map<uint64_t, Entry>> entries_;  // by table and chunk number
};

}  // namespace sluice::agents::checker
