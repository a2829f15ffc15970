#include "tests/support/tcp_proxy.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <vector>

namespace sluice::testing {
namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

constexpr size_t kWaitingMax = 1 << 20;  // bytes kept per direction before the proxy stops reading

}  // namespace

// fd[0] is the client, fd[1] the server. Direction d reads from fd[d] and writes to fd[1 - d].
struct TcpProxy::Link {
  int fd[2] = {-1, -1};
  std::string waiting[2];  // read, not yet written, per direction
  std::string tail[2];     // the last bytes that passed, for patterns over two reads
  bool swallow = false;    // nothing more goes to the client
  bool held = false;       // what goes to the server waits
  bool waits(int direction) const { return held && direction == 0; }
  bool open() const { return fd[0] >= 0 || fd[1] >= 0; }
  void cut() {
    close_fd(fd[0]);
    close_fd(fd[1]);
  }
};

TcpProxy::TcpProxy(uint16_t server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  auto address = loopback(0);
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      pipe2(wake_, O_CLOEXEC | O_NONBLOCK) != 0) {
    throw std::runtime_error("the proxy cannot listen");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

TcpProxy::~TcpProxy() {
  stop_ = true;
  wake();
  thread_.join();
  for (auto& link : links_) link.cut();
  close_fd(listener_);
  close_fd(wake_[0]);
  close_fd(wake_[1]);
}

void TcpProxy::wake() {
  if (write(wake_[1], "w", 1) < 0) return;  // a full pipe wakes the thread as well
}

void TcpProxy::cut_after(Direction direction, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  cut_[index(direction)] = forwarded_[index(direction)] + bytes;
  fired_ = false;
}

void TcpProxy::when(Direction direction, const std::string& pattern, OnPattern action) {
  std::lock_guard lock(mutex_);
  rule_ = Rule{direction, pattern, action};
  fired_ = false;
}

void TcpProxy::hold(Direction direction, bool on) {
  hold_[index(direction)] = on;
  wake();
}

void TcpProxy::release() {
  {
    std::lock_guard lock(mutex_);
    for (auto& link : links_) link.held = false;
  }
  wake();
}

void TcpProxy::cut_all() {
  {
    std::lock_guard lock(mutex_);
    cut_now_ = true;
  }
  wake();
}

size_t TcpProxy::connections() const {
  std::lock_guard lock(mutex_);
  return links_.size();
}

void TcpProxy::run() {
  while (!stop_) {
    std::vector<pollfd> fds{{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    std::vector<std::pair<Link*, int>> owners{{nullptr, 0}, {nullptr, 0}};
    {
      std::lock_guard lock(mutex_);
      if (cut_now_) {
        for (auto& link : links_) link.cut();
        cut_now_ = false;
      }
      links_.remove_if([](const Link& link) { return !link.open(); });
      for (auto& link : links_) {
        for (int d = 0; d < 2; ++d) {
          if (link.fd[d] < 0) continue;
          short events = link.waiting[d].size() < kWaitingMax ? POLLIN : 0;
          if (!link.waiting[1 - d].empty() && !hold_[1 - d] && !link.waits(1 - d)) events |= POLLOUT;
          fds.push_back({link.fd[d], events, 0});
          owners.emplace_back(&link, d);
        }
      }
    }
    if (poll(fds.data(), fds.size(), 200) <= 0) continue;
    if (fds[1].revents != 0) {
      char sink[64];
      while (read(wake_[0], sink, sizeof(sink)) > 0) {
      }
    }
    std::lock_guard lock(mutex_);
    for (size_t i = 2; i < fds.size(); ++i) {
      auto [link, side] = owners[i];
      if (link->fd[side] != fds[i].fd) continue;
      if (fds[i].revents & POLLOUT) flush(*link, side == 0 ? Direction::kToClient : Direction::kToServer);
      if (link->fd[side] == fds[i].fd && (fds[i].revents & (POLLIN | POLLHUP | POLLERR))) {
        read_side(*link, side == 0 ? Direction::kToServer : Direction::kToClient);
      }
    }
    if (fds[0].revents & POLLIN) accept_one();
  }
}

void TcpProxy::accept_one() {
  int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  int server = refuse_ ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = loopback(server_port_);
  if (server < 0 || connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close_fd(server);
    close_fd(client);
    return;
  }
  fcntl(server, F_SETFL, fcntl(server, F_GETFL) | O_NONBLOCK);
  const int one = 1;
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  auto& link = links_.emplace_back();
  link.fd[0] = client;
  link.fd[1] = server;
}

void TcpProxy::read_side(Link& link, Direction direction) {
  const int d = index(direction);
  std::array<char, 65536> buffer;
  const ssize_t count = recv(link.fd[d], buffer.data(), buffer.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    flush(link, direction);
    link.cut();
    return;
  }
  std::string bytes(buffer.data(), static_cast<size_t>(count));
  if (direction == Direction::kToClient && link.swallow) return;
  const bool cut = apply_rules(link, direction, bytes);
  link.waiting[d] += bytes;
  flush(link, direction);
  if (cut) {
    fired_ = true;
    for (auto& each : links_) each.cut();
  }
}

// True when everything is to be cut after `bytes` (shortened if need be) were forwarded.
bool TcpProxy::apply_rules(Link& link, Direction direction, std::string& bytes) {
  const int d = index(direction);
  if (cut_[d] && forwarded_[d] + link.waiting[d].size() + bytes.size() >= *cut_[d]) {
    const uint64_t gone = forwarded_[d] + link.waiting[d].size();
    bytes.resize(*cut_[d] > gone ? *cut_[d] - gone : 0);
    cut_[d].reset();
    return true;
  }
  if (!rule_ || rule_->direction != direction) return false;
  const std::string seen = link.tail[d] + bytes;
  if (seen.find(rule_->pattern) == std::string::npos) {
    const size_t keep = rule_->pattern.size() - 1;
    link.tail[d] = seen.size() > keep ? seen.substr(seen.size() - keep) : seen;
    return false;
  }
  const OnPattern action = rule_->action;
  rule_.reset();
  fired_ = true;
  if (action == OnPattern::kCutBefore) {
    bytes.clear();
    link.cut();
  } else if (action == OnPattern::kCutAfter) {
    link.waiting[d] += bytes;
    bytes.clear();
    flush(link, direction);
    link.cut();
  } else if (action == OnPattern::kHoldRequest) {
    link.held = true;
  } else {
    if (action == OnPattern::kLoseRequest) bytes.clear();
    link.swallow = true;
    link.waiting[1].clear();
    if (action != OnPattern::kSwallowAnswer) close_fd(link.fd[0]);
  }
  return false;
}

void TcpProxy::flush(Link& link, Direction direction) {
  const int d = index(direction);
  int& out = link.fd[1 - d];
  auto& waiting = link.waiting[d];
  while (out >= 0 && !waiting.empty() && !hold_[d] && !link.waits(d)) {
    const ssize_t count = send(out, waiting.data(), waiting.size(), MSG_NOSIGNAL);
    if (count < 0) {
      if (errno != EAGAIN && errno != EINTR) link.cut();
      return;
    }
    forwarded_[d] += static_cast<uint64_t>(count);
    waiting.erase(0, static_cast<size_t>(count));
  }
}

}  // namespace sluice::testing
