// BranchSearch: finds an XA branch that was prepared before reading began, in the older part of the source's log.
// Opens connections of its own. Used by the reading thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engines/mysql/binlog/reader.hpp"

namespace sluice::mysql {

class BranchSearch {
 public:
  BranchSearch(const Endpoint& endpoint, SchemaSource& source, std::shared_ptr<Stopper> stopper)
      : endpoint_(endpoint), source_(source), stopper_(std::move(stopper)) {}

  // The branch `xid` that is prepared at `until`; null when the source's log does not hold its XA PREPARE.
  Result<XaBranchPtr> find(const std::string& xid, const Position& until, BinlogHandler& handler);

 private:
  using Open = std::map<std::string, XaBranchPtr>;  // by xid
  Result<Open> open_at_end(const Position& begin, const Position& end, BinlogHandler& handler);

  const Endpoint& endpoint_;
  SchemaSource& source_;
  const std::shared_ptr<Stopper> stopper_;
  Open found_;  // the others of the file that was looked through last
};

}  // namespace sluice::mysql
