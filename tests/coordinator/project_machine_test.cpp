#include "tests/coordinator/project_fixture.hpp"

namespace sluice::coordinator {
namespace {

TEST_F(ProjectMachineTest, TheWholeFlowInOrderWithACrashAfterEveryTransition) {
  begin(spec());
  EXPECT_EQ(running(), "precheck ");
  EXPECT_EQ(step_status("TRANSFER_PRECHECK"), "RUNNING");
  crash();
  finish("precheck");
  crash();
  EXPECT_EQ(running(), "store ");
  EXPECT_EQ(step_status("TRANSFER_PRECHECK"), "FINISHED");
  EXPECT_EQ(step_status("TRANSFER_INCR_LOG_PULL"), "RUNNING");
  store_runs();
  crash();
  EXPECT_EQ(running(), "store struct ");
  EXPECT_EQ(find("struct")->spec.struct_phase(), cluster::v1::TABLES);
  EXPECT_EQ(find("store")->spec.start().offset(), 100u);
  EXPECT_EQ(step_status("TRANSFER_INCR_LOG_PULL"), "FINISHED");
  finish("struct");
  crash();
  EXPECT_EQ(running(), "store full ");
  full_finishes();
  crash();
  EXPECT_EQ(running(), "store incr ");
  EXPECT_EQ(step_status("FULL_TRANSFER"), "FINISHED");
  EXPECT_EQ(desired("incr").window_end().offset(), 500u);
  EXPECT_EQ(desired("incr").store_address(), "h:1");
  EXPECT_FALSE(desired("incr").follow_strictly());
  window_closes();
  crash();
  EXPECT_EQ(running(), "store incr struct.fk ");
  EXPECT_EQ(find("struct.fk")->spec.struct_phase(), cluster::v1::FOREIGN_KEYS);
  EXPECT_FALSE(desired("incr").follow_strictly());
  finish("struct.fk");
  crash();
  EXPECT_EQ(running(), "store incr checker ");
  EXPECT_TRUE(desired("incr").follow_strictly());
  EXPECT_FALSE(desired("incr").drain());
  EXPECT_EQ(step_status("INCR_TRANSFER"), "MONITORING");
  finish("checker");
  crash();
  EXPECT_EQ(running(), "store incr ");
  EXPECT_TRUE(desired("incr").drain());
  EXPECT_EQ(state_.verification(), "EQUAL");
  finish("incr");
  crash();
  EXPECT_EQ(running(), "store struct.end ");
  EXPECT_EQ(find("struct.end")->spec.struct_phase(), cluster::v1::COUNTERS);
  EXPECT_TRUE(desired("store").stop());
  EXPECT_EQ(state_.status(), "RUNNING") << "the counters are behind the source's";
  finish("struct.end");
  EXPECT_EQ(running(), "store ");
  status("store", cluster::v1::STOPPED);
  step();
  EXPECT_EQ(running(), "");
  EXPECT_EQ(state_.status(), "FINISHED");
  for (const auto& step : state_.steps()) EXPECT_EQ(step.status(), "FINISHED") << step.name();
}

// The indexes come after the copy and before the log is replayed, and a crash between changes nothing.
TEST_F(ProjectMachineTest, DeferredIndexesAreAStepAfterTheCopy) {
  for (bool old_name : {true, false}) {
    views_.clear();
    auto request = spec();
    if (old_name)
      request.mutable_struct_transfer_config()->set_defer_index_creation(true);
    else
      request.mutable_struct_transfer_config()->set_index_migration_type("AFTER_FULL_TRANSFER");
    begin(request);
    ASSERT_EQ(state_.steps_size(), 7);
    EXPECT_EQ(state_.steps(4).name(), "INDEX_TRANSFER");
    finish("precheck");
    store_runs();
    EXPECT_TRUE(find("struct")->spec.defer_indexes());
    finish("struct");
    EXPECT_EQ(step_status("INDEX_TRANSFER"), "INIT");
    full_finishes();
    crash();
    EXPECT_EQ(running(), "store struct.idx ");
    EXPECT_EQ(find("struct.idx")->spec.struct_phase(), cluster::v1::INDEXES);
    EXPECT_EQ(step_status("INDEX_TRANSFER"), "RUNNING");
    fail("struct.idx", Error(ErrorCode::STATEMENT_FAILED, "no space", "a.t"));
    status("store", cluster::v1::STOPPED);
    step();
    EXPECT_EQ(state_.status(), "FAILED");
    EXPECT_EQ(step_status("INDEX_TRANSFER"), "FAILED");
    EXPECT_EQ(step_status("STRUCT_TRANSFER"), "FINISHED");
    views_.erase("np.struct.idx");
    command(resume_project(state_, {}, now_));
    EXPECT_EQ(running(), "store struct.idx ");
    finish("struct.idx");
    crash();
    EXPECT_EQ(running(), "store incr ");
    EXPECT_EQ(step_status("INDEX_TRANSFER"), "FINISHED");
    window_closes();
    EXPECT_EQ(running(), "store incr struct.fk ");
  }
}

TEST_F(ProjectMachineTest, IndexesAreNotDeferredUnasked) {
  begin(spec());
  finish("precheck");
  store_runs();
  EXPECT_FALSE(find("struct")->spec.defer_indexes());
  EXPECT_EQ(step_status("INDEX_TRANSFER"), "absent");
}

TEST_F(ProjectMachineTest, WithoutIncrementalTheWindowIsClosedAndTheLogLetGo) {
  begin(spec(true, true, false, true));
  finish("precheck");
  store_runs();
  finish("struct");
  full_finishes();
  EXPECT_EQ(running(), "store incr ");
  EXPECT_FALSE(find("incr")->spec.with_incremental());
  EXPECT_EQ(step_status("FULL_TRANSFER"), "RUNNING") << "a copy is consistent only when its window is closed";
  finish("incr");
  EXPECT_EQ(step_status("FULL_TRANSFER"), "FINISHED");
  EXPECT_EQ(running(), "store struct.fk ");
  EXPECT_TRUE(desired("store").stop());
  status("store", cluster::v1::STOPPED);
  step();
  EXPECT_EQ(running(), "struct.fk ");
  finish("struct.fk");
  EXPECT_EQ(running(), "checker ");
  finish("checker");
  EXPECT_EQ(state_.status(), "FINISHED");
}

TEST_F(ProjectMachineTest, IncrementalOnlyBeginsAtTheStoresStart) {
  begin(spec(false, false, true, false, "FOLLOW"));
  finish("precheck");
  store_runs();
  EXPECT_EQ(running(), "store incr ");
  EXPECT_EQ(desired("incr").window_end().offset(), 100u);
  window_closes();
  EXPECT_EQ(running(), "store incr ");
  EXPECT_TRUE(desired("incr").follow_strictly());
}

TEST_F(ProjectMachineTest, SchemaOnlyVerifyOnlyAndPrecheckOnly) {
  begin(spec(true, false, false, false));
  finish("precheck");
  EXPECT_EQ(running(), "struct ");
  finish("struct");
  EXPECT_EQ(running(), "struct.fk ");
  finish("struct.fk");
  EXPECT_EQ(state_.status(), "FINISHED");
  views_.clear();
  begin(spec(false, false, false, true));
  finish("precheck");
  EXPECT_EQ(running(), "checker ");
  finish("checker");
  EXPECT_EQ(state_.status(), "FINISHED");
  views_.clear();
  begin(spec(false, false, false, false));
  finish("precheck");
  EXPECT_EQ(state_.status(), "FINISHED");
}

TEST_F(ProjectMachineTest, FollowGoesOnUntilFinishAndVerifiesFirst) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  EXPECT_FALSE(desired("checker").finish_when_settled());
  command(finish_project(state_, now_));
  EXPECT_TRUE(desired("checker").finish_when_settled());
  EXPECT_FALSE(desired("incr").drain());
  command(finish_project(state_, now_));
  finish("checker");
  EXPECT_TRUE(desired("incr").drain());
  finish("incr");
  finish("struct.end");
  finish("store");
  EXPECT_EQ(state_.status(), "FINISHED");
}

TEST_F(ProjectMachineTest, FollowStaysAfterVerification) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  finish("checker");
  EXPECT_EQ(running(), "store incr ");
  EXPECT_FALSE(desired("incr").drain());
  EXPECT_EQ(state_.status(), "RUNNING");
}

TEST_F(ProjectMachineTest, AStoreThatFailsLaterFailsItsStep) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  fail("store", Error(ErrorCode::SOURCE_DIVERGED, "reset"));
  EXPECT_EQ(step_status("TRANSFER_INCR_LOG_PULL"), "FAILED");
  now_ += 31'000'000;  // the others do not answer
  step();
  EXPECT_EQ(state_.status(), "FAILED");
  EXPECT_EQ(running(), "");
}

TEST_F(ProjectMachineTest, TablesAreCopiedAgainAndGetTheirForeignKeys) {
  begin(spec(true, true, true, false, "FOLLOW"));
  finish("precheck");
  store_runs();
  finish("struct");
  full_finishes(500);
  needs_copy("t", 1);
  step();
  EXPECT_EQ(running(), "store incr full.r1 ");
  ASSERT_EQ(find("full.r1")->spec.tables_size(), 1);
  EXPECT_EQ(find("full.r1")->spec.tables(0).table(), "t");
  EXPECT_EQ(desired("incr").recopied_tables_size(), 0);
  needs_copy("u", 1);  // while it runs: the next round
  step();
  EXPECT_EQ(find("full.r1")->spec.tables_size(), 1);
  crash();
  full_finishes(400, "full.r1");
  EXPECT_EQ(desired("incr").window_end().offset(), 500u) << "the greater end counts";
  EXPECT_EQ(net::from_proto(desired("incr").recopied_tables(0)), (TableCopy{{"a", "t"}, 1}));
  EXPECT_TRUE(has("full.r2"));
  full_finishes(900, "full.r2");
  EXPECT_EQ(desired("incr").window_end().offset(), 900u);
  status("incr").mutable_incr_sync()->clear_needs_copy();
  window_closes();
  EXPECT_TRUE(has("struct.fk.2"));
  EXPECT_EQ(find("struct.fk.2")->spec.tables_size(), 0) << "the first time all tables get theirs";
  finish("struct.fk.2");
  EXPECT_TRUE(desired("incr").follow_strictly());
  // A table enters later: copied while Incr-Sync follows, then its foreign keys.
  needs_copy("v", 1);
  step();
  EXPECT_TRUE(has("full.r3"));
  EXPECT_FALSE(desired("incr").follow_strictly()) << "the new table will have no foreign keys";
  full_finishes(1200, "full.r3");
  EXPECT_FALSE(has("struct.fk.3")) << "its window is still open";
  EXPECT_FALSE(desired("incr").follow_strictly());
  crash();
  status("incr").mutable_incr_sync()->clear_needs_copy();
  step();
  EXPECT_TRUE(has("struct.fk.3"));
  ASSERT_EQ(find("struct.fk.3")->spec.tables_size(), 1);
  EXPECT_EQ(find("struct.fk.3")->spec.tables(0).table(), "v") << "the others have theirs, as the log has changed them";
  EXPECT_FALSE(desired("incr").follow_strictly());
  finish("struct.fk.3");
  EXPECT_TRUE(desired("incr").follow_strictly());
}

TEST_F(ProjectMachineTest, ACopyVoidsWhatWasComparedBefore) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  finish("checker");
  needs_copy("u", 2);
  step();
  EXPECT_EQ(state_.verification(), "");
  EXPECT_EQ(find("full.r1")->spec.tables(0).table(), "u");
  full_finishes(900, "full.r1");
  status("incr").mutable_incr_sync()->clear_needs_copy();
  window_closes();
  EXPECT_FALSE(has("checker.1")) << "not before its keys are there";
  finish("struct.fk.1");
  finish("checker.1");
  EXPECT_EQ(state_.verification(), "EQUAL");
}

// While it drains the source goes on: what is not compared is said.
TEST_F(ProjectMachineTest, ACopyAtTheDrainIsUnsettled) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  finish("checker");
  command(finish_project(state_, now_));
  EXPECT_TRUE(desired("incr").drain());
  needs_copy("t", 2);
  step();
  EXPECT_EQ(state_.verification(), "UNSETTLED");
  EXPECT_EQ(state_.unsettled(), 1u);
}

TEST_F(ProjectMachineTest, HoldsGoFromCheckerToIncrSyncAndBackAndSurviveARestart) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  EXPECT_FALSE(desired("incr").has_hold());
  status("checker").mutable_checker()->set_wish_hold(7);
  step();
  EXPECT_EQ(desired("incr").hold().id(), 7u);
  EXPECT_GT(desired("incr").hold().patience_ms(), 0);
  auto& answer = *status("incr").mutable_incr_sync()->mutable_hold();
  answer.set_id(7);
  answer.set_paused(true);
  views_["np.incr"].epoch = 3;
  step();
  EXPECT_TRUE(desired("checker").hold_answer().paused());
  EXPECT_EQ(desired("checker").hold_answer().incr_sync_epoch(), 3u);
  *status("checker").mutable_checker()->mutable_wish_apply_to() = at(800);
  step();
  EXPECT_EQ(desired("incr").hold().apply_to().offset(), 800u);
  auto kept = views_;
  views_.clear();
  auto decision = decide(state_, views_, now_);
  bool held = false;
  for (const auto& component : decision.wanted.components) held = held || component.desired.hold().id() == 7;
  EXPECT_TRUE(held) << "a restarted coordinator must not release it by not knowing";
  views_ = kept;
  status("checker").mutable_checker()->set_wish_hold(0);
  step();
  EXPECT_FALSE(desired("incr").has_hold());
}

TEST_F(ProjectMachineTest, DifferencesAreAResultNotAFailure) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  status("checker", cluster::v1::FINISHED).mutable_checker()->set_differences(3);
  step();
  EXPECT_EQ(state_.verification(), "DIFFERENT");
  EXPECT_EQ(state_.differences(), 3u);
  EXPECT_EQ(state_.status(), "RUNNING");
  EXPECT_EQ(step_status("FULL_VERIFIER"), "FINISHED");
}

TEST_F(ProjectMachineTest, ACheckerThatEndsWithItsVerdictAsErrorHasDoneItsWork) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  fail("checker", Error(ErrorCode::UNSETTLED_ROWS, "2 rows"));
  EXPECT_EQ(state_.verification(), "UNSETTLED");
  EXPECT_TRUE(state_.ending().empty());
}

TEST_F(ProjectMachineTest, AStoreThatMovesIsAnnounced) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  status("store").mutable_store()->set_address("h:2");
  step();
  EXPECT_EQ(desired("incr").store_address(), "h:2");
  EXPECT_EQ(find("store")->spec.start().offset(), 100u);
}

TEST_F(ProjectMachineTest, WarningsAreKeptOnce) {
  begin(spec());
  status("precheck").add_warnings("low memory");
  step();
  status("precheck").add_warnings("low memory");
  step();
  ASSERT_EQ(state_.warnings_size(), 1);
}

// ---- conflicts ----

TEST_F(ProjectMachineTest, RowsLeftInConflictSinceTheCheckerBeganAreNotEqual) {
  begin(spec(true, true, true, true, "FOLLOW"));
  auto conflicts = [&](uint64_t total, uint64_t skipped) {
    auto& incr = *status("incr").mutable_incr_sync();
    incr.set_conflicts_total(total);
    incr.set_conflicts_skipped(skipped);
  };
  finish("precheck");
  store_runs();
  finish("struct");
  full_finishes();
  conflicts(3, 2);  // the Checker will see these
  window_closes();
  finish("struct.fk");
  EXPECT_EQ(state_.incremental().conflicts_total(), 3u);
  EXPECT_EQ(state_.warnings_size(), 2);
  finish("checker");
  EXPECT_EQ(state_.verification(), "EQUAL") << "they have been mended since";
  crash();
  EXPECT_EQ(state_.verification(), "EQUAL");
  conflicts(5, 2);
  step();
  EXPECT_EQ(state_.verification(), "EQUAL") << "overwritten with the source's rows";
  conflicts(6, 3);
  step();
  EXPECT_EQ(state_.verification(), "UNSETTLED");
  EXPECT_EQ(state_.unsettled(), 1u);
  EXPECT_EQ(state_.warnings_size(), 2) << "told once";
}

TEST_F(ProjectMachineTest, ConflictsWhileTheCheckerRunsAndInTheDrainCountToo) {
  for (bool late : {false, true}) {
    views_.clear();
    begin(spec());
    up_to_following();
    if (!late) status("incr").mutable_incr_sync()->set_conflicts_skipped(4);
    finish("checker");
    if (late) status("incr").mutable_incr_sync()->set_conflicts_skipped(4);
    finish("incr");
    views_.erase("np.incr");
    finish("struct.end");
    status("store", cluster::v1::STOPPED);
    step();
    ASSERT_EQ(state_.status(), "FINISHED");
    EXPECT_EQ(state_.verification(), "UNSETTLED");
    EXPECT_EQ(state_.incremental().conflicts_skipped(), 4u) << "the process is gone, its count is not";
    command(resume_project(state_, again(), now_));
    finish("checker");
    EXPECT_EQ(state_.verification(), "EQUAL") << "compared since";
  }
}

// Metadata are not written at the rate of the data.
TEST_F(ProjectMachineTest, ConflictsAreSampled) {
  begin(spec(true, true, true, false, "FOLLOW"));
  up_to_following();
  for (uint64_t count = 1; count <= 50; ++count) {
    now_ += 100'000;
    status("incr").mutable_incr_sync()->set_conflicts_total(count);
    step();
    EXPECT_EQ(state_.incremental().conflicts_total(), 1u);
    if (count == 49) break;
  }
  now_ += 5'000'000;
  step();
  EXPECT_EQ(state_.incremental().conflicts_total(), 49u);
}

TEST_F(ProjectMachineTest, APrecheckAloneLooksAtWhatTheStepsNeedAndEnds) {
  auto request = spec();
  request.set_precheck_only(true);
  begin(request);
  EXPECT_EQ(running(), "precheck ");
  EXPECT_EQ(find("precheck")->spec.steps_size(), 5);
  finish("precheck");
  EXPECT_EQ(running(), "");
  EXPECT_EQ(state_.status(), "FINISHED");
  EXPECT_EQ(state_.steps_size(), 1);
}

}  // namespace
}  // namespace sluice::coordinator
