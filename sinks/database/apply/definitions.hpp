// Definitions: what the dispatcher knows of the tables on both sides, and the plans made from it. Blocking (reads
// catalogs); one thread. After DDL what is known is forgotten and read again when a table is next met.
//
// Foreign keys count from wherever they are declared: the target (where they may not exist yet), the definition that
// the copy started from, and, inside the window, the source itself. One too many costs parallelism only.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "core/table_mapping.hpp"
#include "sinks/database/apply/cascades.hpp"
#include "sinks/database/apply/table_plan.hpp"

namespace sluice::database {

class Definitions {
 public:
  explicit Definitions(const TableMapping& mapping) : mapping_(mapping) {}

  // The rows of table_state: names and the source's definitions at the start of each window.
  void set_tables(const std::vector<TableRow>& tables);
  // `source` is null when its declarations do not count any more. NOT_FOUND: the target has no such table.
  Result<TablePlanPtr> plan(uint64_t schema_id, const SchemaPtr& event, mysql::Connection& target,
                            mysql::Connection* source);
  // For rows that are not written (RowMode::observe): their columns need not be on the target any more.
  Result<TablePlanPtr> observer(uint64_t schema_id, const SchemaPtr& event, mysql::Connection& target,
                                mysql::Connection& source);
  // Reads what cascades() needs to hold of a table.
  Status know(const TableName& source_table, mysql::Connection& target, mysql::Connection* source);
  void forget();
  // What is known now; newer ones hold more.
  std::shared_ptr<const CascadeGraph> cascades();
  TableName source_of(const TableName& target) const;

 private:
  struct Node {
    TableName source;
    SchemaPtr target;  // null: the target has no such table
    std::vector<ForeignKey> own;
    std::vector<std::pair<TableName, ForeignKey>> children;
  };
  Result<TablePlanPtr> make(const SchemaPtr& event, bool observe, mysql::Connection& target, mysql::Connection* source);
  Result<Node*> load(const TableName& target_name, const TableName& source_name, mysql::Connection& target,
                     mysql::Connection* source);
  Status read_target(Node& node, const TableName& name, mysql::Connection& target);
  Status read_source(Node& node, mysql::Connection& source);
  void add_declared(Node& node);
  void add_own(Node& node, ForeignKey key);
  void add_child(Node& node, const TableName& child_source, ForeignKey key);
  Result<std::set<TableName>> reach(const TableName& from, mysql::Connection& target, mysql::Connection* source);
  Result<std::vector<TableName>> barrier_of(const TableName& from, mysql::Connection& target,
                                            mysql::Connection* source);

  const TableMapping& mapping_;
  std::map<TableName, TableSchema> declared_;  // by source name
  std::map<TableName, TableName> source_of_;   // by target name
  std::map<TableName, std::unique_ptr<Node>> nodes_;
  std::unordered_map<uint64_t, TablePlanPtr> plans_, observers_;
  std::shared_ptr<const CascadeGraph> graph_;
};

}  // namespace sluice::database
