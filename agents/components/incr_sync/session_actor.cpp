#include "agents/components/incr_sync/session_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <future>

#include "agents/components/incr_sync/actors.hpp"
#include "core/log.hpp"
#include "sinks/database/apply/applier_actor.hpp"

namespace sluice::agents::incr_sync {
namespace {

using namespace std::chrono_literals;
constexpr std::string_view kLog = "incr_sync";
constexpr auto kTick = 100ms;
constexpr auto kReadPatience = 500ms;
constexpr auto kSilence = 15s;  // the Store sends something every second
constexpr auto kStopPatience = 10s;

using Outcome = std::promise<Result<SessionEnd>>;

reader_actor::behavior_type reader(reader_actor::pointer self, std::shared_ptr<store::LogClient> client,
                                   session_actor session) {
  auto heard = std::make_shared<std::chrono::steady_clock::time_point>(std::chrono::steady_clock::now());
  return {[=](const ReadNext&) {
    auto item = std::make_shared<const Result<store::LogItem>>(client->next(kReadPatience));
    const auto now = std::chrono::steady_clock::now();
    if (!item->ok() && item->error().code() == ErrorCode::TIMED_OUT && now - *heard < kSilence) {
      self->send(self, ReadNext{});
      return;
    }
    if (item->ok()) *heard = now;
    self->send(session, ItemRead{item});
    if (item->ok()) self->send(self, ReadNext{});
  }};
}

ddl_actor::behavior_type ddl_behavior(ddl_actor::pointer self, std::shared_ptr<database::DdlRunner> runner,
                                      session_actor session) {
  return {[self, runner, session](const RunDdl& message) {
    const DdlOrder& order = *message.order;
    auto outcome = std::make_shared<const Result<database::DdlOutcome>>(
        runner->run_beside(order.event, order.statement, order.mode));
    self->send(session, DdlRan{std::move(outcome)});
  }};
}

// The session as an actor: whatever a handler returns decides whether it goes on.
struct SessionRun {
  std::shared_ptr<Session> session;
  std::shared_ptr<Outcome> outcome;
  bool over = false;

  void after(const Status& status) {
    if (over) return;
    if (!status.ok()) {
      outcome->set_value(status.error());
    } else if (session->ended()) {
      outcome->set_value(*session->ended());
    } else {
      return;
    }
    over = true;
  }
};

session_actor::behavior_type session_behavior(session_actor::pointer self, std::shared_ptr<SessionRun> run) {
  self->delayed_send(self, kTick, SessionTick{});
  return {
      [run](const ItemRead& message) {
        if (run->over) return;
        run->after(message.item->ok() ? run->session->on_item(**message.item)
                                      : run->session->on_stream_end(message.item->error()));
      },
      [run](const database::GroupApplied& message) {
        if (!run->over) run->after(run->session->on_applied(message.applier, *message.group, *message.result));
      },
      [run](const DdlRan& message) {
        if (!run->over) run->after(run->session->on_ddl(*message.outcome));
      },
      [run](const DesiredChanged& message) {
        if (!run->over) run->after(run->session->on_desired(*message.desired));
      },
      [self, run](const SessionTick&) {
        if (run->over) return;
        run->after(run->session->on_tick());
        self->delayed_send(self, kTick, SessionTick{});
      },
  };
}

// A session ends by itself; when it is to stop, a DDL statement is not waited for without end.
Result<SessionEnd> outcome_of(std::future<Result<SessionEnd>> future, Session& session, Job& job) {
  std::optional<std::chrono::steady_clock::time_point> patience;
  while (future.wait_for(kTick) != std::future_status::ready) {
    if (!job.context.desired().stop()) continue;
    const auto now = std::chrono::steady_clock::now();
    if (!patience) patience = now + kStopPatience;
    if (now > *patience) session.abort();
  }
  return future.get();
}

}  // namespace

struct SessionMailbox::Content {
  std::mutex mutex;
  session_actor session;
};

SessionMailbox::SessionMailbox() : content_(std::make_unique<Content>()) {}
SessionMailbox::~SessionMailbox() = default;

void SessionMailbox::tell(const cluster::v1::ComponentDesired& desired) {
  std::lock_guard lock(content_->mutex);
  if (!content_->session) return;
  caf::anon_send(content_->session, DesiredChanged{std::make_shared<const cluster::v1::ComponentDesired>(desired)});
}

Result<SessionEnd> run_session(Job& job, SessionMailbox& mailbox) {
  auto session = std::make_shared<Session>(job);
  SLUICE_TRY(session->open());
  store::LogClientOptions options;
  const auto& spec = job.context.spec();
  options.address = job.context.desired().store_address();
  options.token = Secret(job.context.boot().token());
  options.reader = spec.component_id();
  options.epoch = spec.epoch();
  options.after = session->start();
  options.includes.assign(spec.includes().begin(), spec.includes().end());
  options.excludes.assign(spec.excludes().begin(), spec.excludes().end());
  options.credit_bytes = job.credit_bytes;
  SLUICE_ASSIGN(auto opened, store::LogClient::open(options));
  std::shared_ptr<store::LogClient> client = std::move(opened);

  caf::actor_system_config config;
  config.set("scheduler.max-threads", 1U);
  caf::actor_system system(config);
  auto run = std::make_shared<SessionRun>();
  run->session = session;
  run->outcome = std::make_shared<Outcome>();
  auto future = run->outcome->get_future();
  // The session gets its ports before its first message: nobody knows the actor yet.
  auto appliers = session->take_appliers();
  auto ports = std::make_shared<std::vector<database::applier_actor>>();
  auto ddl_port = std::make_shared<ddl_actor>();
  session->attach(
      client,
      [ports](uint32_t applier, std::shared_ptr<const database::Group> group) {
        caf::anon_send((*ports)[applier], database::ApplyGroup{std::move(group)});
      },
      [ddl_port](std::shared_ptr<const DdlOrder> order) { caf::anon_send(*ddl_port, RunDdl{std::move(order)}); });
  // Held back until the appliers are spawned: they are told the session's handle.
  session_actor actor = system.spawn<caf::detached>(session_behavior, run);
  for (const auto& applier : appliers) ports->push_back(database::spawn_applier(system, applier, actor));
  *ddl_port = system.spawn<caf::detached>(ddl_behavior, session->ddl(), actor);
  reader_actor stream = system.spawn<caf::detached>(reader, client, actor);
  {
    std::lock_guard lock(mailbox.content_->mutex);
    mailbox.content_->session = actor;
  }
  mailbox.tell(job.context.desired());
  caf::anon_send(stream, ReadNext{});

  Result<SessionEnd> result = outcome_of(std::move(future), *session, job);
  {
    std::lock_guard lock(mailbox.content_->mutex);
    mailbox.content_->session = nullptr;
  }
  client->cancel();
  for (const auto& applier : appliers) applier->abort();
  session->ddl()->abort();
  // The server would go on with a statement whose client is gone.
  if (session->runs_ddl()) {
    if (const auto left = session->end_leftovers(); !left.ok())
      log::warn(kLog, "a DDL statement may still run on the target", {{"cause", left.error()}});
  }
  caf::anon_send_exit(stream, caf::exit_reason::user_shutdown);
  for (const auto& port : *ports) caf::anon_send_exit(port, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(*ddl_port, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
  ports->clear();
  *ddl_port = nullptr;
  return result;
}

}  // namespace sluice::agents::incr_sync
