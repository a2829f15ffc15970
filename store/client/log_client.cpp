#include "store/client/log_client.hpp"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "core/net/channel.hpp"
#include "core/net/convert.hpp"
#include "sluice/store/v1/store.grpc.pb.h"

namespace sluice::store {
namespace {

constexpr auto kOpenPatience = std::chrono::seconds(15);
constexpr int kOpenAttempts = 3;
constexpr uint64_t kGrantBytes = 256 << 10;  // grants are collected up to this

// A thread reads the stream into a queue, which the credit bounds. Writes (grants, durable positions) come from any
// thread, one at a time.
class GrpcLogClient final : public LogClient {
 public:
  explicit GrpcLogClient(const LogClientOptions& options)
      : options_(options),
        grant_at_(std::clamp<uint64_t>(options.credit_bytes / 16, 1, kGrantBytes)),
        stub_(v1::LogService::NewStub(net::make_channel(options.address))) {}

  ~GrpcLogClient() override {
    cancel();
    if (thread_.joinable()) thread_.join();
  }

  Status start() {
    net::authorize(context_, options_.token);
    stream_ = stub_->Read(&context_);
    v1::ReadRequest request;
    auto* start = request.mutable_start();
    start->set_reader(options_.reader);
    start->set_epoch(options_.epoch);
    if (options_.after.empty() && options_.at_time_us)
      start->set_at_time_us(options_.at_time_us);
    else
      *start->mutable_after() = net::to_proto(options_.after);
    for (auto& pattern : options_.includes) start->mutable_filter()->add_includes(pattern);
    for (auto& pattern : options_.excludes) start->mutable_filter()->add_excludes(pattern);
    const WantedTypes& types = options_.types;
    for (auto [wanted, type] : {std::pair(types.insert, v1::INSERT), std::pair(types.update, v1::UPDATE),
                                std::pair(types.remove, v1::DELETE), std::pair(types.ddl, v1::DDL)})
      if (wanted && !types.all()) start->mutable_filter()->add_types(type);
    start->set_credit_bytes(options_.credit_bytes);
    stream_->Write(request);  // when it fails, so does the first read, which tells why
    thread_ = std::thread([this] { read(); });
    std::unique_lock lock(mutex_);
    bool answered = arrived_.wait_for(lock, kOpenPatience, [this] { return !items_.empty() || error_; });
    if (!answered) return Error(ErrorCode::PEER_UNREACHABLE, "no answer within 15 s", options_.address);
    return items_.empty() && error_ ? Status(*error_) : Status();
  }

  Result<LogItem> next(std::chrono::milliseconds patience) override {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, patience, [this] { return !items_.empty() || error_; }))
      return Error(ErrorCode::TIMED_OUT, "the Store sent nothing in " + std::to_string(patience.count()) + " ms",
                   options_.address);
    if (cancelled_) return Error(ErrorCode::CANCELLED, "reading was cancelled", options_.address);
    if (items_.empty()) return *error_;
    LogItem item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

  SchemaPtr schema(uint64_t id) const override {
    std::lock_guard lock(mutex_);
    auto found = schemas_.find(id);
    return found == schemas_.end() ? nullptr : found->second;
  }

  void grant(uint64_t bytes) override {
    std::lock_guard lock(write_mutex_);
    granted_ += bytes;
    if (granted_ < grant_at_ || ended_) return;
    v1::ReadRequest request;
    request.set_credit_bytes(granted_);
    granted_ = 0;
    stream_->Write(request);  // a failure shows in next()
  }

  void durable(const Position& position) override {
    v1::ReadRequest request;
    *request.mutable_durable() = net::to_proto(position);
    std::lock_guard lock(write_mutex_);
    if (!ended_) stream_->Write(request);
  }

  void cancel() override {
    {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
      if (!error_) error_ = Error(ErrorCode::CANCELLED, "reading was cancelled", options_.address);
    }
    context_.TryCancel();
    arrived_.notify_all();
  }

 private:
  void read() {
    v1::ReadResponse response;
    while (stream_->Read(&response)) {
      auto status = take(response);
      if (status.ok()) continue;
      fail(status.error());
      context_.TryCancel();
    }
    {
      // A call that has ended takes no more writes.
      std::lock_guard lock(write_mutex_);
      ended_ = true;
    }
    auto status = stream_->Finish();
    fail(status.ok() ? Error(ErrorCode::PEER_UNREACHABLE, "the Store closed the stream", options_.address)
                     : net::from_grpc(status, options_.address));
  }

  void fail(const Error& error) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
    arrived_.notify_all();
  }

  Status take(v1::ReadResponse& response) {
    LogItem item;
    for (auto& sent : response.schemas()) {
      SLUICE_ASSIGN(auto schema, TableSchema::decode(sent.encoded()));
      std::lock_guard lock(mutex_);
      schemas_[sent.id()] = std::make_shared<const TableSchema>(std::move(schema));
    }
    if (!response.batch().empty()) {
      SLUICE_ASSIGN(item.batch, Batch::open(std::move(*response.mutable_batch())));
    }
    item.end = net::from_proto(response.end());
    item.source_end = net::from_proto(response.source_end());
    item.source_asked_us = response.source_asked_us();
    item.source_age = std::chrono::milliseconds(response.source_age_ms());
    item.caught_up = response.caught_up();
    std::lock_guard lock(mutex_);
    // Heartbeats cost no credit; of those that nobody has taken the last one is enough.
    if (!item.batch && !items_.empty() && !items_.back().batch)
      items_.back() = std::move(item);
    else
      items_.push_back(std::move(item));
    arrived_.notify_all();
    return {};
  }

  const LogClientOptions options_;
  const uint64_t grant_at_;
  std::unique_ptr<v1::LogService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ReadRequest, v1::ReadResponse>> stream_;
  std::thread thread_;
  std::mutex write_mutex_;
  uint64_t granted_ = 0;
  bool ended_ = false;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<LogItem> items_;
  std::map<uint64_t, SchemaPtr> schemas_;
  std::optional<Error> error_;
  bool cancelled_ = false;
};

}  // namespace

Result<std::unique_ptr<LogClient>> LogClient::open(const LogClientOptions& options) {
  for (int attempt = 1;; ++attempt) {
    auto client = std::make_unique<GrpcLogClient>(options);
    auto status = client->start();
    if (status.ok()) return std::unique_ptr<LogClient>(std::move(client));
    // Channels give up a slow handshake quickly; on a busy machine that is not yet an unreachable Store.
    if (status.error().code() != ErrorCode::PEER_UNREACHABLE || attempt == kOpenAttempts) return status.error();
  }
}

}  // namespace sluice::store
