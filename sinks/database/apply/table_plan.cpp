#include "sinks/database/apply/table_plan.hpp"

#include <algorithm>
#include <set>

#include "engines/mysql/dialect/fold.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::database {
namespace {

std::string table_text(const TableName& name) {
  return mysql::fold_name(name.database) + "\n" + mysql::fold_name(name.table);
}

// Parent and child name the same seed, whatever the order of the columns in the key's declaration.
uint64_t seed_of_reference(const TableName& parent, const std::vector<std::pair<std::string, std::string>>& sorted) {
  std::string text = "reference\n" + table_text(parent);
  for (const auto& [referenced, own] : sorted) text += "\n" + referenced;
  return hash_text(text);
}

std::vector<std::pair<std::string, std::string>> sorted_columns(const ForeignKey& key, bool parent_side) {
  std::vector<std::pair<std::string, std::string>> columns;
  for (size_t i = 0; i < key.referenced_columns.size() && i < key.columns.size(); ++i) {
    columns.emplace_back(mysql::fold_name(key.referenced_columns[i]),
                         parent_side ? key.referenced_columns[i] : key.columns[i]);
  }
  std::sort(columns.begin(), columns.end());
  return columns;
}

class Builder {
 public:
  explicit Builder(const PlanInput& input) : input_(input), plan_(std::make_shared<TablePlan>()) {}

  Result<TablePlanPtr> build() {
    plan_->event = input_.event;
    plan_->target = input_.target;
    plan_->source_name = {input_.event->database, input_.event->name};
    plan_->target_name = {input_.target->database, input_.target->name};
    plan_->table_slot = exclusive_claim(slot_of_table(plan_->target_name));
    plan_->table_sql = mysql::quote_table(plan_->target_name);
    SLUICE_TRY(map_columns());
    find_row_key();
    for (const Key& key : input_.target->keys) {
      if (key.unique || key.primary) add_unique(key);
    }
    std::set<uint64_t> seen;
    for (const ForeignKey& key : input_.own) add_own(key, seen);
    seen.clear();
    for (const auto& [child, key] : input_.children) add_child(child, key, seen);
    plan_->has_foreign_keys = !input_.own.empty() || !input_.children.empty();
    if (!plan_->cascades.empty()) {
      plan_->barrier.push_back(plan_->table_slot);
      for (const TableName& name : input_.barrier) plan_->barrier.push_back(exclusive_claim(slot_of_table(name)));
    }
    std::sort(plan_->sensitive.begin(), plan_->sensitive.end());
    plan_->sensitive.erase(std::unique(plan_->sensitive.begin(), plan_->sensitive.end()), plan_->sensitive.end());
    plan_->bulk_update = can_join();
    return TablePlanPtr(plan_);
  }

 private:
  Status map_columns() {
    for (uint32_t i = 0; i < input_.event->columns.size(); ++i) {
      const Column& column = input_.event->columns[i];
      const int target = find_column(*input_.target, column.name);
      if (target < 0) {
        if (column.generated || is_hash_column(column) || input_.observe) continue;
        return Error(ErrorCode::SCHEMA_MISMATCH, "the target has no column `" + column.name + "`",
                     plan_->source_name.to_string());
      }
      if (input_.target->columns[static_cast<size_t>(target)].generated) continue;
      plan_->columns.push_back({i, static_cast<uint32_t>(target)});
    }
    for (const PlanColumn& column : plan_->columns) {
      if (!plan_->columns_sql.empty()) plan_->columns_sql += ',';
      plan_->columns_sql += mysql::quote_name(input_.target->columns[column.target].name);
    }
    if (!plan_->columns.empty() || input_.observe) return {};
    return Error(ErrorCode::SCHEMA_MISMATCH, "no column can be written", plan_->source_name.to_string());
  }

  // The hidden column of a unique key over long values (MariaDB), which the target computes for its own key of that
  // kind; catalogs do not show it.
  bool is_hash_column(const Column& column) const {
    constexpr std::string_view kName = "DB_ROW_HASH_";
    return column.name.starts_with(kName) && column.type == ColumnType::kBigInt && column.is_unsigned &&
           column.name.find_first_not_of("0123456789", kName.size()) == std::string::npos &&
           std::any_of(input_.target->keys.begin(), input_.target->keys.end(),
                       [](const Key& key) { return key.unique && key.hash; });
  }

  int event_of(uint32_t target_column) const {
    return find_column(*input_.event, input_.target->columns[target_column].name);
  }

  void find_row_key() {
    const Key* key = input_.target->row_key();
    if (key == nullptr) return;
    std::vector<PlanColumn> columns;
    for (const KeyPart& part : key->parts) {
      if (part.column == KeyPart::kExpression) return;
      const int event = event_of(part.column);
      if (event < 0) return;
      columns.push_back({static_cast<uint32_t>(event), part.column});
    }
    plan_->key = std::move(columns);
  }

  // One column of a key; false when the key cannot be hashed by it.
  bool add_part(KeySpec& spec, int event, const Column* target) {
    if (event < 0 || target == nullptr) {
      plan_->never_plain = true;
      return false;
    }
    const auto index = static_cast<uint32_t>(event);
    plan_->sensitive.push_back(index);
    spec.columns.push_back(index);
    const Column& column = input_.event->columns[index];
    const Fold fold = fold_of(*target, column.physical());
    spec.folds.push_back(fold);
    if (fold == Fold::kAscii) spec.with_slot = true;
    if (column.generated || target->generated) {
      plan_->never_plain = true;
      return false;
    }
    return fold != Fold::kWhole;
  }

  void add_unique(const Key& key) {
    KeySpec spec;
    spec.seed = hash_text("unique\n" + table_text(plan_->target_name) + "\n" + mysql::fold_name(key.name));
    for (const KeyPart& part : key.parts) {
      const bool expression = part.column == KeyPart::kExpression;
      const Column* target = expression ? nullptr : &input_.target->columns[part.column];
      if (!add_part(spec, expression ? -1 : event_of(part.column), target)) spec.whole = true;
      if (part.prefix_length != 0) spec.whole = true;
    }
    // A NULL that would excuse the row cannot be told when a part is unknown or computed by the target.
    if (plan_->never_plain && spec.whole) spec.columns.clear(), spec.folds.clear();
    plan_->keys.push_back(std::move(spec));
  }

  KeySpec reference(const std::vector<std::pair<std::string, std::string>>& columns, uint64_t seed) {
    KeySpec spec;
    spec.seed = seed;
    for (const auto& [referenced, name] : columns) {
      const int target = find_column(*input_.target, name);
      const Column* column = target < 0 ? nullptr : &input_.target->columns[static_cast<size_t>(target)];
      if (!add_part(spec, find_column(*input_.event, name), column)) spec.whole = true;
    }
    spec.with_slot = true;  // the other side may be unable to hash
    if (spec.whole) spec.columns.clear(), spec.folds.clear();
    return spec;
  }

  void add_own(const ForeignKey& key, std::set<uint64_t>& seen) {
    const auto columns = sorted_columns(key, false);
    const TableName parent{key.referenced_database, key.referenced_table};
    const uint64_t seed = seed_of_reference(parent, columns);
    if (key.changes_child()) plan_->cascade_child = true;
    std::string own = std::to_string(seed);
    for (const auto& [referenced, name] : columns) own += "\n" + mysql::fold_name(name);
    if (!seen.insert(hash_text(own)).second) return;
    KeySpec spec = reference(columns, seed);
    spec.shared = true;
    plan_->keys.push_back(std::move(spec));
  }

  void add_child(const TableName& child, const ForeignKey& key, std::set<uint64_t>& seen) {
    const auto columns = sorted_columns(key, true);
    const uint64_t seed = seed_of_reference(plan_->target_name, columns);
    if (seen.insert(seed).second) plan_->keys.push_back(reference(columns, seed));
    if (!key.changes_child()) return;
    CascadingKey cascade{child,
                         {},
                         key.columns,
                         key.on_delete != ForeignKeyAction::kRestrict,
                         key.on_update != ForeignKeyAction::kRestrict};
    for (const std::string& name : key.referenced_columns) {
      const int event = find_column(*input_.event, name);
      if (event < 0) continue;
      cascade.columns.push_back(static_cast<uint32_t>(event));
    }
    for (const CascadingKey& known : plan_->cascades) {
      if (known.child == child && known.child_columns == cascade.child_columns &&
          known.on_delete == cascade.on_delete && known.on_update == cascade.on_update)
        return;
    }
    plan_->cascades.push_back(std::move(cascade));
  }

  // A derived table of values gives each column one type; only where that changes nothing are updates joined.
  bool can_join() const {
    if (plan_->key.empty()) return false;
    for (const PlanColumn& part : plan_->key) {
      const Column& column = input_.target->columns[part.target];
      const bool integer = column.type <= ColumnType::kBigInt;
      const Physical physical = input_.event->columns[part.event].physical();
      if (!integer || (physical != Physical::kInt && physical != Physical::kUInt)) return false;
    }
    for (const PlanColumn& part : plan_->columns) {
      const Column& column = input_.target->columns[part.target];
      switch (column.type) {
        case ColumnType::kText:
        case ColumnType::kBlob:
        case ColumnType::kJson:
        case ColumnType::kGeometry:
        case ColumnType::kUuid:
        case ColumnType::kInet4:
        case ColumnType::kInet6:
        case ColumnType::kVector:
        case ColumnType::kFloat:
        case ColumnType::kDouble:
          return false;
        default:
          break;
      }
      if (column.length > 1024) return false;
    }
    return true;
  }

  const PlanInput& input_;
  std::shared_ptr<TablePlan> plan_;
};

bool equal_in(std::span<const uint32_t> columns, std::span<const ValueView> a, std::span<const ValueView> b) {
  return std::all_of(columns.begin(), columns.end(), [&](uint32_t column) { return a[column] == b[column]; });
}

// Whether the row takes a referenced key that an unlogged cascade may have removed: only rows that are themselves
// children of a cascading key go away without a trace in the log.
bool brings_key(const TablePlan& plan, RowOp op, std::span<const ValueView> before, std::span<const ValueView> after) {
  if (op == RowOp::kDelete || !plan.cascade_child) return false;
  return std::any_of(plan.cascades.begin(), plan.cascades.end(), [&](const CascadingKey& key) {
    return op == RowOp::kInsert || !equal_in(key.columns, before, after);
  });
}

}  // namespace

int find_column(const TableSchema& schema, std::string_view name) {
  for (size_t i = 0; i < schema.columns.size(); ++i) {
    if (mysql::same_name(schema.columns[i].name, name)) return static_cast<int>(i);
  }
  return -1;
}

uint64_t slot_of_table(const TableName& target) { return hash_text("table\n" + table_text(target)); }

Result<TablePlanPtr> make_plan(const PlanInput& input) { return Builder(input).build(); }

bool cascades(const TablePlan& plan, RowOp op, std::span<const ValueView> before, std::span<const ValueView> after) {
  if (op == RowOp::kInsert) return false;
  for (const CascadingKey& key : plan.cascades) {
    if (op == RowOp::kDelete && key.on_delete) return true;
    if (op == RowOp::kUpdate && key.on_update && !equal_in(key.columns, before, after)) return true;
  }
  return false;
}

Status add_row(Transaction& transaction, const TablePlanPtr& plan, RowOp op, RowMode mode, RowView before,
               RowView after) {
  thread_local std::vector<ValueView> old_values, new_values;
  old_values.resize(plan->event->columns.size());
  new_values.resize(plan->event->columns.size());
  if (mode.observe) {
    if (plan->cascades.empty() || !mode.foreign_key_checks) return {};
    if (op != RowOp::kInsert) SLUICE_TRY(before.decode(*plan->event, old_values));
    if (op != RowOp::kDelete) SLUICE_TRY(after.decode(*plan->event, new_values));
    if (!cascades(*plan, op, old_values, new_values) && !brings_key(*plan, op, old_values, new_values)) return {};
  }
  RowChange row;
  row.observe = mode.observe;
  row.plan = plan.get();
  row.op = op;
  row.make_it_so = mode.make_it_so && !plan->keyless();
  row.foreign_key_checks = mode.foreign_key_checks && !mode.make_it_so;
  row.before = before;
  row.after = after;
  row.first_claim = static_cast<uint32_t>(transaction.claims.size());
  if (op != RowOp::kInsert) {
    SLUICE_TRY(before.decode(*plan->event, old_values));
    for (const KeySpec& key : plan->keys) key.append_claims(old_values, transaction.claims);
  }
  if (op != RowOp::kDelete) {
    SLUICE_TRY(after.decode(*plan->event, new_values));
    row.plain = op == RowOp::kUpdate && !plan->never_plain && !plan->keyless() &&
                equal_in(plan->sensitive, old_values, new_values);
    if (!row.plain) {
      for (const KeySpec& key : plan->keys) key.append_claims(new_values, transaction.claims);
    }
  }
  if (plan->keyless()) {
    transaction.claims.push_back(exclusive_claim(plan->table_slot));
  } else if (plan->has_foreign_keys) {
    transaction.claims.push_back(shared_claim(plan->table_slot));  // against barriers
  }
  if (mode.foreign_key_checks && cascades(*plan, op, old_values, new_values)) {
    transaction.alone = true;
    row.recheck = mode.make_it_so;
    transaction.recheck = transaction.recheck || row.recheck;
    for (const uint64_t slot : plan->barrier) transaction.claims.push_back(exclusive_claim(slot));
  }
  if (mode.foreign_key_checks && mode.make_it_so && brings_key(*plan, op, old_values, new_values)) {
    row.new_key = true;
    transaction.recheck = true;
  }
  row.end_claim = static_cast<uint32_t>(transaction.claims.size());
  if (transaction.plans.empty() || transaction.plans.back() != plan) transaction.plans.push_back(plan);
  transaction.rows.push_back(row);
  return {};
}

const Column& column_for_value(const TablePlan& plan, const PlanColumn& column) {
  const Column& event = plan.event->columns[column.event];
  const Column& target = plan.target->columns[column.target];
  return event.physical() == target.physical() ? target : event;
}

std::string describe_key(const TablePlan& plan, RowView image) {
  std::vector<ValueView> values(plan.event->columns.size());
  if (!image.decode(*plan.event, values).ok()) return "?";
  std::string text;
  std::vector<PlanColumn> columns = plan.keyless() ? plan.columns : plan.key;
  constexpr size_t kMaxColumns = 8, kMaxBytes = 256;
  if (columns.size() > kMaxColumns) columns.resize(kMaxColumns);
  for (const PlanColumn& column : columns) {
    if (!text.empty()) text += ", ";
    text += plan.target->columns[column.target].name + "=";
    mysql::append_literal(text, column_for_value(plan, column), values[column.event]);
    if (text.size() > kMaxBytes) return text.substr(0, kMaxBytes) + "...";
  }
  return text;
}

}  // namespace sluice::database
