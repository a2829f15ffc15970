// What an Incr-Sync takes from its specification.
#include "agents/components/incr_sync/job.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_component.hpp"

namespace sluice::agents::incr_sync {
namespace {

using namespace cluster::v1;

TEST(IncrJob, PoliciesAreTakenAsTheyAre) {
  testing::FakeComponent component;
  auto& spec = component.spec_mutable();
  spec.set_on_conflict(CONFLICT_SKIP);
  spec.set_on_ddl(DDL_STOP);
  const auto job = make_job(component);
  ASSERT_TRUE(job.ok()) << job.error().to_string();
  EXPECT_EQ((*job)->apply.on_conflict, database::ConflictPolicy::kSkip);
  EXPECT_EQ((*job)->ddl.policy, database::DdlPolicy::kStop);
}

// A policy that is missing, or that only a newer coordinator knows, is not another one.
TEST(IncrJob, UnknownPoliciesAreRefused) {
  const auto refused = [](int conflict, int ddl) {
    testing::FakeComponent component;
    auto& spec = component.spec_mutable();
    spec.set_on_conflict(static_cast<ConflictPolicy>(conflict));
    spec.set_on_ddl(static_cast<DdlPolicy>(ddl));
    const auto job = make_job(component);
    if (job.ok()) return std::string("none");
    EXPECT_EQ(job.error().code(), ErrorCode::INVALID_ARGUMENT);
    return job.error().object();
  };
  EXPECT_EQ(refused(CONFLICT_POLICY_UNSPECIFIED, DDL_APPLY), "on_conflict");
  EXPECT_EQ(refused(99, DDL_APPLY), "on_conflict");
  EXPECT_EQ(refused(CONFLICT_STOP, DDL_POLICY_UNSPECIFIED), "on_ddl");
  EXPECT_EQ(refused(CONFLICT_STOP, 99), "on_ddl");
  EXPECT_EQ(refused(CONFLICT_OVERWRITE, DDL_SKIP), "none");
}

}  // namespace
}  // namespace sluice::agents::incr_sync
