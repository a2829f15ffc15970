#include <caf/all.hpp>

#include "core/log.hpp"
#include "store/actors.hpp"
#include "store/pipeline.hpp"

namespace sluice::store {
namespace {

// What the parts tell each other beside messages: the first failure, and the bytes on their way.
struct Shared {
  explicit Shared(uint64_t credit_bytes) : credit(credit_bytes) {}

  void fail(const Error& error) {
    {
      std::lock_guard lock(mutex);
      if (!failure) failure = error;
    }
    credit.close();
  }
  std::optional<Error> first_failure() const {
    std::lock_guard lock(mutex);
    return failure;
  }
  void ended(const Status& status) {
    std::lock_guard lock(mutex);
    if (!status.ok() && !failure) failure = status.error();
    capture_ended = true;
    changed.notify_all();
  }

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::optional<Error> failure;
  bool capture_ended = false;
  ByteBudget credit;
};

struct writer_state {
  Log* log = nullptr;
  std::shared_ptr<Lease> lease;
  std::shared_ptr<Shared> shared;
  const char* name = "store.log_writer";

  Status carry_out(const std::function<Status()>& work) {
    if (auto failure = shared->first_failure()) return *failure;
    auto status = lease->check();
    if (status.ok()) status = work();
    if (!status.ok()) {
      log::error("store.log", "writing ends", {{"error", status.error()}});
      shared->fail(status.error());
    }
    return status;
  }
};

log_writer_actor::behavior_type log_writer(log_writer_actor::stateful_pointer<writer_state> self, Log* log,
                                           std::shared_ptr<Lease> lease, std::shared_ptr<Shared> shared) {
  self->state.log = log;
  self->state.lease = std::move(lease);
  self->state.shared = std::move(shared);
  return {
      [self](const BeginIncarnation& begin) -> WriterAnswer {
        auto& state = self->state;
        return {std::make_shared<const Status>(
            state.carry_out([&] { return state.log->begin_incarnation(begin.begin, begin.begin_time_us); }))};
      },
      [self](const WriteBlock& message) {
        auto& state = self->state;
        (void)state.carry_out([&] { return state.log->append(*message.block); });
        message.credit->release();
      },
      [self](const DiscardOpen&) { (void)self->state.carry_out([self] { return self->state.log->discard_open(); }); },
      [self](const FinishWriting&) -> WriterAnswer {
        self->quit();
        return {std::make_shared<const Status>()};
      },
  };
}

// Capture's blocks as messages. Called on capture's thread, and by stop() when that has ended.
class WriterSink final : public BlockSink {
 public:
  WriterSink(caf::actor_system& system, log_writer_actor writer, std::shared_ptr<Shared> shared)
      : system_(system), writer_(std::move(writer)), shared_(std::move(shared)) {}

  Status begin(const Position& begin, int64_t begin_time_us) override {
    return ask(BeginIncarnation{begin, begin_time_us});
  }
  Status write(NewBlock block) override {
    auto credit = shared_->credit.acquire(block.batch.size(), std::chrono::hours(24));
    if (auto failure = shared_->first_failure()) return *failure;
    if (!credit) return Error(ErrorCode::TIMED_OUT, "the log took no block for a day");
    caf::anon_send(writer_, WriteBlock{std::make_shared<const NewBlock>(std::move(block)),
                                       std::make_shared<ByteBudget::Grant>(std::move(*credit))});
    return {};
  }
  Status discard_open() override {
    caf::anon_send(writer_, DiscardOpen{});
    return {};
  }
  Status finish() { return ask(FinishWriting{}); }

 private:
  template <class Message>
  Status ask(Message message) {
    caf::scoped_actor self(system_);
    Status result = Error(ErrorCode::INTERNAL, "the log's writer is gone");
    self->request(writer_, caf::infinite, std::move(message))
        .receive([&](const WriterAnswer& answer) { result = *answer.status; }, [](const caf::error&) {});
    return result;
  }
  caf::actor_system& system_;
  log_writer_actor writer_;
  std::shared_ptr<Shared> shared_;
};

capture_actor::behavior_type capture(capture_actor::pointer self, Capture* work, std::shared_ptr<Shared> shared) {
  return {[self, work, shared](const RunCapture&) {
    shared->ended(work->run());
    self->quit();
  }};
}

class Pipeline final : public StorePipeline {
 public:
  Pipeline(PipelineOptions options, Log& log, const SourceState& source)
      : shared_(std::make_shared<Shared>(options.credit_bytes)), system_(config_) {
    auto writer = system_.spawn<caf::detached>(log_writer, &log, options.lease, shared_);
    sink_ = std::make_unique<WriterSink>(system_, writer, shared_);
    capture_ = std::make_unique<Capture>(std::move(options.capture), log, source, *sink_, std::move(options.events));
    auto runner = system_.spawn<caf::detached>(capture, capture_.get(), shared_);
    caf::anon_send(runner, RunCapture{});
  }
  ~Pipeline() override { stop(); }

  std::optional<Status> outcome() const override {
    std::lock_guard lock(shared_->mutex);
    if (shared_->failure) return Status(*shared_->failure);
    if (shared_->capture_ended) return Status();
    return std::nullopt;
  }

  // Capture ends first, then the writer after its last message.
  void stop() override {
    if (!sink_) return;
    capture_->stop();
    {
      std::unique_lock lock(shared_->mutex);
      shared_->changed.wait(lock, [this] { return shared_->capture_ended; });
    }
    (void)sink_->finish();
    sink_.reset();
    system_.await_all_actors_done();
  }

 private:
  caf::actor_system_config config_;
  std::shared_ptr<Shared> shared_;
  caf::actor_system system_;
  std::unique_ptr<WriterSink> sink_;
  std::unique_ptr<Capture> capture_;
};

}  // namespace

std::unique_ptr<StorePipeline> StorePipeline::start(PipelineOptions options, Log& log, const SourceState& source) {
  return std::make_unique<Pipeline>(std::move(options), log, source);
}

}  // namespace sluice::store
