#include "sinks/database/apply/definitions.hpp"

#include <algorithm>

#include "engines/mysql/catalog.hpp"

namespace sluice::database {

void Definitions::set_tables(const std::vector<TableRow>& tables) {
  declared_.clear();
  for (const TableRow& row : tables) {
    source_of_[row.target] = row.source;
    if (row.definition.empty()) continue;
    auto schema = TableSchema::decode(row.definition);
    if (schema.ok()) declared_.emplace(row.source, std::move(*schema));
  }
  forget();
}

void Definitions::forget() {
  nodes_.clear();
  plans_.clear();
  observers_.clear();
  graph_.reset();
}

TableName Definitions::source_of(const TableName& target) const {
  const auto found = source_of_.find(target);
  return found == source_of_.end() ? target : found->second;
}

void Definitions::add_own(Node& node, ForeignKey key) {
  const bool known = std::any_of(node.own.begin(), node.own.end(), [&](const ForeignKey& other) {
    return other.columns == key.columns && other.referenced_database == key.referenced_database &&
           other.referenced_table == key.referenced_table && other.referenced_columns == key.referenced_columns &&
           other.on_delete == key.on_delete && other.on_update == key.on_update;
  });
  if (!known) node.own.push_back(std::move(key));
}

void Definitions::add_child(Node& node, const TableName& child_source, ForeignKey key) {
  if (!mapping_.includes(child_source)) return;
  const TableName child = mapping_.target_of(child_source);
  source_of_[child] = child_source;
  node.children.emplace_back(child, std::move(key));
}

Status Definitions::read_target(Node& node, const TableName& name, mysql::Connection& target) {
  auto schema = mysql::read_table(target, name);
  if (!schema.ok()) return schema.error().code() == ErrorCode::NOT_FOUND ? Status{} : Status(schema.error());
  node.target = std::make_shared<const TableSchema>(std::move(*schema));
  for (const ForeignKey& key : node.target->foreign_keys) add_own(node, key);
  SLUICE_ASSIGN(const auto children, mysql::foreign_keys_to(target, {name}));
  for (const auto& [child, key] : children) node.children.emplace_back(child, key);
  return {};
}

void Definitions::add_declared(Node& node) {
  if (const auto own = declared_.find(node.source); own != declared_.end()) {
    for (ForeignKey key : own->second.foreign_keys) {
      if (!mapping_.includes(key.referenced_database, key.referenced_table)) continue;
      const TableName parent = mapping_.target_of(key.referenced_database, key.referenced_table);
      key.referenced_database = parent.database;
      key.referenced_table = parent.table;
      add_own(node, std::move(key));
    }
  }
  for (const auto& [name, schema] : declared_) {
    for (const ForeignKey& key : schema.foreign_keys) {
      if (key.referenced_database == node.source.database && key.referenced_table == node.source.table)
        add_child(node, name, key);
    }
  }
}

Status Definitions::read_source(Node& node, mysql::Connection& source) {
  auto schema = mysql::read_table(source, node.source);
  if (!schema.ok() && schema.error().code() != ErrorCode::NOT_FOUND) return schema.error();
  if (schema.ok()) {
    for (ForeignKey key : schema->foreign_keys) {
      if (!mapping_.includes(key.referenced_database, key.referenced_table)) continue;
      const TableName parent = mapping_.target_of(key.referenced_database, key.referenced_table);
      key.referenced_database = parent.database;
      key.referenced_table = parent.table;
      add_own(node, std::move(key));
    }
  }
  SLUICE_ASSIGN(const auto children, mysql::foreign_keys_to(source, {node.source}));
  for (const auto& [child, key] : children) add_child(node, child, key);
  return {};
}

Result<Definitions::Node*> Definitions::load(const TableName& target_name, const TableName& source_name,
                                             mysql::Connection& target, mysql::Connection* source) {
  if (const auto found = nodes_.find(target_name); found != nodes_.end()) return found->second.get();
  auto node = std::make_unique<Node>();
  node->source = source_name;
  SLUICE_TRY(read_target(*node, target_name, target));
  add_declared(*node);
  if (source != nullptr) SLUICE_TRY(read_source(*node, *source));
  graph_.reset();
  return (nodes_[target_name] = std::move(node)).get();
}

// Loads them as well.
Result<std::set<TableName>> Definitions::reach(const TableName& from, mysql::Connection& target,
                                               mysql::Connection* source) {
  std::set<TableName> reached;
  std::vector<TableName> open{from};
  while (!open.empty()) {
    const TableName name = open.back();
    open.pop_back();
    SLUICE_ASSIGN(const Node* node, load(name, source_of(name), target, source));
    for (const auto& [child, key] : node->children) {
      if (key.changes_child() && reached.insert(child).second) open.push_back(child);
    }
  }
  return reached;
}

Result<std::vector<TableName>> Definitions::barrier_of(const TableName& from, mysql::Connection& target,
                                                       mysql::Connection* source) {
  SLUICE_ASSIGN(const auto reached, reach(from, target, source));
  std::set<TableName> tables = reached;
  for (const TableName& name : reached) {
    SLUICE_ASSIGN(const Node* node, load(name, source_of(name), target, source));
    for (const auto& [child, key] : node->children) tables.insert(child);
    for (const ForeignKey& key : node->own) tables.insert({key.referenced_database, key.referenced_table});
  }
  return std::vector<TableName>(tables.begin(), tables.end());
}

Result<TablePlanPtr> Definitions::plan(uint64_t schema_id, const SchemaPtr& event, mysql::Connection& target,
                                       mysql::Connection* source) {
  if (const auto found = plans_.find(schema_id); found != plans_.end()) return found->second;
  SLUICE_ASSIGN(TablePlanPtr made, make(event, false, target, source));
  return plans_[schema_id] = std::move(made);
}

Result<TablePlanPtr> Definitions::observer(uint64_t schema_id, const SchemaPtr& event, mysql::Connection& target,
                                           mysql::Connection& source) {
  if (const auto found = observers_.find(schema_id); found != observers_.end()) return found->second;
  SLUICE_ASSIGN(TablePlanPtr made, make(event, true, target, &source));
  return observers_[schema_id] = std::move(made);
}

Result<TablePlanPtr> Definitions::make(const SchemaPtr& event, bool observe, mysql::Connection& target,
                                       mysql::Connection* source) {
  const TableName source_name{event->database, event->name};
  const TableName name = mapping_.target_of(event->database, event->name);
  source_of_[name] = source_name;
  SLUICE_ASSIGN(const Node* node, load(name, source_name, target, source));
  if (!node->target) {
    return Error(ErrorCode::NOT_FOUND, "the target has no table " + name.to_string(), source_name.to_string());
  }
  PlanInput input{event, node->target, node->own, node->children, {}, observe};
  SLUICE_ASSIGN(input.barrier, barrier_of(name, target, source));
  return make_plan(input);
}

Status Definitions::know(const TableName& source_table, mysql::Connection& target, mysql::Connection* source) {
  const TableName name = mapping_.target_of(source_table);
  source_of_[name] = source_table;
  SLUICE_TRY(load(name, source_table, target, source));
  SLUICE_TRY(reach(name, target, source));
  return {};
}

std::shared_ptr<const CascadeGraph> Definitions::cascades() {
  if (graph_) return graph_;
  auto graph = std::make_shared<CascadeGraph>();
  for (const auto& [name, node] : nodes_) {
    if (!node->target) continue;
    CascadeGraph::Table table{node->source, node->target, {}};
    for (const auto& [child, key] : node->children) {
      if (key.changes_child()) table.edges.push_back({child, key.referenced_columns, key.columns});
    }
    graph->tables.emplace(name, std::move(table));
  }
  graph_ = graph;
  return graph_;
}

}  // namespace sluice::database
