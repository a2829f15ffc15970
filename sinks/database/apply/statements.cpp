// Writing the statements of merged changes.
#include <algorithm>

#include "engines/mysql/sql_text.hpp"
#include "sinks/database/apply/merge.hpp"

namespace sluice::database {
namespace {

using Values = std::vector<ValueView>;

Status decode(const TablePlan& plan, RowView image, Values& values) {
  values.resize(plan.event->columns.size());
  return image.decode(*plan.event, values);
}

const std::string& target_column(const TablePlan& plan, const PlanColumn& column) {
  return plan.target->columns[column.target].name;
}

// Text that the target keeps in another character set is converted by the target.
void append_value(Statement& statement, const TablePlan& plan, const PlanColumn& column, const ValueView& value) {
  std::string& sql = statement.sql;
  const Column& event = plan.event->columns[column.event];
  const Column& target = plan.target->columns[column.target];
  if (mysql::is_empty_enum(target, value)) ++statement.empty_enums;
  const bool convert = !value.null && event.is_character() && target.is_character() && !event.charset.empty() &&
                       !target.charset.empty() && event.charset != target.charset && event.charset != "binary";
  const bool same = !convert || (event.charset.starts_with("utf8") && target.charset.starts_with("utf8"));
  if (same) {
    mysql::append_literal(sql, column_for_value(plan, column), value);
    return;
  }
  sql += "CONVERT(_" + event.charset;
  mysql::append_quoted(sql, value.bytes);
  sql += " USING " + target.charset + ")";
}

void append_row(Statement& statement, const TablePlan& plan, const Values& values) {
  std::string& sql = statement.sql;
  sql += '(';
  bool first = true;
  for (const PlanColumn& column : plan.columns) {
    if (!first) sql += ',';
    first = false;
    append_value(statement, plan, column, values[column.event]);
  }
  sql += ')';
}

void append_condition(std::string& sql, const TablePlan& plan, const Values& values) {
  bool first = true;
  const auto& columns = plan.keyless() ? plan.columns : plan.key;
  for (const PlanColumn& column : columns) {
    if (!first) sql += " AND ";
    first = false;
    if (plan.keyless()) {
      mysql::append_exact_condition(sql, column_for_value(plan, column), values[column.event]);
    } else {
      mysql::append_key_condition(sql, column_for_value(plan, column), values[column.event]);
    }
  }
}

void append_assignments(Statement& statement, const TablePlan& plan, const Values& values) {
  std::string& sql = statement.sql;
  bool first = true;
  for (const PlanColumn& column : plan.columns) {
    if (!first) sql += ',';
    first = false;
    sql += mysql::quote_name(target_column(plan, column)) + "=";
    append_value(statement, plan, column, values[column.event]);
  }
}

Status append_insert(Statement& statement, const Bucket& bucket, std::string_view verb) {
  std::string& sql = statement.sql;
  const TablePlan& plan = *bucket.plan;
  sql.append(verb).append(" INTO ").append(plan.table_sql).append(" (").append(plan.columns_sql).append(") VALUES ");
  Values values;
  bool first = true;
  for (const Change& change : bucket.changes) {
    SLUICE_TRY(decode(plan, change.after, values));
    if (!first) sql += ',';
    first = false;
    append_row(statement, plan, values);
  }
  return {};
}

Status append_delete(std::string& sql, const Bucket& bucket) {
  const TablePlan& plan = *bucket.plan;
  sql += "DELETE FROM " + plan.table_sql + " WHERE ";
  Values values;
  bool first = true;
  const bool several = bucket.changes.size() > 1;
  for (const Change& change : bucket.changes) {
    SLUICE_TRY(decode(plan, change.before, values));
    if (!first) sql += " OR ";
    first = false;
    if (several) sql += '(';
    append_condition(sql, plan, values);
    if (several) sql += ')';
  }
  if (plan.keyless()) sql += " LIMIT 1";
  return {};
}

Status append_update(Statement& statement, const TablePlan& plan, const Change& change) {
  std::string& sql = statement.sql;
  Values before, after;
  SLUICE_TRY(decode(plan, change.before, before));
  SLUICE_TRY(decode(plan, change.after, after));
  sql += "UPDATE " + plan.table_sql + " SET ";
  append_assignments(statement, plan, after);
  sql += " WHERE ";
  append_condition(sql, plan, before);
  if (plan.keyless()) sql += " LIMIT 1";
  return {};
}

bool in_key(const TablePlan& plan, const PlanColumn& column) {
  return std::any_of(plan.key.begin(), plan.key.end(),
                     [&](const PlanColumn& part) { return part.event == column.event; });
}

// UPDATE t JOIN (SELECT key AS k0, value AS v0 … UNION ALL …) v ON t.key = v.k0 SET t.c = v.v0, …
Status append_joined_update(Statement& statement, const Bucket& bucket) {
  std::string& sql = statement.sql;
  const TablePlan& plan = *bucket.plan;
  sql += "UPDATE " + plan.table_sql + " t JOIN (";
  Values values;
  bool first_row = true;
  for (const Change& change : bucket.changes) {
    SLUICE_TRY(decode(plan, change.after, values));
    sql += first_row ? "SELECT " : " UNION ALL SELECT ";
    for (size_t i = 0; i < plan.key.size(); ++i) {
      if (i > 0) sql += ',';
      append_value(statement, plan, plan.key[i], values[plan.key[i].event]);
      if (first_row) sql += " k" + std::to_string(i);
    }
    for (size_t i = 0; i < plan.columns.size(); ++i) {
      if (in_key(plan, plan.columns[i])) continue;
      sql += ',';
      append_value(statement, plan, plan.columns[i], values[plan.columns[i].event]);
      if (first_row) sql += " v" + std::to_string(i);
    }
    first_row = false;
  }
  sql += ") v ON ";
  for (size_t i = 0; i < plan.key.size(); ++i) {
    if (i > 0) sql += " AND ";
    sql += "t." + mysql::quote_name(target_column(plan, plan.key[i])) + "=v.k" + std::to_string(i);
  }
  sql += " SET ";
  bool first = true;
  for (size_t i = 0; i < plan.columns.size(); ++i) {
    if (in_key(plan, plan.columns[i])) continue;
    if (!first) sql += ',';
    first = false;
    sql += "t." + mysql::quote_name(target_column(plan, plan.columns[i])) + "=v.v" + std::to_string(i);
  }
  return {};
}

bool joins(const Bucket& bucket) {
  const TablePlan& plan = *bucket.plan;
  return bucket.action == Action::kUpdate && bucket.changes.size() > 1 && plan.bulk_update &&
         plan.columns.size() > plan.key.size();
}

Status add_statements(const Bucket& bucket, std::vector<Statement>& statements) {
  auto make = [&](uint64_t rows) -> Statement& {
    Statement& statement = statements.emplace_back();
    statement.rows = rows;
    statement.bucket = &bucket;
    statement.foreign_key_checks = bucket.foreign_key_checks;
    statement.counted = bucket.action != Action::kReplace && bucket.action != Action::kRemove;
    return statement;
  };
  switch (bucket.action) {
    case Action::kObserve: {
      Statement statement;
      statement.bucket = &bucket;
      statement.foreign_key_checks = bucket.foreign_key_checks;
      statements.push_back(std::move(statement));
      return {};
    }
    case Action::kInsert:
      return append_insert(make(bucket.changes.size()), bucket, "INSERT");
    case Action::kReplace:
      return append_insert(make(bucket.changes.size()), bucket, "REPLACE");
    case Action::kDelete:
    case Action::kRemove:
      return append_delete(make(bucket.changes.size()).sql, bucket);
    case Action::kUpdate:
      break;
  }
  if (joins(bucket)) return append_joined_update(make(bucket.changes.size()), bucket);
  for (const Change& change : bucket.changes) SLUICE_TRY(append_update(make(1), *bucket.plan, change));
  return {};
}

}  // namespace

Result<std::vector<Statement>> write_statements(std::span<const Bucket> buckets) {
  std::vector<Statement> statements;
  for (const Bucket& bucket : buckets) SLUICE_TRY(add_statements(bucket, statements));
  return statements;
}

Result<Statement> replace_statement(const TablePlan& plan, RowView after) {
  Bucket bucket;
  bucket.plan = &plan;
  bucket.changes.push_back({{}, after, nullptr, nullptr});
  Statement statement;
  SLUICE_TRY(append_insert(statement, bucket, "REPLACE"));
  return statement;
}

Result<Statement> delete_statement(const TablePlan& plan, RowView key) {
  Bucket bucket;
  bucket.plan = &plan;
  bucket.changes.push_back({key, {}, nullptr, nullptr});
  Statement statement;
  SLUICE_TRY(append_delete(statement.sql, bucket));
  return statement;
}

Result<std::string> key_condition(const TablePlan& plan, RowView key) {
  std::string sql;
  if (plan.keyless()) return sql;
  Values values;
  SLUICE_TRY(decode(plan, key, values));
  append_condition(sql, plan, values);
  return sql;
}

}  // namespace sluice::database
