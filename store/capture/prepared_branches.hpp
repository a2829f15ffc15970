// PreparedBranches: the XA branches that a reader needs which starts again, kept beside the log (exactness.md section
// 2). A branch stays from its XA PREPARE until no reader can start before its end any more. Capture's thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engines/mysql/binlog/xa_branches.hpp"
#include "store/log/log.hpp"

namespace sluice::store {

class PreparedBranches {
 public:
  // A row that take_changes() gave to the log.
  Status restore(std::string_view name, std::string_view bytes);
  void prepared(const mysql::XaBranchPtr& branch);
  void ended(const mysql::XaBranch& branch, const Position& end);

  // Those that are prepared at a position.
  std::vector<mysql::XaBranchPtr> open_at(const Position& position) const;
  // What has changed since the last call, for the log to keep; a reader starts at `restart` or later from now on.
  std::vector<KeptRow> take_changes(const Position& restart);

 private:
  struct Branch {
    mysql::XaBranchPtr branch;
    Position end;  // empty: it is prepared
    bool new_branch = false, new_end = false;
  };
  std::map<std::string, Branch> branches_;  // by the end of the XA PREPARE
};

}  // namespace sluice::store
