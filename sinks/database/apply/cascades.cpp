#include "sinks/database/apply/cascades.hpp"

#include <set>

#include "engines/mysql/row_decoder.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::database {
namespace {

constexpr size_t kRowsMax = 1'000'000;  // of one transaction

class Collector {
 public:
  Collector(mysql::Connection& connection, const CascadeGraph& graph) : connection_(connection), graph_(graph) {}

  // `condition` tells which rows of the edge's child are meant.
  Status visit(const CascadeGraph::Edge& edge, const std::string& condition) {
    const auto found = graph_.tables.find(edge.child);
    if (found == graph_.tables.end()) return {};
    const CascadeGraph::Table& child = found->second;
    if (!visited_.insert({edge.child, condition}).second) return {};
    const Key* key = child.target->row_key();
    if (key == nullptr) {
      return Error(ErrorCode::UNSUPPORTED,
                   "a table without a key is changed by a cascading foreign key during the copy",
                   child.source.to_string());
    }
    SLUICE_ASSIGN(auto rows, read(child, *key, edge, condition));
    for (Found& row : rows) {
      result_.push_back({0, child.source, {std::move(row.key_condition)}});
      if (result_.size() > kRowsMax)
        return Error(ErrorCode::UNSUPPORTED, "one transaction cascades to too many rows during the copy",
                     child.source.to_string());
      for (const auto& [next, next_condition] : row.below) SLUICE_TRY(visit(*next, next_condition));
    }
    return {};
  }
  std::vector<RecheckRow> take() { return std::move(result_); }

 private:
  struct Found {
    std::string key_condition;
    std::vector<std::pair<const CascadeGraph::Edge*, std::string>> below;
  };

  Result<std::vector<Found>> read(const CascadeGraph::Table& child, const Key& key, const CascadeGraph::Edge&,
                                  const std::string& condition) {
    const TableSchema& schema = *child.target;
    std::string sql = "SELECT " + mysql::select_list(schema) + " FROM " +
                      mysql::quote_table(schema.database, schema.name) + " WHERE " + condition;
    std::vector<Found> rows;
    std::vector<ValueView> values(schema.columns.size());
    SLUICE_TRY(connection_.stream(sql, [&](const std::vector<mysql::Cell>& cells) -> Status {
      for (size_t i = 0; i < values.size(); ++i) SLUICE_TRY(mysql::decode_cell(schema.columns[i], cells[i], values[i]));
      Found& row = rows.emplace_back();
      for (const KeyPart& part : key.parts) {
        if (!row.key_condition.empty()) row.key_condition += " AND ";
        mysql::append_key_condition(row.key_condition, schema.columns[part.column], values[part.column]);
      }
      for (const CascadeGraph::Edge& edge : child.edges) {
        std::string next;
        if (append_reference(next, schema, values, edge)) row.below.emplace_back(&edge, std::move(next));
      }
      return {};
    }));
    return rows;
  }

 public:
  // "child column = value of the parent's row"; false when a value is NULL (nothing references it).
  bool append_reference(std::string& sql, const TableSchema& parent, std::span<const ValueView> values,
                        const CascadeGraph::Edge& edge) const {
    const auto found = graph_.tables.find(edge.child);
    if (found == graph_.tables.end()) return false;
    const TableSchema& child = *found->second.target;
    for (size_t i = 0; i < edge.child_columns.size(); ++i) {
      const int from = find_column(parent, edge.parent_columns[i]);
      const int to = find_column(child, edge.child_columns[i]);
      if (from < 0 || to < 0 || values[static_cast<size_t>(from)].null) return false;
      if (i > 0) sql += " AND ";
      mysql::append_key_condition(sql, child.columns[static_cast<size_t>(to)], values[static_cast<size_t>(from)]);
    }
    return true;
  }

 private:
  mysql::Connection& connection_;
  const CascadeGraph& graph_;
  std::set<std::pair<TableName, std::string>> visited_;
  std::vector<RecheckRow> result_;
};

}  // namespace

Result<std::vector<RecheckRow>> rows_to_recheck(mysql::Connection& connection, const CascadeGraph& graph,
                                                const TablePlan& plan, RowView before) {
  const auto found = graph.tables.find(plan.target_name);
  if (found == graph.tables.end()) return std::vector<RecheckRow>{};
  std::vector<ValueView> values(plan.event->columns.size());
  SLUICE_TRY(before.decode(*plan.event, values));
  Collector collector(connection, graph);
  for (const CascadeGraph::Edge& edge : found->second.edges) {
    std::string condition;
    if (!collector.append_reference(condition, *plan.event, values, edge)) continue;
    SLUICE_TRY(collector.visit(edge, condition));
  }
  return collector.take();
}

}  // namespace sluice::database
