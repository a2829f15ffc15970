// Windows: each copied table's window (A, B] of log positions, and what it means for the table's events
// (exactness.md section 3). Pure; one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/position.hpp"
#include "core/schema.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/dialect/ddl.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::agents::incr_sync {

// Whether transactions stand between two places in the log, the first of which is `a`. With the same GTIDs what is
// between them is none.
bool stands_before(const Position& a, const Position& b);

enum class RowVerdict : uint8_t { kSkip, kApply, kWait };

struct DdlVerdict {
  enum class What : uint8_t {
    kSkip,  // the copies hold it already
    kApply,
    kDropOnly,   // only the tables of `tables` are dropped
    kNeedsCopy,  // the tables of `tables` are copied again
    kWait,       // the tables of `tables` are being copied
  } what = What::kApply;
  std::vector<TableName> tables;  // on the source
};

class Windows {
 public:
  void set(const std::vector<database::TableRow>& rows);
  bool empty() const { return tables_.empty(); }

  RowVerdict row(const TableName& source, const Position& end) const;
  bool inside(const TableName& source, const Position& end) const { return place(source, end) == Place::kInside; }
  // `open`: the project's window is not closed yet, so foreign keys are not on the target.
  DdlVerdict ddl(const mysql::DdlStatement& statement, const TableMapping& mapping, const Position& end,
                 bool open) const;

  // The smallest A: where the log is read from at the first start. Empty when there is none.
  Position first_start() const;
  // The greatest B.
  Position last_end() const;
  // A row of the table was read again from the source: up to `end` the table has a window as a copied one has.
  void extend(const TableName& source, const Position& end);
  void forget(const TableName& source) { tables_.erase(source); }
  bool contains(const TableName& source) const { return tables_.contains(source); }
  std::vector<TableName> tables_of(const std::string& database) const;  // on the source
  uint32_t round(const TableName& source) const;

 private:
  struct Window {
    Position start, end;
    bool copied = false;
    uint32_t round = 0;
  };
  enum class Place : uint8_t { kUnknown, kBefore, kInside, kAfter, kBusy };
  Place place(const TableName& source, const Position& end) const;
  DdlVerdict drop_database(const std::string& database, const TableMapping& mapping, const Position& end) const;
  std::vector<TableName> made_otherwise(const mysql::DdlStatement& statement, const Position& end) const;
  std::vector<TableName> with_other_keys(const mysql::DdlStatement& statement, const Position& end) const;
  std::map<TableName, Window> tables_;
  std::map<TableName, std::vector<ForeignKey>> keys_;  // of tables with foreign keys, as their copies have read them
};

}  // namespace sluice::agents::incr_sync
