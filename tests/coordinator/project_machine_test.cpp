#include "coordinator/projects/project_machine.hpp"

#include <gtest/gtest.h>

#include "core/net/convert.hpp"

namespace sluice::coordinator {
namespace {

using cluster::v1::ComponentKind;
using cluster::v1::ComponentState;

store::v1::Position at(uint64_t offset) {
  store::v1::Position position;
  position.set_file("binlog.000001");
  position.set_offset(offset);
  return position;
}

// Plays project actor and cluster: persists, forgets the memory on crash(), and shows what the test says.
class ProjectMachineTest : public ::testing::Test {
 protected:
  static admin::v1::CreateProjectRequest spec(bool structure = true, bool full = true, bool incr = true,
                                              bool verify = true, const char* mode = "ONCE") {
    admin::v1::CreateProjectRequest request;
    request.set_name("p");
    request.set_type("MIGRATION");
    request.set_source_endpoint_id("e_1");
    request.set_sink_endpoint_id("e_2");
    request.set_enable_struct_transfer(structure);
    request.set_enable_full_transfer(full);
    request.set_enable_incr_transfer(incr);
    request.set_enable_full_verify(verify);
    request.set_run_mode(mode);
    return request;
  }
  void begin(const admin::v1::CreateProjectRequest& request) {
    state_ = new_project("np", request, now_);
    step();
    EXPECT_TRUE(wanted_.components.empty());
    command(start_project(state_, now_));
  }
  static admin::v1::ResumeProjectRequest again() {
    admin::v1::ResumeProjectRequest wish;
    wish.set_again(true);
    return wish;
  }
  void command(Result<v1::StoredProject> next) {
    ASSERT_TRUE(next.ok()) << next.error().to_string();
    state_ = *next;
    step();
  }
  void step() {
    for (int i = 0; i < 20; ++i) {
      auto decision = decide(state_, views_, now_);
      if (!decision.changed) {
        wanted_ = std::move(decision.wanted);
        for (auto it = views_.begin(); it != views_.end();)
          it = has(it->first.substr(3)) ? std::next(it) : views_.erase(it);
        return;
      }
      // What is persisted is all that survives.
      std::string bytes = decision.next.SerializeAsString();
      state_.ParseFromString(bytes);
    }
    FAIL() << "the machine does not come to rest";
  }
  // The coordinator dies between persisting and acting, and starts again without knowing the components.
  void crash() {
    auto kept = views_;
    views_.clear();
    step();
    views_ = kept;
    step();
  }

  bool has(const std::string& name) const { return find(name) != nullptr; }
  const WantedComponent* find(const std::string& name) const {
    for (const auto& component : wanted_.components)
      if (component.spec.component_id() == "np." + name) return &component;
    return nullptr;
  }
  const cluster::v1::ComponentDesired& desired(const std::string& name) {
    static const cluster::v1::ComponentDesired kNone;
    return has(name) ? find(name)->desired : kNone;
  }
  // What runs now, in one line.
  std::string running() const {
    std::string text;
    for (const auto& component : wanted_.components) text += component.spec.component_id().substr(3) + " ";
    return text;
  }

  cluster::v1::ComponentStatus& status(const std::string& name, ComponentState state = cluster::v1::RUNNING) {
    auto fresh = std::make_shared<cluster::v1::ComponentStatus>();
    auto& view = views_["np." + name];
    if (view.status) *fresh = *view.status;
    view.component_id = "np." + name;
    view.node = "n1";
    view.epoch = std::max<uint64_t>(view.epoch, 1);
    view.attempt = state_.attempt();
    if (has(name)) view.kind = find(name)->spec.kind();
    fresh->set_state(state);
    view.status = fresh;
    return *fresh;
  }
  void fail(const std::string& name, const Error& error) {
    status(name, cluster::v1::FAILED);
    views_["np." + name].failed = error;
    step();
  }
  void finish(const std::string& name) {
    status(name, cluster::v1::FINISHED);
    step();
  }
  void store_runs() {
    auto& store = *status("store").mutable_store();
    store.set_address("h:1");
    *store.mutable_start() = at(100);
    step();
  }
  void full_finishes(uint64_t window_end = 500, const std::string& name = "full") {
    *status(name, cluster::v1::FINISHED).mutable_full_import()->mutable_window_end() = at(window_end);
    step();
  }
  void window_closes() {
    status("incr").mutable_incr_sync()->set_window_closed(true);
    step();
  }
  void up_to_following() {
    finish("precheck");
    store_runs();
    finish("struct");
    full_finishes();
    window_closes();
    finish("struct.fk");
    status("incr");
    step();
  }
  std::string step_status(const std::string& name) const {
    for (const auto& step : state_.steps())
      if (step.name() == name) return step.status();
    return "absent";
  }

  int64_t now_ = 1'000'000'000;
  v1::StoredProject state_;
  ComponentViews views_;
  WantedProject wanted_;
};

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
  EXPECT_EQ(running(), "store ");
  EXPECT_TRUE(desired("store").stop());
  status("store", cluster::v1::STOPPED);
  step();
  EXPECT_EQ(running(), "");
  EXPECT_EQ(state_.status(), "FINISHED");
  for (const auto& step : state_.steps()) EXPECT_EQ(step.status(), "FINISHED") << step.name();
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

TEST_F(ProjectMachineTest, StaleReportsOfAnEarlierAttemptEndNothing) {
  begin(spec());
  finish("precheck");
  store_runs();
  command(stop_project(state_, now_));
  status("store", cluster::v1::STOPPED);
  step();
  EXPECT_EQ(state_.status(), "SUSPEND");
  command(resume_project(state_, {}, now_));
  auto& view = views_["np.struct"];
  view.component_id = "np.struct";
  view.kind = cluster::v1::STRUCT_TRANSFER;
  view.attempt = 1;  // placed before the resume
  auto done = std::make_shared<cluster::v1::ComponentStatus>();
  done->set_state(cluster::v1::FINISHED);
  view.status = done;
  step();
  EXPECT_FALSE(state_.struct_done());
  view.failed = Error(ErrorCode::DISK_FULL, "old");
  step();
  EXPECT_EQ(state_.status(), "RUNNING");
  EXPECT_TRUE(state_.ending().empty());
  view.failed.reset();
  view.attempt = state_.attempt();
  step();
  EXPECT_TRUE(state_.struct_done());
}

TEST_F(ProjectMachineTest, AFailureNamesItsStepEndsTheOthersAndIsResumable) {
  begin(spec());
  finish("precheck");
  store_runs();
  finish("struct");
  fail("full", Error(ErrorCode::TARGET_NOT_EMPTY, "3 rows", "a.b"));
  EXPECT_EQ(state_.status(), "RUNNING");
  EXPECT_EQ(state_.ending(), "FAILED");
  EXPECT_EQ(running(), "store ");
  EXPECT_TRUE(desired("store").stop());
  status("store", cluster::v1::STOPPED);
  step();
  EXPECT_EQ(state_.status(), "FAILED");
  EXPECT_EQ(step_status("FULL_TRANSFER"), "FAILED");
  ASSERT_EQ(state_.errors_size(), 1);
  EXPECT_EQ(state_.errors(0).object(), "a.b");
  command(resume_project(state_, {}, now_));
  EXPECT_EQ(running(), "store full ");
  EXPECT_EQ(step_status("FULL_TRANSFER"), "RUNNING");
  EXPECT_EQ(wanted_.attempt, 2u);
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

TEST_F(ProjectMachineTest, StopWaitsForTheComponentsButNotForEver) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  command(stop_project(state_, now_));
  EXPECT_EQ(state_.status(), "RUNNING");
  EXPECT_TRUE(desired("incr").stop());
  status("incr", cluster::v1::STOPPED);
  step();
  EXPECT_TRUE(has("store"));
  command(stop_project(state_, now_));
  now_ += 31'000'000;
  step();
  EXPECT_EQ(state_.status(), "SUSPEND");
  EXPECT_EQ(step_status("INCR_TRANSFER"), "SUSPEND");
  command(stop_project(state_, now_));
  EXPECT_EQ(state_.status(), "SUSPEND");
  command(resume_project(state_, {}, now_));
  EXPECT_EQ(state_.status(), "RUNNING");
  EXPECT_TRUE(has("incr") && has("store") && !desired("incr").stop());
}

TEST_F(ProjectMachineTest, ResumeWhileStoppingCallsItOff) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  command(stop_project(state_, now_));
  command(resume_project(state_, {}, now_));
  EXPECT_EQ(state_.status(), "RUNNING");
  EXPECT_FALSE(desired("incr").stop());
}

TEST_F(ProjectMachineTest, TablesAreCopiedAgainAndGetTheirForeignKeys) {
  begin(spec(true, true, true, false, "FOLLOW"));
  finish("precheck");
  store_runs();
  finish("struct");
  full_finishes(500);
  status("incr").mutable_incr_sync()->add_needs_copy("a.t#1");
  step();
  EXPECT_EQ(running(), "store incr full.r1 ");
  ASSERT_EQ(find("full.r1")->spec.tables_size(), 1);
  EXPECT_EQ(find("full.r1")->spec.tables(0), "a.t");
  EXPECT_EQ(desired("incr").recopied_tables_size(), 0);
  status("incr").mutable_incr_sync()->add_needs_copy("a.u#1");  // while it runs: the next round
  step();
  EXPECT_EQ(find("full.r1")->spec.tables_size(), 1);
  crash();
  full_finishes(400, "full.r1");
  EXPECT_EQ(desired("incr").window_end().offset(), 500u) << "the greater end counts";
  EXPECT_EQ(desired("incr").recopied_tables(0), "a.t#1");
  EXPECT_TRUE(has("full.r2"));
  full_finishes(900, "full.r2");
  EXPECT_EQ(desired("incr").window_end().offset(), 900u);
  status("incr").mutable_incr_sync()->clear_needs_copy();
  window_closes();
  EXPECT_TRUE(has("struct.fk.2"));
  finish("struct.fk.2");
  EXPECT_TRUE(desired("incr").follow_strictly());
  // A table enters later: copied while Incr-Sync follows, then its foreign keys.
  status("incr").mutable_incr_sync()->add_needs_copy("a.v#1");
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
  EXPECT_FALSE(desired("incr").follow_strictly());
  finish("struct.fk.3");
  EXPECT_TRUE(desired("incr").follow_strictly());
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

// What stopped a project can be changed when it is resumed, and its error is not that of the next attempt.
TEST_F(ProjectMachineTest, ResumeChangesOptionsOfWhatRests) {
  begin(spec());
  admin::v1::ResumeProjectRequest wish;
  wish.set_on_conflict("skip");
  wish.set_on_ddl("stop");
  wish.set_throttle_rps(77);
  wish.set_memory_bytes(64 << 20);
  wish.set_allow_dest_table_not_empty(true);
  wish.add_skip_check("LOG_BIN");
  auto early = resume_project(state_, wish, now_);
  ASSERT_FALSE(early.ok()) << "the precheck runs with its old options";
  EXPECT_EQ(early.error().code(), ErrorCode::WRONG_STATE);
  fail("precheck", Error(ErrorCode::TARGET_NOT_EMPTY, "a.t has rows"));
  ASSERT_EQ(state_.status(), "FAILED");
  ASSERT_EQ(state_.errors_size(), 1);
  command(resume_project(state_, wish, now_));
  EXPECT_EQ(state_.errors_size(), 0);
  const auto& precheck = find("precheck")->spec;
  EXPECT_TRUE(precheck.allow_not_empty());
  EXPECT_EQ(precheck.skip_checks(0), "LOG_BIN");
  EXPECT_EQ(precheck.memory_bytes(), 64u << 20);
  up_to_following();
  EXPECT_EQ(find("incr")->spec.on_conflict(), "skip");
  EXPECT_EQ(find("incr")->spec.on_ddl(), "stop");
  EXPECT_EQ(find("incr")->spec.throttle_rows_per_second(), 77u);
  EXPECT_TRUE(resume_project(state_, wish, now_).ok()) << "nothing changes";
  command(stop_project(state_, now_));
  wish.set_on_conflict("perhaps");
  auto wrong = resume_project(state_, wish, now_);
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code(), ErrorCode::INVALID_ARGUMENT);
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

TEST_F(ProjectMachineTest, AFinishedProjectCatchesUpAndVerifiesAgain) {
  begin(spec());
  up_to_following();
  finish("checker");
  *status("incr").mutable_incr_sync()->mutable_applied() = at(900);
  finish("incr");
  finish("store");
  ASSERT_EQ(state_.status(), "FINISHED");
  EXPECT_FALSE(resume_project(state_, {}, now_).ok());
  EXPECT_TRUE(stop_project(state_, now_).ok() == false);
  command(resume_project(state_, again(), now_));
  EXPECT_EQ(running(), "store incr checker ");
  EXPECT_EQ(find("store")->spec.start().offset(), 900u);
  EXPECT_EQ(step_status("FULL_TRANSFER"), "FINISHED");
  EXPECT_FALSE(desired("incr").drain());
  EXPECT_TRUE(desired("incr").follow_strictly());
  finish("checker");
  EXPECT_TRUE(desired("incr").drain());
  finish("incr");
  EXPECT_EQ(state_.status(), "FINISHED");
}

TEST_F(ProjectMachineTest, ReleaseAndDeleteWorkFromEveryStateAndRepeatedly) {
  for (const char* from : {"INIT", "RUNNING", "SUSPEND", "FAILED", "FINISHED"}) {
    views_.clear();
    state_ = new_project("np", spec(), now_);
    if (std::string(from) == "RUNNING") {
      command(start_project(state_, now_));
      finish("precheck");
      store_runs();
    } else {
      state_.set_status(from);
    }
    command(release_project(state_, now_));
    if (has("store")) {
      EXPECT_EQ(state_.status(), "RELEASING");
      EXPECT_TRUE(desired("store").stop());
      status("store", cluster::v1::STOPPED);
      step();
    }
    EXPECT_EQ(state_.status(), "RELEASED") << from;
    command(release_project(state_, now_));
    EXPECT_FALSE(start_project(state_, now_).ok());
    EXPECT_FALSE(resume_project(state_, {}, now_).ok());
    command(delete_project(state_, now_));
    EXPECT_EQ(state_.status(), "DELETED") << from;
    command(delete_project(state_, now_));
  }
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

}  // namespace
}  // namespace sluice::coordinator
