// TablePlan: how the rows of one table, in one version of its definition, are written to the target. Pure; built once,
// then shared read-only between the dispatcher and the appliers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "core/table_mapping.hpp"
#include "sinks/database/apply/transaction.hpp"
#include "sinks/database/apply/write_set.hpp"

namespace sluice::database {

// A foreign key by which changes of this table's rows change rows of a child.
struct CascadingKey {
  TableName child;                         // on the target
  std::vector<uint32_t> columns;           // referenced, of the event's schema
  std::vector<std::string> child_columns;  // in the same order
  bool on_delete = false, on_update = false;
};

struct PlanColumn {
  uint32_t event = 0;   // index in the event's schema
  uint32_t target = 0;  // index in the target's definition
};

struct TablePlan {
  SchemaPtr event, target;
  TableName source_name, target_name;
  std::vector<PlanColumn> columns;  // written: in both, not generated on the target
  std::vector<PlanColumn> key;      // by which rows are found; empty = without a key
  std::vector<uint32_t> sensitive;  // event columns that stand in any key, sorted
  std::vector<KeySpec> keys;
  uint64_t table_slot = 0;
  bool never_plain = false;       // a key depends on columns that cannot be told
  bool has_foreign_keys = false;  // its own, or others that refer to it
  bool cascade_child = false;     // rows change by changes of a parent
  bool bulk_update = false;       // many updates can be one join
  std::vector<CascadingKey> cascades;
  // Table slots of what a change that cascades keeps for itself: PlanInput::barrier and this table. Empty: none does.
  std::vector<uint64_t> barrier;
  std::string table_sql;    // `db`.`t`
  std::string columns_sql;  // `a`,`b`

  bool keyless() const { return key.empty(); }
};
using TablePlanPtr = std::shared_ptr<const TablePlan>;

struct PlanInput {
  SchemaPtr event;
  SchemaPtr target;
  std::vector<ForeignKey> own;  // of this table, declared on the source or the target; names of the target
  std::vector<std::pair<TableName, ForeignKey>> children;  // keys of other tables that refer to this one
  // Tables whose rows cascades from this one can change, and all that a foreign key, theirs or one to them, joins to
  // these: the server checks those keys while it cascades.
  std::vector<TableName> barrier;
  bool observe = false;  // nothing is written: columns may have no place on the target
};

// SCHEMA_MISMATCH when a column of the source has no place on the target.
Result<TablePlanPtr> make_plan(const PlanInput& input);

uint64_t slot_of_table(const TableName& target);
int find_column(const TableSchema& schema, std::string_view name);

struct RowMode {
  bool make_it_so = false;
  bool foreign_key_checks = true;
  bool observe = false;  // the table's copy holds the change: it counts only for what it did to children (window)
};
// Adds a row with its claims to a transaction under construction; with `observe` only one that cascades. CORRUPTED when
// the image does not fit.
Status add_row(Transaction& transaction, const TablePlanPtr& plan, RowOp op, RowMode mode, RowView before,
               RowView after);
// Whether the change makes foreign keys change rows of children.
bool cascades(const TablePlan& plan, RowOp op, std::span<const ValueView> before, std::span<const ValueView> after);

// The column definition by which a value of the event is written to or compared on the target.
const Column& column_for_value(const TablePlan& plan, const PlanColumn& column);
// "id=5, region='x'" for messages.
std::string describe_key(const TablePlan& plan, RowView image);

}  // namespace sluice::database
