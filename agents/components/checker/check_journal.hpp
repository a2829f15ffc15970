// CheckJournal: the chunks that a verification has compared, so that a process that crashed goes on where it was. A
// file in the component's folder; owned and used by one thread (the planner's).
//
// A line that was cut by the crash is ignored. Each chunk has its own time: what was compared longer ago than kAgeMax
// is compared again, for an answer about the present must not rest on an old look.
#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "agents/components/checker/compare.hpp"
#include "agents/components/checker/table_pair.hpp"
#include "core/clock.hpp"

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
    int64_t boot_s = 0;        // when it was compared (Clock::boot_time); set by add()
  };

  // Reads what an earlier process of the same verification left, else begins anew. The definitions must be the same.
  // `marks` tell of each table which copy of it is compared; a copy that is another one makes the journal anew.
  static Result<CheckJournal> open(const std::string& folder, const std::vector<TablePair>& pairs,
                                   const std::vector<uint64_t>& marks = {}, const Clock& clock = system_clock());
  // The chunks of a table from its first one on, without gaps.
  std::vector<Entry> finished(size_t table) const;
  Status add(Entry entry);
  void remove();  // the verification is over

 private:
  CheckJournal() = default;
  void load(const std::string& header);
  int64_t now_s() const { return std::chrono::duration_cast<std::chrono::seconds>(clock_->boot_time()).count(); }
  const Clock* clock_ = nullptr;
  std::string path_;
  std::ofstream out_;
  std::map<size_t, std::map<uint64_t, Entry>> entries_;  // by table and chunk number
};

}  // namespace sluice::agents::checker
