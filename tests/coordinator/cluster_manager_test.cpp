#include "coordinator/cluster/cluster_manager.hpp"

#include <gtest/gtest.h>

#include "core/net/convert.hpp"
#include "tests/support/manual_clock.hpp"

namespace sluice::coordinator {
namespace {

using namespace std::chrono_literals;
using cluster::v1::ComponentKind;

constexpr auto kTtl = 10'000ms;
constexpr auto kGrace = 2'000ms;

// A cluster manager whose placements are committed at once, and what its agents and projects got to see.
class ClusterManagerTest : public ::testing::Test {
 protected:
  void boot(const std::vector<ClusterManager::StoredPlacement>& placements = {}, std::set<std::string> projects = {}) {
    manager_ = std::make_unique<ClusterManager>(clock_, ClusterLimits{});
    manager_->restore(++term_, kTtl, placements, std::move(projects), {"gone"});
    desired_.clear();
    views_.clear();
  }

  void pump() {
    auto plan = manager_->plan();
    for (const auto& placement : plan) {
      EXPECT_EQ(placement.expected_revision, revisions_[placement.next.component_id()]) << "compare-and-swap";
      stored_[placement.next.component_id()] = placement.next;
    }
    if (!plan.empty()) ++revision_;
    for (const auto& placement : plan) revisions_[placement.next.component_id()] = revision_;
    manager_->commit(plan, revision_);
    for (auto& message : manager_->take_messages()) {
      if (message.message->has_desired()) {
        desired_[message.session] = message.message->desired();
        order_.push_back("desired");
      }
      if (message.message->has_lease()) {
        ++leases_[message.session];
        order_.push_back("lease");
      }
      if (message.close) closed_.insert(message.session);
    }
    for (auto& [project, views] : manager_->take_views()) views_[project] = views;
  }

  void join(uint64_t session, const std::string& node, const std::vector<std::pair<std::string, uint64_t>>& listed = {},
            const std::string& region = "", uint32_t cpus = 2, const std::string& zone = "") {
    cluster::v1::Register about;
    about.set_node_id(node);
    about.set_region(region);
    about.set_zone(zone);
    about.set_cpus(cpus);
    for (const auto& [id, epoch] : listed) {
      auto* status = about.add_components();
      status->set_component_id(id);
      status->set_epoch(epoch);
      status->set_state(cluster::v1::RUNNING);
    }
    manager_->registered(session, about);
    pump();
  }
  void beat(uint64_t session, double cpu = 0, double memory = 0, const std::vector<std::string>& folders = {}) {
    cluster::v1::Heartbeat heartbeat;
    heartbeat.mutable_folders()->Assign(folders.begin(), folders.end());
    heartbeat.set_cpu_load(cpu);
    heartbeat.set_memory_used(memory);
    manager_->heartbeat(session, heartbeat);
    pump();
  }
  void report(uint64_t session, const std::string& id, uint64_t epoch, cluster::v1::ComponentState state,
              std::optional<Error> error = {}) {
    cluster::v1::ComponentStatus status;
    status.set_component_id(id);
    status.set_epoch(epoch);
    status.set_state(state);
    if (error) *status.mutable_error() = net::to_proto(*error);
    manager_->reported(session, status);
    pump();
  }
  void want(const std::string& project, const std::vector<std::pair<std::string, ComponentKind>>& components,
            uint64_t attempt = 1, bool stop = false, const std::string& region = "") {
    WantedProject wanted{project, attempt, false, {}};
    for (const auto& [name, kind] : components) {
      auto& component = wanted.components.emplace_back();
      component.spec.set_project_id(project);
      component.spec.set_component_id(project + "." + name);
      component.spec.set_kind(kind);
      component.desired.set_stop(stop);
      component.region = region;
    }
    manager_->set_wanted(wanted);
    pump();
  }
  // Time passes while these sessions go on with their heartbeats.
  void pass(std::chrono::milliseconds time, const std::vector<uint64_t>& alive = {}) {
    for (auto left = time; left > 0ms; left -= 500ms) {
      clock_.advance(std::min<std::chrono::milliseconds>(left, 500ms));
      for (auto session : alive) beat(session);
      manager_->tick();
      pump();
    }
  }
  uint64_t epoch(uint64_t session, const std::string& id) {
    for (const auto& assignment : desired_[session].assignments())
      if (assignment.spec().component_id() == id) return assignment.spec().epoch();
    return 0;
  }

  testing::ManualClock clock_;
  std::unique_ptr<ClusterManager> manager_;
  uint64_t term_ = 0, revision_ = 0;
  std::map<std::string, uint64_t> revisions_;
  std::map<std::string, v1::StoredComponent> stored_;
  std::map<uint64_t, cluster::v1::NodeDesired> desired_;
  std::map<uint64_t, int> leases_;
  std::set<uint64_t> closed_;
  std::vector<std::string> order_;
  std::map<std::string, ComponentViews> views_;
};

const Error kCrash(ErrorCode::PROCESS_CRASHED, "killed");

TEST_F(ClusterManagerTest, PlacesWithANewEpochAndSpreadsOverEqualNodes) {
  boot();
  join(1, "a");
  join(2, "b");
  want("p", {{"store", cluster::v1::STORE}});
  EXPECT_EQ(epoch(1, "p.store"), 1u);
  want("p", {{"store", cluster::v1::STORE}, {"incr", cluster::v1::INCR_SYNC}});
  EXPECT_EQ(epoch(2, "p.incr"), 1u);
  EXPECT_EQ(desired_[1].assignments_size(), 1);
}

TEST_F(ClusterManagerTest, IncrSyncGoesAwayFromItsStoreWhenLoadIsEqual) {
  boot();
  join(1, "a");
  join(2, "b");
  want("other", {{"x", cluster::v1::CHECKER}});  // on a
  want("p", {{"store", cluster::v1::STORE}});    // on b
  EXPECT_EQ(epoch(2, "p.store"), 1u);
  want("p", {{"store", cluster::v1::STORE}, {"incr", cluster::v1::INCR_SYNC}});
  EXPECT_EQ(epoch(1, "p.incr"), 1u);
}

TEST_F(ClusterManagerTest, PrefersTheRegionAndAvoidsFullNodes) {
  boot();
  join(1, "a", {}, "east");
  join(2, "b", {}, "west");
  want("p", {{"store", cluster::v1::STORE}}, 1, false, "west");
  EXPECT_EQ(epoch(2, "p.store"), 1u);
  beat(2, 0, 0.95);
  want("q", {{"store", cluster::v1::STORE}}, 1, false, "west");
  EXPECT_EQ(epoch(1, "q.store"), 1u) << "a full node takes nothing new";
  beat(1, 0, 0.95);
  want("r", {{"store", cluster::v1::STORE}});
  ASSERT_TRUE(views_["r"]["r.store"].waiting.has_value());
  EXPECT_EQ(views_["r"]["r.store"].waiting->code(), ErrorCode::NO_NODE);
  beat(1, 0.99, 0.5);
  EXPECT_EQ(epoch(1, "r.store"), 1u) << "a busy processor is no reason to wait";
}

TEST_F(ClusterManagerTest, SpreadsAProjectOverZonesWhenNodesAreEqual) {
  boot();
  join(1, "a", {}, "", 2, "z1");
  join(2, "b", {}, "", 2, "z1");
  join(3, "c", {}, "", 2, "z2");
  want("p", {{"store", cluster::v1::STORE}});
  EXPECT_EQ(epoch(1, "p.store"), 1u);
  want("p", {{"store", cluster::v1::STORE}, {"full", cluster::v1::FULL_IMPORT}});
  EXPECT_EQ(epoch(3, "p.full"), 1u) << "b is as empty, but in the zone of the Store";
  want("q", {{"store", cluster::v1::STORE}});
  EXPECT_EQ(epoch(2, "q.store"), 1u) << "load counts more than zones";
}

TEST_F(ClusterManagerTest, WaitsForANodeAndPlacesWhenOneComes) {
  boot();
  want("p", {{"store", cluster::v1::STORE}});
  EXPECT_TRUE(views_["p"]["p.store"].waiting.has_value());
  join(1, "a");
  EXPECT_EQ(epoch(1, "p.store"), 1u);
}

TEST_F(ClusterManagerTest, ALostNodesComponentsMoveAfterLeaseAndGraceNotBefore) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  beat(1);
  join(2, "b");
  manager_->disconnected(1);
  pass(kTtl + kGrace - 500ms, {2});
  EXPECT_EQ(epoch(2, "p.store"), 0u);
  pass(500ms, {2});
  EXPECT_EQ(epoch(2, "p.store"), 2u);
  // The old node wakes up: its report is ignored, and it is told to run nothing.
  join(3, "a", {{"p.store", 1}});
  EXPECT_EQ(desired_[3].assignments_size(), 0);
  report(3, "p.store", 1, cluster::v1::FAILED, Error(ErrorCode::DISK_FULL, "late"));
  EXPECT_FALSE(views_["p"]["p.store"].failed.has_value());
  EXPECT_EQ(views_["p"]["p.store"].node, "b");
}

TEST_F(ClusterManagerTest, AFrozenNodeIsClosedAndGetsNoLeaseBeforeItRegistersAgain) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  pass(kTtl + kGrace);
  EXPECT_TRUE(closed_.contains(1));
  int before = leases_[1];
  beat(1);
  EXPECT_EQ(leases_[1], before) << "a late heartbeat of a lost session renews nothing";
  join(2, "a", {{"p.store", 1}});
  EXPECT_EQ(epoch(2, "p.store"), 2u);
}

TEST_F(ClusterManagerTest, AssignmentsGoOutBeforeTheLease) {
  boot();
  join(1, "a");
  order_.clear();
  // Both change in one round: what is wanted, and the heartbeat.
  WantedProject wanted{"p", 1, false, {}};
  manager_->set_wanted(wanted);
  want("p", {{"store", cluster::v1::STORE}});
  beat(1);
  ASSERT_GE(order_.size(), 2u);
  EXPECT_EQ(order_.front(), "desired");
  EXPECT_EQ(order_.back(), "lease");
}

TEST_F(ClusterManagerTest, ACrashIsAnsweredOnTheSameNodeWithinTheBudget) {
  boot();
  join(1, "a");
  join(2, "b");
  want("p", {{"store", cluster::v1::STORE}});
  for (uint64_t round = 1; round <= 5; ++round) {
    report(1, "p.store", round, cluster::v1::RUNNING);
    report(1, "p.store", round, cluster::v1::FAILED, kCrash);
    report(1, "p.store", round, cluster::v1::FAILED, kCrash);  // said twice, counted once
    pass(5'000ms, {1, 2});
    EXPECT_EQ(epoch(1, "p.store"), round + 1);
  }
  report(1, "p.store", 6, cluster::v1::FAILED, Error(ErrorCode::CONNECT_FAILED, "refused"));
  pass(30'000ms, {1, 2});
  EXPECT_EQ(epoch(1, "p.store"), 6u);
  ASSERT_TRUE(views_["p"]["p.store"].failed.has_value());
  EXPECT_EQ(views_["p"]["p.store"].failed->code(), ErrorCode::RESTART_BUDGET_EXHAUSTED);
  EXPECT_NE(views_["p"]["p.store"].failed->cause().find("CONNECT_FAILED: refused"), std::string::npos);
  // A resumed project has a new budget.
  want("p", {{"store", cluster::v1::STORE}}, 2);
  EXPECT_EQ(epoch(1, "p.store"), 7u);
  report(1, "p.store", 7, cluster::v1::FAILED, kCrash);
  pass(5'000ms, {1, 2});
  EXPECT_EQ(epoch(1, "p.store"), 8u);
}

TEST_F(ClusterManagerTest, TheBudgetForgetsWhatIsLongPast) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  for (uint64_t round = 1; round <= 12; ++round) {
    report(1, "p.store", round, cluster::v1::FAILED, kCrash);
    pass(180'000ms, {1});
    EXPECT_EQ(epoch(1, "p.store"), round + 1);
  }
}

TEST_F(ClusterManagerTest, ErrorsThatAreNotRetryableFailAtOnceButLeaseErrorsDoNot) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  report(1, "p.store", 1, cluster::v1::FAILED, Error(ErrorCode::LEASE_EXPIRED, "frozen"));
  pass(500ms, {1});
  EXPECT_EQ(epoch(1, "p.store"), 2u);
  report(1, "p.store", 2, cluster::v1::FAILED, Error(ErrorCode::ACCESS_DENIED, "no"));
  EXPECT_EQ(views_["p"]["p.store"].failed->code(), ErrorCode::ACCESS_DENIED);
  pass(60'000ms, {1});
  EXPECT_EQ(epoch(1, "p.store"), 2u);
}

TEST_F(ClusterManagerTest, APrecheckTellsAtOnce) {
  boot();
  join(1, "a");
  want("p", {{"precheck", cluster::v1::PRECHECK}});
  report(1, "p.precheck", 1, cluster::v1::FAILED, kCrash);
  EXPECT_FALSE(views_["p"]["p.precheck"].failed.has_value());
  EXPECT_EQ(epoch(1, "p.precheck"), 2u);
  report(1, "p.precheck", 2, cluster::v1::FAILED, Error(ErrorCode::CONNECT_FAILED, "refused"));
  ASSERT_TRUE(views_["p"]["p.precheck"].failed.has_value());
}

// A rolling restart of agents is nobody's failure, and no precheck's answer.
TEST_F(ClusterManagerTest, AnAgentThatStopsCostsNoBudgetAndEndsNoPrecheck) {
  boot();
  join(1, "a");
  want("p", {{"precheck", cluster::v1::PRECHECK}});
  for (uint64_t round = 1; round <= 8; ++round) {
    report(1, "p.precheck", round, cluster::v1::FAILED, Error(ErrorCode::CANCELLED, "the agent was stopped"));
    EXPECT_EQ(epoch(1, "p.precheck"), round) << "the agent is about to go";
    pass(500ms, {1});
    EXPECT_EQ(epoch(1, "p.precheck"), round + 1);
  }
  EXPECT_FALSE(views_["p"]["p.precheck"].failed.has_value());
}

TEST_F(ClusterManagerTest, ARestartedCoordinatorKeepsEpochsThatStillRun) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  boot({{stored_["p.store"], revisions_["p.store"]}}, {"p"});
  join(5, "a", {{"p.store", 1}});
  beat(5);
  EXPECT_EQ(desired_.count(5), 0u) << "nothing is ended before the project has said what it wants";
  EXPECT_EQ(leases_[5], 0);
  want("p", {{"store", cluster::v1::STORE}});
  EXPECT_EQ(epoch(5, "p.store"), 1u);
  beat(5);
  EXPECT_EQ(leases_[5], 1);
}

TEST_F(ClusterManagerTest, ARestartedCoordinatorWaitsForTheLeasesOfSilentNodes) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  boot({{stored_["p.store"], revisions_["p.store"]}}, {"p"});
  want("p", {{"store", cluster::v1::STORE}});
  join(6, "b");
  pass(kTtl + kGrace - 500ms, {6});
  EXPECT_EQ(epoch(6, "p.store"), 0u);
  pass(500ms, {6});
  EXPECT_EQ(epoch(6, "p.store"), 2u);
}

TEST_F(ClusterManagerTest, AnEpochIsNeverStartedTwice) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  manager_->disconnected(1);
  join(2, "a");  // the agent lost its processes
  EXPECT_EQ(epoch(2, "p.store"), 2u);
  manager_->disconnected(2);
  join(3, "a", {{"p.store", 2}});
  EXPECT_EQ(epoch(3, "p.store"), 2u) << "what still runs goes on";
}

TEST_F(ClusterManagerTest, WhatWasDroppedIsNotPlacedElsewhereWhileItMayStillRun) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  manager_->disconnected(1);
  want("p", {}, 1);
  join(2, "b");
  want("p", {{"store", cluster::v1::STORE}}, 2);
  EXPECT_EQ(epoch(2, "p.store"), 0u);
  pass(kTtl + kGrace, {2});
  EXPECT_EQ(epoch(2, "p.store"), 2u);
}

TEST_F(ClusterManagerTest, StoppedComponentsStartAgainWhenWantedAgain) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  want("p", {{"store", cluster::v1::STORE}}, 1, true);
  ASSERT_EQ(desired_[1].assignments_size(), 1);
  uint64_t revision = desired_[1].assignments(0).desired().revision();
  EXPECT_TRUE(desired_[1].assignments(0).desired().stop());
  report(1, "p.store", 1, cluster::v1::STOPPED);
  EXPECT_EQ(epoch(1, "p.store"), 1u);
  want("p", {{"store", cluster::v1::STORE}}, 2);
  EXPECT_EQ(epoch(1, "p.store"), 2u);
  EXPECT_GT(desired_[1].assignments(0).desired().revision(), revision);
}

TEST_F(ClusterManagerTest, AFinishedComponentStaysFinishedUntilTheNextAttempt) {
  boot();
  join(1, "a");
  want("p", {{"full", cluster::v1::FULL_IMPORT}});
  report(1, "p.full", 1, cluster::v1::FINISHED);
  pass(kTtl + kGrace);
  EXPECT_EQ(views_["p"]["p.full"].state(), cluster::v1::FINISHED) << "its node may vanish";
  join(2, "b");
  EXPECT_EQ(epoch(2, "p.full"), 0u);
  want("p", {{"full", cluster::v1::FULL_IMPORT}}, 2);
  EXPECT_EQ(epoch(2, "p.full"), 2u);
}

TEST_F(ClusterManagerTest, AnEpochRaisedByAnotherIsTakenOver) {
  boot();
  join(1, "a");
  WantedProject wanted{"p", 1, false, {}};
  wanted.components.emplace_back().spec.set_component_id("p.store");
  manager_->set_wanted(wanted);
  auto plan = manager_->plan();
  ASSERT_EQ(plan.size(), 1u);
  v1::StoredComponent theirs = plan[0].next;
  theirs.set_epoch(7);
  manager_->conflicted(theirs, 40);
  plan = manager_->plan();
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].next.epoch(), 8u);
  EXPECT_EQ(plan[0].expected_revision, 40u);
}

TEST_F(ClusterManagerTest, ADeletedProjectsRecordsAreForgotten) {
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  manager_->forget("p");
  EXPECT_EQ(manager_->forgotten(), std::set<std::string>{"p.store"});
  pump();
  EXPECT_EQ(manager_->forgotten(), std::set<std::string>{"p.store"}) << "until they are deleted";
  manager_->forgot({"p.store"});
  EXPECT_TRUE(manager_->forgotten().empty());
  EXPECT_EQ(desired_[1].assignments_size(), 0);
}

// Told with every list of assignments until the agent shows that they are gone; to agents that were away as well.
TEST_F(ClusterManagerTest, FoldersOfReleasedAndDeletedProjectsAreRemovedEverywhere) {
  auto removals = [&](uint64_t session) {
    const auto& list = desired_[session].removals();
    return std::vector<std::string>(list.begin(), list.end());
  };
  using Names = std::vector<std::string>;
  boot();
  join(1, "a");
  want("p", {{"store", cluster::v1::STORE}});
  want("q", {{"store", cluster::v1::STORE}});
  const Names all{"p.store", "p.struct.fk.1", "q.store", "gone.store", "stranger.store"};
  beat(1, 0, 0, all);
  EXPECT_EQ(removals(1), Names{"gone.store"}) << "a project that was deleted before this coordinator started";
  manager_->set_wanted({"p", 2, true, {}});
  beat(1, 0, 0, all);
  EXPECT_EQ(removals(1), (Names{"p.store", "p.struct.fk.1", "gone.store"}));
  manager_->forget("q");
  join(2, "b");
  beat(2, 0, 0, {"q.store", "stranger.store"});
  EXPECT_EQ(removals(2), Names{"q.store"});
  int messages = static_cast<int>(std::count(order_.begin(), order_.end(), "desired"));
  beat(2, 0, 0, {"q.store", "stranger.store"});
  EXPECT_EQ(messages, std::count(order_.begin(), order_.end(), "desired")) << "nothing new";
  beat(2, 0, 0, {"stranger.store"});
  EXPECT_TRUE(removals(2).empty());
}

TEST_F(ClusterManagerTest, AnAgentOfALaterTermIsRefusedClearly) {
  boot();
  cluster::v1::Register about;
  about.set_node_id("a");
  about.set_term(9);
  manager_->registered(1, about);
  auto messages = manager_->take_messages();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].close);
  EXPECT_EQ(messages[0].message->rejected().error().code(), "WRONG_STATE");
  EXPECT_NE(messages[0].message->rejected().error().cause().find("older copy"), std::string::npos);
  EXPECT_TRUE(manager_->nodes().empty());
  about.set_term(1);
  manager_->registered(2, about);
  EXPECT_EQ(manager_->nodes().size(), 1u);
}

}  // namespace
}  // namespace sluice::coordinator
