// Settling what the first pass left open. Used by one thread; blocks.
//
// On a live system most rows that differed were only on their way. They are read again in rounds; what is left then,
// and tables without a key, are compared at a hold, where a difference is a difference. Without an Incr-Sync nothing is
// on its way and the last comparison counts at once.
#pragma once

#include <string>
#include <vector>

#include "agents/components/checker/check_plan.hpp"
#include "agents/components/checker/difference_report.hpp"
#include "agents/components/checker/hold.hpp"

namespace sluice::agents::checker {

struct Verdict {
  uint64_t differences = 0;  // rows
  bool unsettled = false;
  bool skipped = false;  // the table is gone
  uint64_t rows = 0;     // of the source, when the table was compared as a whole
};

class Settler {
 public:
  struct Options {
    bool with_incremental = true;
    bool missing_objects = true;  // what the target lacks is open as well
    uint64_t memory_bytes = 0;
    HoldTimes hold;
    int holds_max = 6;
    std::chrono::milliseconds hold_pause{1000};  // before the second hold; it triples each time, up to 30 s
  };
  Settler(ComponentContext& context, TablePairs pairs, SideEndpoints endpoints, Options options, PendingTables pending,
          DifferenceReport& report);

  // Everything that was open is closed or UNSETTLED afterwards. CANCELLED when a stop was desired.
  Status run();
  // Of the tables that were open.
  const std::map<size_t, Verdict>& verdicts() const { return verdicts_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Status run_rounds();
  template <class Compare>
  auto paced(uint64_t rows, Compare compare) -> decltype(compare());
  Result<bool> run_round();  // whether fewer rows are open than before
  Status compare_again(Sides& sides, const TablePair& pair, Pending& pending);
  Status run_final();
  Status compare_finally(Sides& sides);
  Result<Verdict> compare_table(Sides& sides, size_t table, const Pending& pending);
  Status confirm_missing(Sides& sides, size_t table, const TablePair& pair, Verdict& verdict);
  Status read_changed_tables();
  const TablePair& pair_of(size_t table) const;
  size_t open_rows() const;
  bool rows_open() const;

  ComponentContext& context_;
  TablePairs pairs_;
  SideEndpoints endpoints_;
  Options options_;
  PendingTables pending_;
  DifferenceReport& report_;
  std::map<size_t, TablePair> changed_;            // definitions that were read again
  std::map<size_t, TableSchema> changed_sources_;  // the source's part of them, as it was read
  std::map<size_t, Verdict> verdicts_;
  std::map<size_t, std::string> causes_;  // why a table cannot be compared
  std::vector<std::string> warnings_;
};

}  // namespace sluice::agents::checker
