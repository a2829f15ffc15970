#include "agents/components/store/store.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "core/log.hpp"
#include "core/metrics.hpp"
#include "store/capture/source_check.hpp"
#include "store/capture/source_poller.hpp"
#include "store/pipeline.hpp"
#include "store/serve/log_service.hpp"

namespace sluice::agents {
namespace {

using cluster::v1::ComponentStatus;

constexpr auto kLook = std::chrono::milliseconds(200);
constexpr auto kRetentionEvery = std::chrono::seconds(60), kRetentionWhenFull = std::chrono::seconds(1);
// Below the first nothing more is captured, from the second on it is again.
constexpr uint64_t kFreeDiskLeast = 256ULL << 20, kFreeDiskAgain = 320ULL << 20;
constexpr uint32_t kRetentionHoursDefault = 24 * 7;

Result<uint64_t> free_bytes_of(const std::string& folder) {
  struct statvfs disk;
  if (statvfs(folder.c_str(), &disk) != 0) return Error(ErrorCode::IO_ERROR, "cannot look at the disk", folder);
  return static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
}

std::string listen_address(const cluster::v1::ComponentBoot& boot) {
  // The agent names a directory that is short enough for a socket's name.
  if (boot.listen_host().starts_with("unix:")) return boot.listen_host() + "/" + boot.spec().component_id() + ".sock";
  if (boot.listen_host() == "unix") return "unix:" + boot.data_dir() + "/store.sock";
  return (boot.listen_host().empty() ? "127.0.0.1" : boot.listen_host()) + ":0";
}

uint64_t share(uint64_t memory_bytes, uint64_t least, uint64_t most) {
  return memory_bytes ? std::clamp(memory_bytes / 16, least, most) : most;
}

// The parts of a running Store, and what their threads report. While the disk is nearly full nothing is captured; what
// is there is served and expires, so that it may have room again.
class StoreComponent {
 public:
  StoreComponent(ComponentContext& context, FreeBytes free_bytes)
      : context_(context), spec_(context.spec()), free_bytes_(std::move(free_bytes)) {}

  Status run() {
    SLUICE_TRY(start());
    uint64_t revision = context_.desired().revision();
    auto expired_at = std::chrono::steady_clock::now();
    for (;;) {
      SLUICE_TRY(capture_while_there_is_room());
      report(revision);
      auto desired = context_.wait_desired(revision, kLook);
      revision = desired.revision();
      if (desired.stop()) return stop();
      if (auto ended = pipeline_ ? pipeline_->outcome() : std::nullopt) {
        Status result = *ended;
        (void)stop();
        return result;
      }
      SLUICE_TRY(log_->health());
      auto every = disk_full_ ? kRetentionWhenFull : kRetentionEvery;
      if (std::chrono::steady_clock::now() - expired_at < every) continue;
      SLUICE_TRY(expire());
      expired_at = std::chrono::steady_clock::now();
    }
  }

 private:
  Status start() {
    const auto& boot = context_.boot();
    store::LogOptions options;
    options.path = boot.data_dir() + "/log";
    options.cache_bytes = share(spec_.memory_bytes(), 4 << 20, 32 << 20);
    options.write_buffer_bytes = share(spec_.memory_bytes(), 4 << 20, 32 << 20);
    SLUICE_ASSIGN(log_, store::Log::open(options));
    SLUICE_ASSIGN(auto known, log_->start());  // readers may come before anything is captured
    if (known) start_ = known->position;
    std::string address = listen_address(boot);
    auto confirm = [source = net::from_proto(spec_.source())](const Position& position) {
      return store::check_source_log(source, position, store::SourceCheck::kGtids);
    };
    SLUICE_ASSIGN(server_, store::LogServer::start({address, Secret(boot.token()), confirm}, *log_, source_));
    address_ = address.starts_with("unix:")
                   ? address
                   : address.substr(0, address.rfind(':') + 1) + std::to_string(server_->port());
    poller_ = std::make_unique<store::SourcePoller>(net::from_proto(spec_.source()), source_);
    return {};
  }

  Status capture_while_there_is_room() {
    SLUICE_ASSIGN(uint64_t free, free_bytes_(context_.boot().data_dir()));
    if (free < kFreeDiskLeast && !disk_full_) {
      disk_full_ = Error(ErrorCode::DISK_FULL,
                         "less than " + std::to_string(kFreeDiskLeast >> 20) +
                             " MiB are free: nothing is captured until readers need less, or there is room",
                         context_.boot().data_dir());
      log::error("store", "capture is held back", {{"error", *disk_full_}});
      report(context_.desired().revision());  // stopping takes a moment
      if (pipeline_) pipeline_->stop();
      pipeline_.reset();
      return expire();
    }
    if (disk_full_ && free >= kFreeDiskAgain) disk_full_.reset();
    return pipeline_ || disk_full_ ? Status() : start_capture();
  }

  Status start_capture() {
    store::PipelineOptions pipeline;
    pipeline.capture.source = net::from_proto(spec_.source());
    SLUICE_ASSIGN(pipeline.capture.scope, net::mapping_of(spec_));
    pipeline.capture.start = net::from_proto(spec_.start());
    pipeline.capture.start_time_us = spec_.start_time_us();
    pipeline.credit_bytes = share(spec_.memory_bytes(), 2 << 20, 16 << 20);
    pipeline.lease = context_.lease();
    pipeline.events.started = [this](const store::StartRow& start) {
      std::lock_guard lock(mutex_);
      start_ = start.position;
    };
    pipeline.events.connected = [this] {
      std::lock_guard lock(mutex_);
      connected_ = true;
      retrying_.reset();
    };
    pipeline.events.retrying = [this](const Error& error) {
      std::lock_guard lock(mutex_);
      retrying_ = error;
    };
    pipeline_ = store::StorePipeline::start(std::move(pipeline), *log_, source_);
    return {};
  }

  Status stop() {
    if (pipeline_) pipeline_->stop();
    report(context_.desired().revision());
    server_->stop();
    poller_.reset();
    return {};
  }

  void measure() {
    static auto bytes = metrics::gauge("sluice_store_log_bytes", "Bytes of the log on disk");
    static auto blocks = metrics::gauge("sluice_store_log_blocks", "Blocks of the log that readers can see");
    static auto retained = metrics::gauge("sluice_store_retained_seconds", "Age of the oldest change that is kept");
    uint64_t count = 0;
    int64_t oldest_us = 0;
    for (const auto& incarnation : log_->incarnations()) {
      if (incarnation.visible >= incarnation.first) count += incarnation.visible - incarnation.first + 1;
      if (oldest_us == 0) oldest_us = incarnation.begin_time_us;
    }
    bytes.set(static_cast<double>(log_->bytes_on_disk()));
    blocks.set(static_cast<double>(count));
    retained.set(oldest_us == 0 ? 0 : static_cast<double>(system_clock().unix_time_us() - oldest_us) / 1e6);
  }

  void report(uint64_t revision) {
    measure();
    auto status = log_->status();
    auto sample = source_.get();
    std::unique_lock lock(mutex_);
    auto start = start_;
    auto error = retrying_;
    bool connected = connected_;
    lock.unlock();
    if (!error) error = poller_->error();
    if (disk_full_) error = disk_full_;
    context_.update([&](ComponentStatus& out) {
      out.set_desired_revision(revision);
      out.set_state(error ? cluster::v1::RETRYING : connected ? cluster::v1::RUNNING : cluster::v1::STARTING);
      out.clear_error();
      if (error) *out.mutable_error() = net::to_proto(*error);
      auto* store = out.mutable_store();
      store->set_address(address_);
      if (!start.empty()) *store->mutable_start() = net::to_proto(start);
      *store->mutable_end() = net::to_proto(status.end);
      *store->mutable_source_end() = net::to_proto(sample.end);
      store->set_source_asked_us(sample.asked_us);
      store->set_bytes(log_->bytes_on_disk());
    });
  }

  // On a full disk the hours count no more: everything goes that no reader needs.
  Status expire() {
    int64_t hours = spec_.store_retention_hours() ? spec_.store_retention_hours() : kRetentionHoursDefault;
    if (disk_full_) hours = 0;
    SLUICE_ASSIGN(uint64_t count, log_->expire(system_clock().unix_time_us() - hours * 3'600'000'000));
    return count > 0 && disk_full_ ? log_->release_space() : Status();
  }

  ComponentContext& context_;
  const cluster::v1::ComponentSpec& spec_;
  const FreeBytes free_bytes_;
  std::optional<Error> disk_full_;
  std::mutex mutex_;  // of what capture's thread reports
  Position start_;
  std::optional<Error> retrying_;
  bool connected_ = false;

  // Each outlives those after it, which use it.
  store::SourceState source_;
  std::unique_ptr<store::Log> log_;
  std::unique_ptr<store::LogServer> server_;
  std::unique_ptr<store::SourcePoller> poller_;
  std::string address_;
  std::unique_ptr<store::StorePipeline> pipeline_;
};

}  // namespace

Status run_store(ComponentContext& context) { return run_store_on(context, free_bytes_of); }

Status run_store_on(ComponentContext& context, FreeBytes free_bytes) {
  StoreComponent component(context, std::move(free_bytes));
  return component.run();
}

}  // namespace sluice::agents
