#include "agents/supervisor/coordinator_client.hpp"

#include "agents/supervisor/supervisor.hpp"
#include "core/log.hpp"
#include "core/net/channel.hpp"
#include "core/net/convert.hpp"
#include "sluice/cluster/v1/cluster.grpc.pb.h"

namespace sluice::agents {
namespace {

using cluster::v1::AgentMessage;
using cluster::v1::CoordinatorMessage;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{50}, kLongestPause{2000};
constexpr std::chrono::milliseconds kLeastSilence{3000};
constexpr size_t kHeartbeatsKept = 64, kLogLinesKept = 256;

}  // namespace

// One stream. A coordinator that grants nothing for three heartbeats is left for the next one.
struct CoordinatorClient::Session {
  std::string address;
  grpc::ClientContext call;
  std::unique_ptr<grpc::ClientReaderWriter<AgentMessage, CoordinatorMessage>> stream;
  std::atomic<bool> broken{false}, rejected{false};
  std::atomic<SteadyClock::time_point> granted_at;
  std::mutex mutex;
  std::map<uint64_t, BootTime> sent;  // heartbeats not yet answered
  uint64_t sequence = 0;
};

CoordinatorClient::CoordinatorClient(Options options, Handlers handlers, Clock& clock)
    : options_(std::move(options)), handlers_(std::move(handlers)), clock_(clock) {}

CoordinatorClient::~CoordinatorClient() { stop(); }

void CoordinatorClient::start() {
  thread_ = std::thread([this] { run(); });
}

void CoordinatorClient::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void CoordinatorClient::send(const cluster::v1::ComponentStatus& status) {
  std::lock_guard lock(mutex_);
  auto [entry, fresh] = pending_.try_emplace(status.component_id(), status);
  if (!fresh && entry->second.epoch() == status.epoch())
    merge_status(entry->second, status);
  else if (!fresh && entry->second.epoch() < status.epoch())
    entry->second = status;
  changed_.notify_all();
}

void CoordinatorClient::send(cluster::v1::LogLine line) {
  std::lock_guard lock(log_mutex_);
  if (log_.size() >= kLogLinesKept) {
    log_dropped_ += 1 + line.dropped();
    return;
  }
  line.set_dropped(line.dropped() + std::exchange(log_dropped_, 0));
  log_.push_back(std::move(line));  // goes out with the next status or heartbeat
}

bool CoordinatorClient::flush(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return pending_.empty() && !writing_; });
}

std::string CoordinatorClient::not_connected() const {
  std::lock_guard lock(mutex_);
  return cause_;
}

void CoordinatorClient::note(const std::string& cause) {
  std::lock_guard lock(mutex_);
  if (cause == cause_) return;
  cause_ = cause;
  if (cause.empty())
    log::info("agent.link", "a coordinator grants leases");
  else
    log::warn("agent.link", "no coordinator grants leases", {{"cause", cause}});
}

void CoordinatorClient::run() {
  auto pause = kFirstPause;
  for (size_t next = 0; !stopping_; ++next) {
    const auto begun = SteadyClock::now();
    session(options_.addresses[next % options_.addresses.size()]);
    if (SteadyClock::now() - begun > kLeastSilence) pause = kFirstPause;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause, [&] { return stopping_.load(); });
    pause = std::min(pause * 2, kLongestPause);
  }
}

void CoordinatorClient::session(const std::string& address) {
  Session session;
  session.address = address;
  session.granted_at = SteadyClock::now();
  auto stub = cluster::v1::ClusterService::NewStub(net::make_channel(address));
  net::authorize(session.call, options_.token);
  session.stream = stub->Session(&session.call);
  AgentMessage first;
  *first.mutable_register_() = handlers_.registration();
  first.mutable_register_()->set_term(term_);
  std::thread reader([&] { read_loop(session); });
  std::thread writer([&] {
    if (session.stream->Write(first)) write_loop(session);
    session.broken = true;
  });

  const auto patience = std::max<std::chrono::milliseconds>(kLeastSilence, 3 * options_.heartbeat);
  while (!session.broken && !stopping_) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(100));
    lock.unlock();
    if (SteadyClock::now() - session.granted_at.load() > patience) {
      note("no answer from " + address);
      break;
    }
  }
  // A stream that the peer has ended is not cancelled: its own status tells why.
  if (!session.broken.exchange(true) || session.rejected) session.call.TryCancel();
  {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  writer.join();
  reader.join();
  const grpc::Status end = session.stream->Finish();
  if (!stopping_ && end.error_code() != grpc::StatusCode::CANCELLED) note(net::from_grpc(end, address).to_string());
}

void CoordinatorClient::read_loop(Session& session) {
  CoordinatorMessage message;
  while (session.stream->Read(&message)) {
    if (message.has_lease()) {
      if (outdated(session, message.lease().term())) break;
      BootTime sent{};
      {
        std::lock_guard lock(session.mutex);
        const auto found = session.sent.find(message.lease().sequence());
        if (found == session.sent.end()) continue;
        sent = found->second;
        session.sent.erase(session.sent.begin(), std::next(found));
      }
      session.granted_at = SteadyClock::now();
      note({});
      handlers_.on_lease(sent, message.lease());
    } else if (message.has_desired()) {
      if (outdated(session, message.desired().term())) break;
      handlers_.on_desired(message.desired());
    } else if (message.has_rejected()) {
      note(net::from_proto(message.rejected().error()).to_string());
      session.rejected = true;
      break;
    }
  }
  session.broken = true;
  std::lock_guard lock(mutex_);
  changed_.notify_all();
}

// What an older term grants or desires is nothing to this node, so it is no lease either.
bool CoordinatorClient::outdated(Session& session, uint64_t term) {
  if (term >= term_) {
    term_ = term;
    return false;
  }
  note("the coordinator at " + session.address + " is of term " + std::to_string(term) + ", older than term " +
       std::to_string(term_) + " that this node follows");
  session.rejected = true;
  return true;
}

void CoordinatorClient::write_loop(Session& session) {
  auto next_heartbeat = SteadyClock::now();
  while (!session.broken) {
    if (SteadyClock::now() >= next_heartbeat) {
      if (!write_heartbeat(session)) return;
      next_heartbeat = std::max(next_heartbeat + options_.heartbeat, SteadyClock::now());
    }
    if (!write_statuses(session) || !write_log(session)) return;
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, next_heartbeat, [&] { return !pending_.empty() || session.broken; });
  }
}

bool CoordinatorClient::write_heartbeat(Session& session) {
  AgentMessage message;
  auto& heartbeat = *message.mutable_heartbeat();
  handlers_.sample_load(heartbeat);
  {
    std::lock_guard lock(session.mutex);
    heartbeat.set_sequence(++session.sequence);
    // Taken before it is sent: the lease can only be shorter than the coordinator believes.
    session.sent[session.sequence] = clock_.boot_time();
    if (session.sent.size() > kHeartbeatsKept) session.sent.erase(session.sent.begin());
  }
  return session.stream->Write(message);
}

bool CoordinatorClient::write_log(Session& session) {
  std::deque<cluster::v1::LogLine> lines;
  {
    std::lock_guard lock(log_mutex_);
    lines.swap(log_);
  }
  bool sound = true;
  for (auto& line : lines) {
    AgentMessage message;
    *message.mutable_log() = std::move(line);
    sound = sound && session.stream->Write(message);
  }
  return sound;
}

bool CoordinatorClient::write_statuses(Session& session) {
  std::map<std::string, cluster::v1::ComponentStatus> statuses;
  {
    std::lock_guard lock(mutex_);
    statuses.swap(pending_);
    writing_ = !statuses.empty();
  }
  bool sound = true;
  for (auto& [id, status] : statuses) {
    if (!sound) break;
    AgentMessage message;
    *message.mutable_status() = std::move(status);
    sound = session.stream->Write(message);
  }
  std::lock_guard lock(mutex_);
  writing_ = false;
  changed_.notify_all();
  return sound;  // what was lost is in the next registration
}

}  // namespace sluice::agents
