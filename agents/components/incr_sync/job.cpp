#include "agents/components/incr_sync/job.hpp"

#include <algorithm>

#include "core/net/convert.hpp"
#include "core/worker_limits.hpp"

namespace sluice::agents::incr_sync {
namespace {

using namespace std::chrono_literals;
constexpr auto kFreshness = 4s;  // the Store asks the source, and tells of it, every second
constexpr uint32_t kDefaultAppliers = 4;

Error no_policy(const char* field) {
  return Error(ErrorCode::INVALID_ARGUMENT, "the specification names no policy that is known", field);
}

Result<database::ConflictPolicy> conflict_policy(cluster::v1::ConflictPolicy policy) {
  switch (policy) {
    case cluster::v1::CONFLICT_STOP:
      return database::ConflictPolicy::kStop;
    case cluster::v1::CONFLICT_OVERWRITE:
      return database::ConflictPolicy::kOverwrite;
    case cluster::v1::CONFLICT_SKIP:
      return database::ConflictPolicy::kSkip;
    default:
      return no_policy("on_conflict");
  }
}

Result<database::DdlPolicy> ddl_policy(cluster::v1::DdlPolicy policy) {
  switch (policy) {
    case cluster::v1::DDL_APPLY:
      return database::DdlPolicy::kApply;
    case cluster::v1::DDL_STOP:
      return database::DdlPolicy::kStop;
    case cluster::v1::DDL_SKIP:
      return database::DdlPolicy::kSkip;
    default:
      return no_policy("on_ddl");
  }
}

}  // namespace

int64_t lag_ms(const IncrProgress& progress, std::chrono::steady_clock::time_point now) {
  if (progress.source_asked_us == 0) return 0;
  const auto silent = now - progress.source_heard;
  if (progress.caught_up && silent < kFreshness) return 0;
  const int64_t source_now =
      progress.source_asked_us + std::chrono::duration_cast<std::chrono::microseconds>(silent).count();
  const int64_t complete = progress.complete_until_us == 0 ? progress.source_asked_us : progress.complete_until_us;
  return std::max<int64_t>(0, (source_now - complete) / 1000);
}

Result<std::unique_ptr<Job>> make_job(ComponentContext& context) {
  const auto& spec = context.spec();
  auto job = std::make_unique<Job>(context);
  job->source = net::from_proto(spec.source());
  SLUICE_ASSIGN(job->mapping, net::mapping_of(spec));
  job->apply.target = net::from_proto(spec.target());
  job->apply.owner = {spec.project_id(), spec.component_id(), spec.epoch(),
                      spec.meta_database().empty() ? "sluice" : spec.meta_database()};
  job->apply.lease = context.lease();
  job->apply.watch = std::make_shared<mysql::ServerWatch>(
      job->apply.target, [] { return false; }, mysql::ServerWatch::Times{});
  SLUICE_ASSIGN(job->apply.on_conflict, conflict_policy(spec.on_conflict()));
  job->ddl.target = job->apply.target;
  job->ddl.owner = job->apply.owner;
  job->ddl.lease = context.lease();
  SLUICE_ASSIGN(job->ddl.policy, ddl_policy(spec.on_ddl()));
  job->ddl.types.insert(spec.ddl_types().begin(), spec.ddl_types().end());
  job->appliers = std::min<uint32_t>(spec.writers() == 0 ? kDefaultAppliers : spec.writers(), kAppliersMax);
  const uint64_t memory = spec.memory_bytes() == 0 ? 512ULL << 20 : spec.memory_bytes();
  job->credit_bytes = std::clamp<uint64_t>(memory / 6, 4 << 20, 256 << 20);
  job->pending_bytes = job->credit_bytes;
  job->piece_bytes = job->credit_bytes / 8;
  return job;
}

}  // namespace sluice::agents::incr_sync
