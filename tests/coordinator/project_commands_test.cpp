#include "tests/coordinator/project_fixture.hpp"

namespace sluice::coordinator {
namespace {

class ProjectCommandsTest : public ProjectMachineTest {};

cluster::v1::Decision decision(const std::string& position, const std::string& word,
                               const std::string& statement = "") {
  cluster::v1::Decision made;
  made.set_position(position);
  made.set_decision(word);
  made.set_statement(statement);
  return made;
}

// An interruption between the drain and the end: the drain is made once more, and the counters after it.
TEST_F(ProjectCommandsTest, CountersFollowEveryDrain) {
  begin(spec(true, true, true, false));
  up_to_following();
  EXPECT_TRUE(desired("incr").drain());
  finish("incr");
  EXPECT_TRUE(has("struct.end"));
  finish("struct.end");
  status("store", cluster::v1::STOPPED);
  step();
  ASSERT_EQ(state_.status(), "FINISHED");
  command(resume_project(state_, again(), now_));
  EXPECT_TRUE(has("incr"));
  EXPECT_FALSE(has("struct.end")) << "the result of the earlier attempt does not count";
  finish("incr");
  EXPECT_TRUE(has("struct.end"));
}

TEST_F(ProjectCommandsTest, StaleReportsOfAnEarlierAttemptEndNothing) {
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

TEST_F(ProjectCommandsTest, AFailureNamesItsStepEndsTheOthersAndIsResumable) {
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

TEST_F(ProjectCommandsTest, StopWaitsForTheComponentsButNotForEver) {
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

TEST_F(ProjectCommandsTest, ResumeWhileStoppingCallsItOff) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  command(stop_project(state_, now_));
  command(resume_project(state_, {}, now_));
  EXPECT_EQ(state_.status(), "RUNNING");
  EXPECT_FALSE(desired("incr").stop());
}

TEST_F(ProjectCommandsTest, AFinishedProjectCatchesUpAndVerifiesAgain) {
  begin(spec());
  up_to_following();
  finish("checker");
  *status("incr").mutable_incr_sync()->mutable_applied() = at(900);
  finish("incr");
  finish("struct.end");
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
  finish("struct.end");
  status("store", cluster::v1::STOPPED);
  step();
  EXPECT_EQ(state_.status(), "FINISHED");
}

TEST_F(ProjectCommandsTest, ReleaseAndDeleteWorkFromEveryStateAndRepeatedly) {
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
      finish("struct.release");
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

// The rows in the target's bookkeeping go last, when nothing writes there any more.
TEST_F(ProjectCommandsTest, ReleaseTakesTheProjectOutOfTheBookkeeping) {
  for (bool directly : {false, true}) {
    views_.clear();
    begin(spec(true, true, true, true, "FOLLOW"));
    up_to_following();
    command(directly ? delete_project(state_, now_) : release_project(state_, now_));
    EXPECT_FALSE(has("struct.release"));
    for (const char* name : {"incr", "store", "checker"}) status(name, cluster::v1::STOPPED);
    step();
    crash();
    EXPECT_EQ(running(), "struct.release ");
    EXPECT_EQ(find("struct.release")->spec.struct_phase(), cluster::v1::RELEASE);
    EXPECT_FALSE(desired("struct.release").stop());
    EXPECT_EQ(state_.status(), "RELEASING");
    finish("struct.release");
    EXPECT_EQ(state_.status(), directly ? "DELETED" : "RELEASED");
    EXPECT_EQ(state_.warnings_size(), 0);
    EXPECT_EQ(running(), "");
    command(delete_project(state_, now_));
    EXPECT_EQ(state_.status(), "DELETED") << "once is enough";
  }
}

TEST_F(ProjectCommandsTest, ATargetThatIsGoneDoesNotKeepTheProject) {
  for (bool answers : {false, true}) {
    views_.clear();
    begin(spec(true, true, true, true, "FOLLOW"));
    up_to_following();
    command(release_project(state_, now_));
    now_ += 31'000'000;
    step();
    EXPECT_EQ(running(), "struct.release ");
    if (answers)
      fail("struct.release", Error(ErrorCode::ACCESS_DENIED, "the user is gone"));
    else
      now_ += 61'000'000;
    step();
    EXPECT_EQ(state_.status(), "RELEASED");
    ASSERT_EQ(state_.warnings_size(), 1);
    EXPECT_NE(state_.warnings(0).find("meta database"), std::string::npos);
    EXPECT_EQ(state_.warnings(0).find("the user is gone") != std::string::npos, answers);
  }
}

TEST_F(ProjectCommandsTest, DecisionsReachIncrSyncAndStay) {
  begin(spec(true, true, true, true, "FOLLOW"));
  up_to_following();
  EXPECT_EQ(desired("incr").decisions_size(), 0);
  fail("incr", Error(ErrorCode::DDL_FAILED, "no such table", "a.t", "0-1-42#0"));
  for (const char* name : {"store", "checker"}) status(name, cluster::v1::STOPPED);
  step();
  ASSERT_EQ(state_.status(), "FAILED");
  command(decide_position(state_, decision("0-1-42#0", "SKIP"), now_));
  EXPECT_EQ(state_.decisions(0).number(), 1U);
  command(decide_position(state_, decision("0-1-42#0", "SKIP"), now_));
  ASSERT_EQ(state_.decisions_size(), 1);
  EXPECT_EQ(state_.decisions(0).number(), 2U) << "it did not help, so it is another decision";
  EXPECT_EQ(state_.status(), "FAILED") << "the operator resumes";
  views_.clear();
  command(resume_project(state_, {}, now_));
  ASSERT_EQ(desired("incr").decisions_size(), 1);
  EXPECT_EQ(desired("incr").decisions(0).position(), "0-1-42#0");
  crash();
  EXPECT_EQ(desired("incr").decisions_size(), 1);
  // While it runs, too; repeated, nothing changes; another word for the same place counts instead.
  command(decide_position(state_, decision("0-1-50", "OVERWRITE"), now_));
  EXPECT_EQ(desired("incr").decisions_size(), 2);
  auto before = state_.SerializeAsString();
  command(decide_position(state_, decision("0-1-50", "OVERWRITE"), now_ + 5));
  EXPECT_EQ(state_.SerializeAsString(), before);
  command(decide_position(state_, decision("0-1-42#0", "REPLACE", "ALTER TABLE a.t ADD x INT"), now_));
  ASSERT_EQ(desired("incr").decisions_size(), 2);
  EXPECT_EQ(desired("incr").decisions(1).decision(), "REPLACE");
  EXPECT_EQ(desired("incr").decisions(1).statement(), "ALTER TABLE a.t ADD x INT");
}

TEST_F(ProjectCommandsTest, DecisionsAreCheckedAndTheirNumberIsBounded) {
  begin(spec(true, true, true, true, "FOLLOW"));
  auto refused = [&](const cluster::v1::Decision& made) {
    auto result = decide_position(state_, made, now_);
    return result.ok() ? "accepted" : std::string(result.error().id()) + " " + result.error().object();
  };
  EXPECT_EQ(refused(decision("", "SKIP")), "INVALID_ARGUMENT position");
  EXPECT_EQ(refused(decision("0-1-1#", "SKIP")), "INVALID_ARGUMENT position");
  EXPECT_EQ(refused(decision("0-1-1#x", "SKIP")), "INVALID_ARGUMENT position");
  EXPECT_EQ(refused(decision("0-1-1#0", "OVERWRITE")), "INVALID_ARGUMENT decision");
  EXPECT_EQ(refused(decision("0-1-1#0", "skip")), "INVALID_ARGUMENT decision");
  EXPECT_EQ(refused(decision("0-1-1", "DONE")), "INVALID_ARGUMENT decision");
  EXPECT_EQ(refused(decision("0-1-1", "")), "INVALID_ARGUMENT decision");
  EXPECT_EQ(refused(decision("0-1-1#0", "REPLACE")), "INVALID_ARGUMENT statement");
  EXPECT_EQ(refused(decision("0-1-1#0", "DONE", "DROP TABLE t")), "INVALID_ARGUMENT statement");
  for (const char* word : {"SKIP", "RETRY", "DONE"}) EXPECT_EQ(refused(decision("f.000001:4#12", word)), "accepted");
  for (const char* word : {"SKIP", "OVERWRITE"}) EXPECT_EQ(refused(decision("f.000001:4", word)), "accepted");
  for (int i = 0; i <= kDecisionsMax; ++i)
    state_ = *decide_position(state_, decision("0-1-" + std::to_string(i), "SKIP"), now_);
  EXPECT_EQ(state_.decisions_size(), kDecisionsMax);
  EXPECT_EQ(state_.decisions(0).position(), "0-1-1") << "the oldest was passed long ago";
  for (int i = 0; i < 30; ++i)
    state_ = *decide_position(state_, decision("0-2-" + std::to_string(i) + "#0", "REPLACE", std::string(60'000, 'x')),
                              now_);
  EXPECT_EQ(state_.decisions_size(), 17) << "not more than a MiB of them";
  EXPECT_EQ(state_.decisions(16).position(), "0-2-29#0");
  EXPECT_EQ(refused(decision("0-1-1", "SKIP")), "accepted");
  auto fresh = new_project("np", spec(), now_);
  EXPECT_FALSE(decide_position(fresh, decision("0-1-1", "SKIP"), now_).ok());
  state_.set_status("RELEASED");
  EXPECT_EQ(refused(decision("0-1-1", "SKIP")), "WRONG_STATE np");
}

// Interrupted while it finishes, resumed to follow: it follows.
TEST_F(ProjectCommandsTest, AWishToFinishEndsWithItsAttempt) {
  for (bool drained : {false, true}) {
    views_.clear();
    begin(spec(true, true, true, false, "FOLLOW"));
    up_to_following();
    command(finish_project(state_, now_));
    EXPECT_TRUE(desired("incr").drain());
    if (drained) finish("incr");
    command(stop_project(state_, now_));
    for (const char* name : {"incr", "store", "struct.end"})
      if (has(name)) status(name, cluster::v1::STOPPED);
    step();
    ASSERT_EQ(state_.status(), "SUSPEND");
    command(resume_project(state_, {}, now_));
    EXPECT_TRUE(has("incr"));
    EXPECT_FALSE(desired("incr").drain());
    status("incr");
    step();
    EXPECT_EQ(state_.status(), "RUNNING");
    EXPECT_EQ(step_status("INCR_TRANSFER"), "MONITORING");
    command(finish_project(state_, now_));
    EXPECT_TRUE(desired("incr").drain());
  }
}

// A result that comes while the project is being stopped is one, for its step as well.
TEST_F(ProjectCommandsTest, StepsThatEndWhileTheProjectIsStoppedAreFinished) {
  begin(spec());
  status("precheck");
  command(stop_project(state_, now_));
  finish("precheck");
  ASSERT_EQ(state_.status(), "SUSPEND");
  EXPECT_EQ(step_status("TRANSFER_PRECHECK"), "FINISHED");
  command(resume_project(state_, {}, now_));
  store_runs();
  status("struct");
  command(stop_project(state_, now_));
  status("struct", cluster::v1::FINISHED);
  status("store", cluster::v1::STOPPED);
  step();
  ASSERT_EQ(state_.status(), "SUSPEND");
  EXPECT_EQ(step_status("STRUCT_TRANSFER"), "FINISHED");
  EXPECT_EQ(step_status("FULL_TRANSFER"), "INIT") << "nothing begins";
  command(resume_project(state_, {}, now_));
  EXPECT_EQ(running(), "store full ");
  EXPECT_EQ(step_status("STRUCT_TRANSFER"), "FINISHED");
}

// What stopped a project can be changed when it is resumed, and its error is not that of the next attempt.
TEST_F(ProjectCommandsTest, ResumeChangesOptionsOfWhatRests) {
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
  EXPECT_EQ(find("incr")->spec.on_conflict(), cluster::v1::CONFLICT_SKIP);
  EXPECT_EQ(find("incr")->spec.on_ddl(), cluster::v1::DDL_STOP);
  EXPECT_EQ(find("incr")->spec.throttle_rows_per_second(), 77u);
  EXPECT_TRUE(resume_project(state_, wish, now_).ok()) << "nothing changes";
  command(stop_project(state_, now_));
  wish.set_on_conflict("perhaps");
  auto wrong = resume_project(state_, wish, now_);
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code(), ErrorCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace sluice::coordinator
