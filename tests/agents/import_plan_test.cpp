// The order of jobs in a full import: the plan is driven by hand, without connections.
#include "agents/components/full_import/import_plan.hpp"

#include <gtest/gtest.h>

namespace sluice::agents::full_import {
namespace {

using Kind = ImportJob::Kind;

PlannedTable table(const std::string& name, uint64_t rows) { return {{"d", name}, {"d", name}, rows}; }

ImportOutcome outcome(const ImportJobPtr& job) {
  ImportOutcome result;
  result.job = job;
  return result;
}

OpenTablePtr opened() {
  TableSchema schema;
  schema.database = "d";
  schema.name = "t";
  schema.columns.resize(1);
  schema.columns[0].name = "id";
  auto definition = std::make_shared<const TableSchema>(schema);
  auto plan = database::LoadPlan::create(definition, definition, database::OnDuplicate::kReplace, true);
  return std::make_shared<const OpenTable>(OpenTable{definition, {}, *plan});
}

mysql::Chunk chunk(uint64_t number, std::vector<std::string> after, std::vector<std::string> upto) {
  mysql::Chunk result;
  result.number = number;
  result.after = std::move(after);
  result.upto = std::move(upto);
  return result;
}

void open(ImportPlan& plan) {
  const auto job = plan.next_job();
  ASSERT_TRUE(job);
  ASSERT_EQ(job->kind, Kind::kOpen);
  auto result = outcome(job);
  result.open = opened();
  plan.finished(result);
}

void close(ImportPlan& plan, uint64_t offset) {
  const auto job = plan.next_job();
  ASSERT_TRUE(job);
  ASSERT_EQ(job->kind, Kind::kClose);
  auto result = outcome(job);
  result.closed.emplace();
  result.closed->window_end = {"b.000001", offset, ""};
  plan.finished(result);
}

TEST(ImportPlan, NothingToDoIsTheEnd) {
  ImportPlan plan({}, 4);
  EXPECT_EQ(plan.next_job(), nullptr);
  EXPECT_TRUE(plan.ended());
  EXPECT_TRUE(plan.complete());
}

TEST(ImportPlan, OneTableFromOpenToClose) {
  ImportPlan plan({table("t", 10)}, 2);
  open(plan);
  auto planning = plan.next_job();
  ASSERT_EQ(planning->kind, Kind::kPlan);
  EXPECT_TRUE(planning->chunk.upto.empty());
  EXPECT_EQ(plan.next_job(), nullptr) << "borders are planned one after another";
  auto planned = outcome(planning);
  planned.chunks = {chunk(0, {}, {"5"}), chunk(1, {"5"}, {})};
  planned.planned_all = true;
  plan.finished(planned);
  auto first = plan.next_job(), second = plan.next_job();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->chunk.number, 0U);
  EXPECT_EQ(second->chunk.number, 1U);
  plan.finished(outcome(second));
  EXPECT_EQ(plan.next_job(), nullptr) << "a table is closed after its last chunk only";
  plan.finished(outcome(first));
  close(plan, 77);
  EXPECT_TRUE(plan.complete());
  EXPECT_EQ(plan.window_end().offset, 77U);
}

TEST(ImportPlan, TablesFirstThenChunksOfOne) {
  ImportPlan plan({table("small", 1), table("large", 100)}, 2);
  auto a = plan.next_job(), b = plan.next_job();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->source.table, "large");
  EXPECT_EQ(b->source.table, "small");
  EXPECT_EQ(plan.next_job(), nullptr);
}

TEST(ImportPlan, AVoidRoundWaitsForItsJobs) {
  ImportPlan plan({table("t", 10)}, 3);
  open(plan);
  auto planned = outcome(plan.next_job());
  planned.chunks = {chunk(0, {}, {"1"}), chunk(1, {"1"}, {"2"}), chunk(2, {"2"}, {"3"})};
  plan.finished(planned);
  auto a = plan.next_job(), b = plan.next_job();
  ASSERT_TRUE(a && b);
  auto changed = outcome(a);
  changed.needs_copy = true;
  plan.finished(changed);
  EXPECT_EQ(plan.next_job(), nullptr) << "a job of the void round is still writing";
  plan.finished(outcome(b));
  auto again = plan.next_job();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->kind, Kind::kOpen);
  EXPECT_TRUE(again->new_round);
}

TEST(ImportPlan, RoundsAreBounded) {
  ImportPlan plan({table("t", 10)}, 1);
  for (uint32_t round = 0; round < ImportPlan::kMaxRounds; ++round) {
    auto job = plan.next_job();
    ASSERT_TRUE(job) << round;
    auto result = outcome(job);
    result.needs_copy = true;
    plan.finished(result);
  }
  EXPECT_EQ(plan.next_job(), nullptr);
  ASSERT_TRUE(plan.error());
  EXPECT_EQ(plan.error()->code(), ErrorCode::COPY_ROUNDS_EXHAUSTED);
  EXPECT_TRUE(plan.ended());
}

TEST(ImportPlan, ChunksGrowToHalfASecond) {
  ImportPlan plan({table("t", 1'000'000)}, 1);
  open(plan);
  uint64_t rows = 0;
  for (uint64_t number = 0; number < 20; ++number) {
    auto planning = plan.next_job();
    ASSERT_EQ(planning->kind, Kind::kPlan);
    rows = planning->chunk_rows;
    auto planned = outcome(planning);
    planned.chunks = {chunk(2 * number, {"1"}, {"2"}), chunk(2 * number + 1, {"1"}, {"2"})};
    plan.finished(planned);
    for (int i = 0; i < 2; ++i) {
      auto job = plan.next_job();
      if (job->kind != Kind::kLoad) {  // planned ahead
        auto more = outcome(job);
        more.chunks = {chunk(100 + number, {"1"}, {"2"})};
        plan.finished(more);
        job = plan.next_job();
      }
      ASSERT_EQ(job->kind, Kind::kLoad);
      auto loaded = outcome(job);
      loaded.rows = rows;
      loaded.seconds = static_cast<double>(rows) / 200'000;  // a target of 200,000 rows per second
      plan.finished(loaded);
    }
  }
  EXPECT_NEAR(static_cast<double>(rows), 100'000, 20'000);
}

TEST(ImportPlan, AnErrorEndsTheImportWhenAllJobsAreBack) {
  ImportPlan plan({table("a", 1), table("b", 1)}, 2);
  auto a = plan.next_job(), b = plan.next_job();
  auto failed = outcome(a);
  failed.error = Error(ErrorCode::VALUE_REJECTED, "x");
  plan.finished(failed);
  EXPECT_EQ(plan.next_job(), nullptr);
  EXPECT_FALSE(plan.ended());
  plan.finished(outcome(b));
  EXPECT_TRUE(plan.ended());
  EXPECT_FALSE(plan.complete());
}

}  // namespace
}  // namespace sluice::agents::full_import
