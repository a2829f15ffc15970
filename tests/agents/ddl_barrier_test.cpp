// The barrier of a DDL statement: what it waits for, and what waits for it.
#include "agents/components/incr_sync/ddl_barrier.hpp"

#include <gtest/gtest.h>

#include "sinks/database/apply/table_plan.hpp"

namespace sluice::agents::incr_sync {
namespace {

const TableName kTable{"d", "t"}, kChild{"d", "c"}, kLeaf{"e", "leaf"}, kOther{"f", "x"};

database::TablePlanPtr plan_of(const TableName& name, std::vector<TableName> barrier = {}) {
  TableSchema schema;
  schema.database = name.database;
  schema.name = name.table;
  Column id;
  id.name = "id";
  id.type = ColumnType::kInt;
  schema.columns = {id};
  Key key;
  key.name = "PRIMARY";
  key.unique = key.primary = true;
  key.parts = {{0, 0}};
  schema.keys = {key};
  const auto shared = std::make_shared<const TableSchema>(std::move(schema));
  std::vector<std::pair<TableName, ForeignKey>> children;
  for (const TableName& child : barrier) {
    ForeignKey reference;
    reference.columns = {"parent"};
    reference.referenced_database = name.database;
    reference.referenced_table = name.table;
    reference.referenced_columns = {"id"};
    reference.on_delete = ForeignKeyAction::kCascade;
    children.emplace_back(child, std::move(reference));
  }
  return std::move(database::make_plan({shared, shared, {}, std::move(children), std::move(barrier)})).value();
}

database::Transaction touching(std::vector<database::TablePlanPtr> plans) {
  database::Transaction transaction;
  transaction.plans = std::move(plans);
  return transaction;
}

TEST(DdlBarrier, WaitsForWhatTouchesItsTables) {
  DdlBarrier barrier;
  const Concerned both{false, {kTable}, {kChild}};
  EXPECT_FALSE(barrier.touched(both));
  const auto other = touching({plan_of(kOther)});
  barrier.opened(other);
  EXPECT_FALSE(barrier.touched(both));
  // The same table twice in one transaction, which is committed once.
  const auto child = plan_of(kChild);
  const auto twice = touching({child, plan_of(kOther), child});
  barrier.opened(twice);
  barrier.opened(touching({child}));
  EXPECT_TRUE(barrier.touched(both));
  EXPECT_FALSE(barrier.touched({false, {kTable}, {}}));
  barrier.committed(twice);
  EXPECT_TRUE(barrier.touched(both));
  barrier.committed(touching({child}));
  EXPECT_FALSE(barrier.touched(both));
  EXPECT_TRUE(barrier.touched({true, {}, {}})) << "everything: another table is still written";
  barrier.committed(other);
  EXPECT_FALSE(barrier.touched({true, {}, {}}));
}

TEST(DdlBarrier, WaitsForCascadesThatReachItsTables) {
  DdlBarrier barrier;
  const auto parent = touching({plan_of(kOther, {kChild, kLeaf})});
  barrier.opened(parent);
  EXPECT_TRUE(barrier.touched({false, {kLeaf}, {}}));
  EXPECT_FALSE(barrier.touched({false, {kTable}, {}}));
}

TEST(DdlBarrier, WaitsForADatabaseAsAWhole) {
  DdlBarrier barrier;
  const Concerned database{false, {{"d", ""}}, {}};
  barrier.opened(touching({plan_of(kOther)}));
  EXPECT_FALSE(barrier.touched(database));
  barrier.opened(touching({plan_of(kChild)}));
  EXPECT_TRUE(barrier.touched(database));
}

TEST(DdlBarrier, HoldsUpItsTablesOnly) {
  DdlBarrier barrier;
  EXPECT_FALSE(barrier.bars(kTable));
  barrier.raise({false, {kTable}, {kChild}});
  EXPECT_TRUE(barrier.raised());
  EXPECT_TRUE(barrier.bars(kTable));
  EXPECT_TRUE(barrier.bars(kChild));
  EXPECT_FALSE(barrier.bars(kOther));
  EXPECT_FALSE(barrier.bars(*plan_of(kOther)));
  EXPECT_TRUE(barrier.bars(*plan_of(kOther, {kChild}))) << "a cascade would reach it";
  barrier.lift();
  EXPECT_FALSE(barrier.raised());
  EXPECT_FALSE(barrier.bars(kTable));
  barrier.raise({false, {{"d", ""}}, {}});
  EXPECT_TRUE(barrier.bars(kTable));
  EXPECT_FALSE(barrier.bars(kLeaf));
  barrier.raise({true, {}, {}});
  EXPECT_TRUE(barrier.bars(kLeaf));
  EXPECT_TRUE(barrier.bars(*plan_of(kOther)));
}

}  // namespace
}  // namespace sluice::agents::incr_sync
