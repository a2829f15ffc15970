#include "agents/components/incr_sync/job.hpp"

#include <algorithm>

#include "core/net/convert.hpp"
#include "core/worker_limits.hpp"

namespace sluice::agents {
namespace {

using namespace std::chrono_literals;
constexpr auto kFreshness = 4s;  // the Store asks the source, and tells of it, every second
constexpr uint32_t kDefaultAppliers = 4;

database::ConflictPolicy conflict_policy(const std::string& name) {
  if (name == "overwrite") return database::ConflictPolicy::kOverwrite;
  return name == "skip" ? database::ConflictPolicy::kSkip : database::ConflictPolicy::kStop;
}

database::DdlPolicy ddl_policy(const std::string& name) {
  if (name == "stop") return database::DdlPolicy::kStop;
  return name == "skip" ? database::DdlPolicy::kSkip : database::DdlPolicy::kApply;
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
  job->apply.on_conflict = conflict_policy(spec.on_conflict());
  job->ddl.target = job->apply.target;
  job->ddl.owner = job->apply.owner;
  job->ddl.lease = context.lease();
  job->ddl.policy = ddl_policy(spec.on_ddl());
  job->ddl.types.insert(spec.ddl_types().begin(), spec.ddl_types().end());
  job->appliers = std::min<uint32_t>(spec.writers() == 0 ? kDefaultAppliers : spec.writers(), kAppliersMax);
  const uint64_t memory = spec.memory_bytes() == 0 ? 512ULL << 20 : spec.memory_bytes();
  job->credit_bytes = std::clamp<uint64_t>(memory / 6, 4 << 20, 256 << 20);
  job->pending_bytes = job->credit_bytes;
  job->piece_bytes = job->credit_bytes / 8;
  job->open_log = [](const store::LogClientOptions& options) { return store::LogClient::open(options); };
  return job;
}

}  // namespace sluice::agents
