#include "agents/components/checker/first_pass_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <future>

#include "agents/actors.hpp"
#include "agents/components/checker/patience.hpp"
#include "core/log.hpp"

namespace sluice::agents::checker {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// ---- comparer ----

struct comparer_state {
  static inline const char* name = "checker.comparer";
  FirstPass pass;
  ComponentContext* context = nullptr;
  std::optional<Sides> sides;

  Result<ChunkComparison> compare_once(const CheckJob& job) {
    if (!sides || !sides->source->alive() || !sides->target->alive()) {
      SLUICE_ASSIGN(sides, open_sides(pass.endpoints));
    }
    SLUICE_TRY(pass.endpoints.lease->check());
    const TablePair& pair = (*pass.pairs)[job.table];
    if (!pair.by_key) return compare_whole(*sides, pair);
    return compare_chunk(*sides, pair, job.chunk, kKeysPerChunk);
  }

  // Here only whether a table without a key is equal; which rows differ is found out later.
  static Result<ChunkComparison> compare_whole(Sides& sides, const TablePair& pair) {
    SLUICE_ASSIGN(const auto source,
                  mysql::digest_chunk(*sides.source, pair.source, {}, sides.method, pair.source_converted));
    SLUICE_ASSIGN(const auto target,
                  mysql::digest_chunk(*sides.target, pair.target, {}, sides.method, pair.target_converted));
    ChunkComparison result;
    result.source_rows = source.rows;
    result.target_rows = target.rows;
    result.difference_count = source == target ? 0 : 1;
    return result;
  }

  CheckOutcome run(const CheckJob& job) {
    CheckOutcome outcome;
    outcome.job = job;
    auto result = patiently(*context, "a comparison", [&] {
      const auto start = Clock::now();
      auto attempt = compare_once(job);
      outcome.seconds = seconds_since(start);
      if (!attempt.ok()) sides.reset();
      return attempt;
    });
    if (result.ok()) {
      outcome.comparison = std::move(*result);
      (void)pace(*context, outcome.comparison.source_rows, outcome.seconds, pass.comparers);  // the planner sees a stop
    } else {
      outcome.error = result.error();
    }
    return outcome;
  }
};

// ---- planner ----

struct planner_state {
  static inline const char* name = "checker.planner";
  std::unique_ptr<CheckPlan> plan;
  std::shared_ptr<std::promise<Result<PendingTables>>> done;
  ComponentContext* context = nullptr;
  uint32_t comparers = 0;
  std::optional<Error> failure;

  CheckReply reply(const CheckRequest& request) {
    if (request.outcome && !failure) fail_on(plan->take(*request.outcome));
    if (!failure && context->desired().stop()) failure = Error(ErrorCode::CANCELLED, "a stop was desired");
    if (!failure) fail_on(context->lease()->check());
    if (!failure) {
      auto job = plan->next();
      if (job.ok() && job->has_value()) return {std::make_shared<const CheckJob>(std::move(**job))};
      if (!job.ok()) failure = job.error();
    }
    return {};
  }
  void fail_on(const Status& status) {
    if (!status.ok()) failure = status.error();
  }
  // A comparer has ended; the last one ends the pass.
  bool ended() {
    if (--comparers > 0) return false;
    finish();
    return true;
  }
  void finish() {
    if (!done) return;
    auto promise = std::exchange(done, nullptr);
    promise->set_value(failure ? Result<PendingTables>(*failure) : Result<PendingTables>(std::move(plan->pending())));
  }
  ~planner_state() {
    if (!failure) failure = Error(ErrorCode::INTERNAL, "the planner of the verification ended early");
    finish();
  }
};

check_comparer_actor::behavior_type comparer(check_comparer_actor::stateful_pointer<comparer_state> self,
                                             FirstPass pass, ComponentContext* context, check_planner_actor planner) {
  self->state.pass = std::move(pass);
  self->state.context = context;
  self->send(self, CheckReply{});
  return {
      [=](const CheckReply& reply) {
        CheckRequest request;
        if (reply.job) request.outcome = std::make_shared<const CheckOutcome>(self->state.run(*reply.job));
        self->request(planner, caf::infinite, request)
            .then([=](const CheckReply& next) { next.job ? self->send(self, next) : self->quit(); },
                  [=](const caf::error& error) { self->quit(error); });
      },
  };
}

check_planner_actor::behavior_type planner(check_planner_actor::stateful_pointer<planner_state> self,
                                           ComponentContext* context, FirstPass pass,
                                           std::shared_ptr<std::promise<Result<PendingTables>>> done) {
  self->state.plan =
      std::make_unique<CheckPlan>(*context, pass.pairs, pass.endpoints.source,
                                  CheckPlan::Options{.following = pass.endpoints.following, .journal = pass.journal});
  self->state.done = std::move(done);
  self->state.context = context;
  self->state.comparers = pass.comparers;
  self->set_down_handler([=](const caf::down_msg& down) {
    if (down.reason && !self->state.failure) {
      self->state.failure = Error(ErrorCode::INTERNAL, "a comparer ended early");
    }
    if (self->state.ended()) self->quit();
  });
  for (uint32_t i = 0; i < pass.comparers; ++i) {
    self->spawn<caf::detached + caf::monitored>(comparer, pass, context, check_planner_actor(self));
  }
  return {
      [=](const CheckRequest& request) { return self->state.reply(request); },
  };
}

}  // namespace

Result<PendingTables> run_first_pass(ComponentContext& context, const FirstPass& pass) {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", 1);
  caf::actor_system system(config);
  auto done = std::make_shared<std::promise<Result<PendingTables>>>();
  auto result = done->get_future();
  system.spawn<caf::detached>(planner, &context, pass, std::move(done));
  return result.get();
}

}  // namespace sluice::agents::checker
