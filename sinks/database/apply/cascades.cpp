#include "sinks/database/apply/cascades.hpp"

#include <set>

#include "engines/mysql/dialect/fold.hpp"
#include "engines/mysql/row_decoder.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::database {
namespace {

constexpr size_t kRowsMax = 1'000'000;  // of one transaction

class Collector {
 public:
  Collector(mysql::Connection& connection, const CascadeGraph& graph) : connection_(connection), graph_(graph) {}

  // All rows of the edge's child that hold `values` in its columns, and what is below them.
  Status visit(const CascadeGraph::Edge& edge, const std::vector<ValueView>& values) {
    const auto found = graph_.tables.find(edge.child);
    if (found == graph_.tables.end()) return {};
    const CascadeGraph::Table& child = found->second;
    std::string condition;
    for (size_t i = 0; i < values.size(); ++i) {
      const int column = find_column(*child.target, edge.child_columns[i]);
      if (column < 0) return {};
      if (i > 0) condition += " AND ";
      mysql::append_key_condition(condition, child.target->columns[static_cast<size_t>(column)], values[i]);
    }
    SLUICE_TRY(visit(edge.child, condition, true));
    // A key that is handed down unchanged: rows further below may hold the value although the row between does not,
    // because that one still shows what it was before an earlier cascade.
    for (const CascadeGraph::Edge& next : child.edges) {
      std::vector<ValueView> passed;
      for (const std::string& column : next.parent_columns) {
        for (size_t i = 0; i < edge.child_columns.size(); ++i) {
          if (mysql::same_name(edge.child_columns[i], column)) passed.push_back(values[i]);
        }
      }
      if (passed.size() != next.parent_columns.size() || next.parent_columns.empty()) continue;
      if (handed_down_.insert({&next, condition}).second) SLUICE_TRY(visit(next, passed));
    }
    return {};
  }

  // The rows of `table` that `condition` names (recorded if `record`), and what is below them.
  Status visit(const TableName& table, const std::string& condition, bool record) {
    const auto found = graph_.tables.find(table);
    if (found == graph_.tables.end() || !visited_.insert({table, condition}).second) return {};
    const CascadeGraph::Table& here = found->second;
    const Key* key = here.target->row_key();
    if (key == nullptr) {
      return Error(ErrorCode::UNSUPPORTED,
                   "a table without a key is changed by a cascading foreign key during the copy",
                   here.source.to_string());
    }
    SLUICE_ASSIGN(auto rows, read(here, *key, condition));
    for (Found& row : rows) {
      if (record) result_.push_back({0, here.source, {std::move(row.key_condition)}});
      for (const auto& below : row.below) {
        std::vector<ValueView> values(below.values.size());
        for (size_t i = 0; i < values.size(); ++i) {
          values[i] = below.values[i].first;
          values[i].bytes = below.values[i].second;
        }
        SLUICE_TRY(visit(*below.edge, values));
      }
    }
    return {};
  }
  std::vector<RecheckRow> take() { return std::move(result_); }

 private:
  struct Below {
    const CascadeGraph::Edge* edge;
    std::vector<std::pair<ValueView, std::string>> values;  // with their own bytes
  };
  struct Found {
    std::string key_condition;
    std::vector<Below> below;
  };

  Result<std::vector<Found>> read(const CascadeGraph::Table& table, const Key& key, const std::string& condition) {
    const TableSchema& schema = *table.target;
    const std::string sql = "SELECT " + mysql::select_list(schema) + " FROM " +
                            mysql::quote_table(schema.database, schema.name) + " WHERE " + condition;
    std::vector<Found> rows;
    std::vector<ValueView> values(schema.columns.size());
    SLUICE_TRY(connection_.stream(sql, [&](const std::vector<mysql::Cell>& cells) -> Status {
      for (size_t i = 0; i < values.size(); ++i) SLUICE_TRY(mysql::decode_cell(schema.columns[i], cells[i], values[i]));
      if (result_.size() + rows.size() >= kRowsMax)  // here, before they fill the memory
        return Error(ErrorCode::UNSUPPORTED, "one transaction cascades to too many rows during the copy",
                     table.source.to_string());
      Found& row = rows.emplace_back();
      for (const KeyPart& part : key.parts) {
        if (!row.key_condition.empty()) row.key_condition += " AND ";
        mysql::append_key_condition(row.key_condition, schema.columns[part.column], values[part.column]);
      }
      for (const CascadeGraph::Edge& edge : table.edges) {
        Below below{&edge, {}};
        for (const ValueView& value : referenced(schema, values, edge))
          below.values.emplace_back(value, std::string(value.bytes));
        if (!below.values.empty()) row.below.push_back(std::move(below));
      }
      return {};
    }));
    return rows;
  }

 public:
  // The values by which children refer to this row; empty when one is NULL (nothing references it).
  static std::vector<ValueView> referenced(const TableSchema& parent, std::span<const ValueView> values,
                                           const CascadeGraph::Edge& edge) {
    std::vector<ValueView> found;
    for (const std::string& name : edge.parent_columns) {
      const int column = find_column(parent, name);
      if (column < 0 || values[static_cast<size_t>(column)].null) return {};
      found.push_back(values[static_cast<size_t>(column)]);
    }
    return found;
  }

 private:
  mysql::Connection& connection_;
  const CascadeGraph& graph_;
  std::set<std::pair<TableName, std::string>> visited_;
  std::set<std::pair<const CascadeGraph::Edge*, std::string>> handed_down_;
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
    const auto referenced = Collector::referenced(*plan.event, values, edge);
    if (!referenced.empty()) SLUICE_TRY(collector.visit(edge, referenced));
  }
  return collector.take();
}

Result<std::vector<RecheckRow>> orphans(mysql::Connection& connection, const CascadeGraph& graph) {
  std::set<TableName> children;
  for (const auto& [name, table] : graph.tables) {
    for (const CascadeGraph::Edge& edge : table.edges) children.insert(edge.child);
  }
  Collector collector(connection, graph);
  for (const auto& [name, table] : graph.tables) {
    if (!children.contains(name)) continue;
    for (const CascadeGraph::Edge& edge : table.edges) {
      std::string present, matches;
      for (size_t i = 0; i < edge.child_columns.size(); ++i) {
        const std::string column = mysql::quote_table(edge.child) + "." + mysql::quote_name(edge.child_columns[i]);
        present += column + " IS NOT NULL AND ";
        if (i > 0) matches += " AND ";
        matches += "sluice_parent." + mysql::quote_name(edge.parent_columns[i]) + "=" + column;
      }
      SLUICE_TRY(collector.visit(
          edge.child,
          present + "NOT EXISTS (SELECT 1 FROM " + mysql::quote_table(name) + " sluice_parent WHERE " + matches + ")",
          true));
    }
  }
  return collector.take();
}

Result<std::vector<RecheckRow>> rows_below(mysql::Connection& connection, const CascadeGraph& graph,
                                           const TableName& target, const std::string& condition) {
  Collector collector(connection, graph);
  SLUICE_TRY(collector.visit(target, condition, false));
  return collector.take();
}

}  // namespace sluice::database
