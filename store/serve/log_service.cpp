#include "store/serve/log_service.hpp"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <list>
#include <set>

#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/net/channel.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/binlog/events.hpp"
#include "sluice/store/v1/store.grpc.pb.h"
#include "store/log/cursor.hpp"
#include "store/serve/block_filter.hpp"

namespace sluice::store {
namespace {

using std::chrono::steady_clock;
constexpr auto kHeartbeat = std::chrono::milliseconds(900);
constexpr auto kStartPatience = std::chrono::seconds(10);

class Service;

// One reader's stream. gRPC calls the On… methods on threads of its own; run() is the session's thread, the only one
// that writes and finishes.
class Session final : public grpc::ServerBidiReactor<v1::ReadRequest, v1::ReadResponse> {
 public:
  Session(Service& service, grpc::CallbackServerContext* context, Log& log, const SourceState& source);
  ~Session() override {
    log_.remove_listener(listener_);
    give_credit(-credit_);
  }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void begin() {
    StartRead(&request_);
    thread_ = std::thread([this] { run(); });
  }
  void end(const Error& error);  // any thread
  // The thread must not be joined by itself: gRPC may call OnDone from within Finish.
  void release_thread() {
    if (thread_.get_id() == std::this_thread::get_id())
      thread_.detach();
    else
      thread_.join();
  }
  const std::string& reader() const { return reader_; }
  uint64_t epoch() const { return epoch_; }

 private:
  void run();
  Status serve();
  Status open(const v1::ReadStart& start);
  Status check_position(const Position& position);
  Result<bool> send_next();
  Status send(v1::ReadResponse& response);
  Status send_heartbeat();
  void describe(v1::ReadResponse& response);
  Status take_requests();
  bool wait(uint64_t seen, steady_clock::time_point until);
  void give_credit(int64_t bytes) {
    credit_ += bytes;
    shown_credit_.add(static_cast<double>(bytes));
  }
  void wake();

  Service& service_;
  grpc::CallbackServerContext* const context_;  // gRPC's; lives until OnDone
  Log& log_;
  const SourceState& source_;
  uint64_t listener_;
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t events_ = 0;  // grows with everything that may give the session's thread something to do
  v1::ReadRequest request_;
  std::optional<v1::ReadStart> start_;
  int64_t credit_ = 0;
  metrics::Gauge shown_credit_ = metrics::gauge("sluice_store_reader_credit_bytes", "What readers still take");
  std::optional<Position> durable_;
  bool writing_ = false, write_ok_ = true, cancelled_ = false, half_closed_ = false;
  std::optional<Error> end_;

  // The session's thread only.
  std::string reader_;
  uint64_t epoch_ = 0;
  std::optional<Cursor> cursor_;
  std::optional<BlockFilter> filter_;
  std::set<uint64_t> sent_schemas_;
  steady_clock::time_point sent_at_;
};

class Service final : public v1::LogService::CallbackService {
 public:
  Service(Log& log, const SourceState& source, const LogServerOptions& options)
      : confirm(options.confirm), log_(log), source_(source), token_(options.token) {}
  const std::function<Status(const Position&)> confirm;

  grpc::ServerBidiReactor<v1::ReadRequest, v1::ReadResponse>* Read(grpc::CallbackServerContext* context) override {
    auto allowed = net::check_authorization(*context, token_);
    std::unique_lock lock(mutex_);
    if (!allowed.ok() || stopping_) {
      struct Refused final : grpc::ServerBidiReactor<v1::ReadRequest, v1::ReadResponse> {
        explicit Refused(const grpc::Status& status) { Finish(status); }
        void OnDone() override { delete this; }
      };
      return new Refused(allowed.ok() ? net::to_grpc(stopping()) : allowed);
    }
    auto* session = new Session(*this, context, log_, source_);
    sessions_.insert(session);
    lock.unlock();
    session->begin();
    return session;
  }

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context, const v1::DescribeRequest*,
                                     v1::DescribeResponse* response) override {
    auto* reactor = context->DefaultReactor();
    auto allowed = net::check_authorization(*context, token_);
    if (allowed.ok()) describe(*response);
    reactor->Finish(allowed);
    return reactor;
  }

  // Makes the session the one of its name; ends the one before.
  Status claim(Session& session, const std::string& reader, uint64_t epoch) {
    std::lock_guard lock(mutex_);
    auto known = by_reader_.find(reader);
    if (known != by_reader_.end()) {
      if (known->second.epoch > epoch)
        return Error(ErrorCode::STALE_EPOCH, "a reader of a newer epoch is connected", reader);
      bool newer = epoch > known->second.epoch;
      known->second.session->end(newer ? Error(ErrorCode::STALE_EPOCH, "a reader of a newer epoch has come", reader)
                                       : Error(ErrorCode::CANCELLED, "the reader has connected again", reader));
    }
    by_reader_[reader] = {&session, epoch};
    return {};
  }

  void done(Session* session) {
    session->release_thread();
    std::lock_guard lock(mutex_);
    for (auto known = by_reader_.begin(); known != by_reader_.end(); ++known)
      if (known->second.session == session) {
        by_reader_.erase(known);
        break;
      }
    sessions_.erase(session);
    delete session;
    empty_.notify_all();
  }

  void stop() {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    for (auto* session : sessions_) session->end(stopping());
    empty_.wait(lock, [this] { return sessions_.empty(); });
  }

 private:
  struct Connected {
    Session* session;
    uint64_t epoch;
  };
  static Error stopping() { return Error(ErrorCode::PEER_UNREACHABLE, "the Store is stopping"); }

  void describe(v1::DescribeResponse& response) {
    auto status = log_.status();
    auto sample = source_.get();
    *response.mutable_begin() = net::to_proto(status.begin);
    *response.mutable_end() = net::to_proto(status.end);
    *response.mutable_source_end() = net::to_proto(sample.end);
    response.set_source_asked_us(sample.asked_us);
    response.set_sampled_at_us(system_clock().unix_time_us());
    response.set_bytes(log_.bytes_on_disk());
    std::lock_guard lock(mutex_);
    for (auto& row : log_.readers()) {
      auto* reader = response.add_readers();
      reader->set_name(row.name);
      *reader->mutable_durable() = net::to_proto(row.durable);
      reader->set_connected(by_reader_.contains(row.name));
    }
  }

  Log& log_;
  const SourceState& source_;
  const Secret token_;
  std::mutex mutex_;
  std::condition_variable empty_;
  bool stopping_ = false;
  std::set<Session*> sessions_;
  std::map<std::string, Connected> by_reader_;
};

Session::Session(Service& service, grpc::CallbackServerContext* context, Log& log, const SourceState& source)
    : service_(service),
      context_(context),
      log_(log),
      source_(source),
      listener_(log.add_listener([this] { wake(); })) {}

void Session::wake() {
  std::lock_guard lock(mutex_);
  ++events_;
  changed_.notify_all();
}

void Session::OnReadDone(bool ok) {
  {
    std::lock_guard lock(mutex_);
    ++events_;
    if (!ok) {
      half_closed_ = true;
    } else if (request_.has_start()) {
      if (start_) end_ = Error(ErrorCode::INVALID_ARGUMENT, "a stream starts once");
      start_ = request_.start();
      give_credit(static_cast<int64_t>(request_.start().credit_bytes()));
    } else if (request_.has_durable()) {
      durable_ = net::from_proto(request_.durable());
    } else {
      give_credit(static_cast<int64_t>(request_.credit_bytes()));
    }
    changed_.notify_all();
  }
  if (ok) StartRead(&request_);
}

void Session::OnWriteDone(bool ok) {
  std::lock_guard lock(mutex_);
  writing_ = false;
  write_ok_ = ok;
  changed_.notify_all();
}

void Session::OnCancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
}

void Session::OnDone() { service_.done(this); }

void Session::end(const Error& error) {
  std::lock_guard lock(mutex_);
  if (!end_) end_ = error;
  if (writing_) context_->TryCancel();  // the reader takes nothing: it would keep the session for ever
  changed_.notify_all();
}

// Waits for an event after `seen`. False when the session is to end.
bool Session::wait(uint64_t seen, steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  auto over = [this] { return cancelled_ || end_ || half_closed_; };
  changed_.wait_until(lock, until, [&] { return over() || events_ != seen; });
  return !over();
}

void Session::run() {
  auto status = serve();
  std::optional<Error> ended;
  {
    std::lock_guard lock(mutex_);
    ended = end_;
  }
  if (ended) status = *ended;
  if (!status.ok()) log::info("store.serve", "reader ended", {{"reader", reader_}, {"error", status.error()}});
  Finish(status.ok() ? grpc::Status::OK : net::to_grpc(status.error()));
}

Status Session::serve() {
  v1::ReadStart start;
  for (auto deadline = steady_clock::now() + kStartPatience;;) {
    uint64_t seen;
    {
      std::lock_guard lock(mutex_);
      seen = events_;
      if (start_) {
        start = *start_;
        break;
      }
    }
    if (steady_clock::now() >= deadline) return Error(ErrorCode::TIMED_OUT, "the stream was not started");
    if (!wait(seen, deadline)) return Error(ErrorCode::CANCELLED, "the stream ended before its start");
  }
  SLUICE_TRY(open(start));
  SLUICE_TRY(send_heartbeat());
  for (;;) {
    uint64_t seen;
    {
      std::lock_guard lock(mutex_);
      seen = events_;
      if (cancelled_ || end_ || half_closed_) return {};
    }
    SLUICE_TRY(log_.health());
    SLUICE_TRY(take_requests());
    SLUICE_ASSIGN(bool sent, send_next());
    if (steady_clock::now() >= sent_at_ + kHeartbeat) SLUICE_TRY(send_heartbeat());
    if (!sent && !wait(seen, sent_at_ + kHeartbeat)) return {};
  }
}

namespace {
WantedTypes wanted_types(const v1::TableFilter& filter) {
  if (filter.types().empty()) return {};
  auto has = [&](v1::RecordType type) { return std::count(filter.types().begin(), filter.types().end(), type) > 0; };
  return {has(v1::INSERT), has(v1::UPDATE), has(v1::DELETE), has(v1::DDL)};
}
}  // namespace

Status Session::open(const v1::ReadStart& start) {
  reader_ = start.reader();
  epoch_ = start.epoch();
  bool by_time = start.has_at_time_us() && start.at_time_us() > 0;
  Position after = by_time ? Position() : net::from_proto(start.after());
  std::vector<std::string> includes(start.filter().includes().begin(), start.filter().includes().end());
  std::vector<std::string> excludes(start.filter().excludes().begin(), start.filter().excludes().end());
  SLUICE_ASSIGN(auto scope, TableMapping::create(std::move(includes), std::move(excludes), {}));
  filter_.emplace(std::move(scope), wanted_types(start.filter()), [this](uint64_t id) { return log_.schema(id); });
  if (!reader_.empty()) SLUICE_TRY(service_.claim(*this, reader_, epoch_));
  auto cursor = by_time ? Cursor::at_time(log_, start.at_time_us()) : Cursor::after(log_, after);
  if (!cursor.ok()) return cursor.error();
  if (!by_time && !after.empty()) SLUICE_TRY(check_position(cursor->position()));
  cursor_ = std::move(cursor).value();
  if (!reader_.empty()) SLUICE_TRY(log_.register_reader({reader_, epoch_, cursor_->position()}));
  log::info("store.serve", "reader started",
            {{"reader", reader_}, {"epoch", epoch_}, {"after", cursor_->position().to_string()}});
  return {};
}

// A reader holds what leads up to its position: the log has to hold the same, or else the source (exactness.md section
// 5). Of a place between its own borders the log knows nothing, nor of one that it has not reached.
Status Session::check_position(const Position& position) {
  SLUICE_ASSIGN(auto gtids, gtids_at(log_, position));
  if (!gtids) return service_.confirm ? service_.confirm(position) : Status();
  if (position.gtids.empty() || mysql::same_gtids(*gtids, position.gtids)) return {};
  return Error(ErrorCode::SOURCE_DIVERGED, "at this place the Store's log holds " + *gtids, reader_,
               position.to_string());
}

Status Session::take_requests() {
  std::optional<Position> durable;
  {
    std::lock_guard lock(mutex_);
    durable.swap(durable_);
  }
  return durable && !reader_.empty() ? log_.set_durable(reader_, *durable) : Status();
}

// Sends the next block when there is one and credit for it. One block may overdraw the credit.
Result<bool> Session::send_next() {
  {
    std::lock_guard lock(mutex_);
    if (credit_ <= 0) return false;
  }
  SLUICE_ASSIGN(auto block, cursor_->next());
  if (!block) return false;
  SLUICE_ASSIGN(auto batch, filter_->apply(block->batch));
  if (!batch) return true;
  v1::ReadResponse response;
  for (uint64_t id : block->info.schema_ids) {
    if (!sent_schemas_.insert(id).second) continue;
    SLUICE_ASSIGN(auto schema, log_.schema(id));
    auto* sent = response.add_schemas();
    sent->set_id(id);
    sent->set_encoded(schema->encode());
  }
  response.set_batch(std::string(batch->bytes()));
  {
    std::lock_guard lock(mutex_);
    give_credit(-static_cast<int64_t>(batch->size()));
  }
  describe(response);
  SLUICE_TRY(send(response));
  return true;
}

Status Session::send_heartbeat() {
  v1::ReadResponse response;
  describe(response);
  return send(response);
}

void Session::describe(v1::ReadResponse& response) {
  auto sample = source_.get();
  *response.mutable_end() = net::to_proto(log_.status().end);
  *response.mutable_source_end() = net::to_proto(sample.end);
  response.set_source_asked_us(sample.asked_us);
  if (sample.asked_us != 0) response.set_source_age_ms(sample.age_ms());
  response.set_caught_up(cursor_->at_end());
}

// Returns when gRPC has taken the message; the message must live until then.
Status Session::send(v1::ReadResponse& response) {
  std::unique_lock lock(mutex_);
  writing_ = true;
  lock.unlock();
  StartWrite(&response);
  lock.lock();
  changed_.wait(lock, [this] { return !writing_; });
  sent_at_ = steady_clock::now();
  return write_ok_ ? Status() : Status(Error(ErrorCode::PEER_UNREACHABLE, "the reader is gone", reader_));
}

class Server final : public LogServer {
 public:
  Server(Log& log, const SourceState& source, const LogServerOptions& options) : service(log, source, options) {}
  ~Server() override { stop(); }
  int port() const override { return server.port; }
  void stop() override {
    if (!server.server) return;
    service.stop();
    server.server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server.server->Wait();
    server.server.reset();
  }
  Service service;
  net::Server server;
};

}  // namespace

Result<std::unique_ptr<LogServer>> LogServer::start(const LogServerOptions& options, Log& log,
                                                    const SourceState& source) {
  auto server = std::make_unique<Server>(log, source, options);
  SLUICE_ASSIGN(server->server, net::start_server(options.address, {&server->service}));
  return std::unique_ptr<LogServer>(std::move(server));
}

}  // namespace sluice::store
