// Cascades inside a copy's window (exactness.md section 3): which rows of the target a logged change of a parent may
// have changed on the source without a trace in its log.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sinks/database/apply/table_plan.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::database {

// Tables of the target that foreign keys with CASCADE, SET NULL or SET DEFAULT lead to. Immutable, shared.
struct CascadeGraph {
  struct Edge {
    TableName child;                          // on the target
    std::vector<std::string> parent_columns;  // in the order of child_columns
    std::vector<std::string> child_columns;
  };
  struct Table {
    TableName source;
    SchemaPtr target;
    std::vector<Edge> edges;  // to its children
  };
  std::map<TableName, Table> tables;  // by name on the target
};

// The rows of the target that reference `before`, a row of `plan`'s table, and their children, recursively. Runs
// SELECTs on `connection`, inside its open transaction. The key of a RecheckRow is the condition that finds the row, on
// either side.
Result<std::vector<RecheckRow>> rows_to_recheck(mysql::Connection& connection, const CascadeGraph& graph,
                                                const TablePlan& plan, RowView before);

// The rows below a recorded row, as the target has it: what happened to it on the source may have gone further.
Result<std::vector<RecheckRow>> rows_below(mysql::Connection& connection, const CascadeGraph& graph,
                                           const TableName& target, const std::string& condition);

// Rows of the target that refer to a row that is not there, where that row may have been taken away by a cascade: the
// source took it away, and changed the rows that referred to it, without a trace in its log.
Result<std::vector<RecheckRow>> orphans(mysql::Connection& connection, const CascadeGraph& graph);

}  // namespace sluice::database
