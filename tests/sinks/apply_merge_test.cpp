// Write sets and merging, without a server.
#include <gtest/gtest.h>

#include <deque>

#include "sinks/database/apply/merge.hpp"

namespace sluice::database {
namespace {

Column text(std::string collation) {
  Column column;
  column.name = "c";
  column.type = ColumnType::kVarchar;
  column.charset = "utf8mb4";
  column.collation = std::move(collation);
  column.length = 50;
  return column;
}

Column number(std::string name) {
  Column column;
  column.name = std::move(name);
  column.nullable = false;
  return column;
}

std::vector<Claim> claims_of(const Column& column, const ValueView& value) {
  KeySpec spec;
  spec.seed = 1;
  spec.columns = {0};
  spec.folds = {fold_of(column, column.physical())};
  spec.with_slot = spec.folds[0] == Fold::kAscii;
  std::vector<Claim> claims;
  spec.append_claims(std::span(&value, 1), claims);
  return claims;
}

bool meet(const std::vector<Claim>& a, const std::vector<Claim>& b) {
  for (Claim x : a)
    for (Claim y : b)
      if (claim_slot(x) == claim_slot(y) && !(claim_is_shared(x) && claim_is_shared(y))) return true;
  return false;
}

TEST(ApplyWriteSet, EqualUnderTheCollationAlwaysMeets) {
  const Column ci = text("utf8mb4_general_ci"), bin = text("utf8mb4_bin"), odd = text("utf8mb4_hungarian_ci");
  auto of = [](std::string_view value) { return ValueView::of_bytes(value); };
  EXPECT_TRUE(meet(claims_of(ci, of("Abc")), claims_of(ci, of("aBC  "))));
  EXPECT_FALSE(meet(claims_of(ci, of("abc")), claims_of(ci, of("abd"))));
  EXPECT_TRUE(meet(claims_of(ci, of("\xc3\xa9")), claims_of(ci, of("e"))));
  EXPECT_TRUE(meet(claims_of(ci, of("\xc3\xa9")), claims_of(ci, of("\xc3\xb6"))));
  EXPECT_FALSE(meet(claims_of(bin, of("\xc3\xa9")), claims_of(bin, of("e"))));
  EXPECT_FALSE(meet(claims_of(bin, of("abc")), claims_of(bin, of("ABC"))));
  EXPECT_TRUE(meet(claims_of(bin, of("abc")), claims_of(bin, of("abc "))));
  EXPECT_TRUE(meet(claims_of(odd, of("a")), claims_of(odd, of("b"))));
  EXPECT_TRUE(claims_of(ci, ValueView::of_null(Physical::kBytes)).empty());
}

TEST(ApplyWriteSet, NumbersAndTimesAreNormalised) {
  Column column;
  column.type = ColumnType::kDouble;
  EXPECT_TRUE(meet(claims_of(column, ValueView::of_double(0.0)), claims_of(column, ValueView::of_double(-0.0))));
  column.type = ColumnType::kDecimal;
  EXPECT_TRUE(meet(claims_of(column, ValueView::of_bytes("-0.00")), claims_of(column, ValueView::of_bytes("0.0"))));
  EXPECT_TRUE(meet(claims_of(column, ValueView::of_bytes("12.30")), claims_of(column, ValueView::of_bytes("12.3"))));
  EXPECT_FALSE(meet(claims_of(column, ValueView::of_bytes("12.3")), claims_of(column, ValueView::of_bytes("-12.3"))));
  column.type = ColumnType::kDatetime;
  EXPECT_TRUE(meet(claims_of(column, ValueView::of_bytes("2020-01-01 00:00:00.500")),
                   claims_of(column, ValueView::of_bytes("2020-01-01 00:00:00.5"))));
}

struct Fixture {
  Fixture() {
    TableSchema schema;
    schema.database = "d";
    schema.name = "t";
    schema.columns = {number("id"), number("v")};
    schema.keys = {{"PRIMARY", true, true, {{0, 0}}}};
    plan = *make_plan(
        {std::make_shared<const TableSchema>(schema), std::make_shared<const TableSchema>(schema), {}, {}, {}});
    schema.name = "child";
    auto child_schema = std::make_shared<const TableSchema>(schema);
    ForeignKey key{"f", {"v"}, "d", "t", {"id"}, ForeignKeyAction::kRestrict, ForeignKeyAction::kRestrict};
    child = *make_plan({child_schema, child_schema, {key}, {}, {}});
    parent = *make_plan({plan->event, plan->target, {}, {{{"d", "child"}, key}}, {}});
  }
  RowView image(int64_t id, int64_t v) {
    const ValueView values[] = {ValueView::of_int(id), ValueView::of_int(v)};
    images.push_back(encode_row(*plan->event, values));
    return RowView(images.back());
  }
  void insert(const TablePlanPtr& p, int64_t id, int64_t v) {
    ASSERT_TRUE(add_row(*transaction, p, RowOp::kInsert, {}, {}, image(id, v)).ok());
  }
  void update(const TablePlanPtr& p, int64_t id, int64_t v, int64_t new_id, int64_t new_v) {
    ASSERT_TRUE(add_row(*transaction, p, RowOp::kUpdate, {}, image(id, v), image(new_id, new_v)).ok());
  }
  void remove(const TablePlanPtr& p, int64_t id, int64_t v) {
    ASSERT_TRUE(add_row(*transaction, p, RowOp::kDelete, {}, image(id, v), {}).ok());
  }
  std::vector<std::string> statements() {
    buckets = *merge({transaction}, false);
    std::vector<std::string> texts;
    const auto written = write_statements(buckets);
    for (const auto& statement : *written) texts.push_back(statement.sql);
    return texts;
  }
  TablePlanPtr plan, parent, child;
  std::deque<std::string> images;
  std::vector<Bucket> buckets;
  std::shared_ptr<Transaction> transaction = std::make_shared<Transaction>();
};

TEST(ApplyMerge, RowsOfOneShapeBecomeOneStatement) {
  Fixture f;
  for (int i = 0; i < 3; ++i) f.insert(f.plan, i, i);
  f.remove(f.plan, 7, 7);
  f.insert(f.plan, 4, 4);
  f.remove(f.plan, 8, 8);
  const auto statements = f.statements();
  ASSERT_EQ(statements.size(), 2U);
  EXPECT_EQ(statements[0], "INSERT INTO `d`.`t` (`id`,`v`) VALUES (0,0),(1,1),(2,2),(4,4)");
  EXPECT_EQ(statements[1], "DELETE FROM `d`.`t` WHERE (`id`=7) OR (`id`=8)");
}

TEST(ApplyMerge, AKeyThatIsUsedAgainKeepsItsOrder) {
  Fixture f;
  f.remove(f.plan, 1, 1);
  f.insert(f.plan, 1, 2);
  f.update(f.plan, 1, 2, 1, 3);
  f.remove(f.plan, 1, 3);
  f.insert(f.plan, 1, 4);
  const auto statements = f.statements();
  ASSERT_EQ(statements.size(), 4U);
  EXPECT_EQ(statements[1], "INSERT INTO `d`.`t` (`id`,`v`) VALUES (1,3)");
  EXPECT_EQ(statements[3], "INSERT INTO `d`.`t` (`id`,`v`) VALUES (1,4)");
}

TEST(ApplyMerge, AChildStaysBehindItsParent) {
  Fixture f;
  f.insert(f.child, 10, 5);  // its parent is there already
  f.insert(f.parent, 1, 0);
  f.insert(f.child, 11, 1);  // its parent is the row above
  f.insert(f.child, 12, 5);
  f.remove(f.child, 11, 1);
  f.remove(f.parent, 1, 0);
  const auto statements = f.statements();
  ASSERT_EQ(statements.size(), 5U);
  EXPECT_TRUE(statements[0].starts_with("INSERT INTO `d`.`child` (`id`,`v`) VALUES (10,5)"));
  EXPECT_TRUE(statements[1].starts_with("INSERT INTO `d`.`t`"));
  EXPECT_EQ(statements[2], "INSERT INTO `d`.`child` (`id`,`v`) VALUES (11,1),(12,5)");
  EXPECT_TRUE(statements[3].starts_with("DELETE FROM `d`.`child`"));
  EXPECT_TRUE(statements[4].starts_with("DELETE FROM `d`.`t`"));
}

TEST(ApplyMerge, ManyUpdatesAreOneJoin) {
  Fixture f;
  for (int i = 0; i < 3; ++i) f.update(f.plan, i, 0, i, i + 1);
  for (int i = 0; i < 3; ++i) f.update(f.plan, i, i + 1, i, i + 2);
  const auto statements = f.statements();
  ASSERT_EQ(statements.size(), 1U);
  EXPECT_EQ(statements[0],
            "UPDATE `d`.`t` t JOIN (SELECT 0 k0,2 v1 UNION ALL SELECT 1,3 UNION ALL SELECT 2,4) v ON t.`id`=v.k0 SET "
            "t.`v`=v.v1");
}

}  // namespace
}  // namespace sluice::database
