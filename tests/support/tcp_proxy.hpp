// TcpProxy: stands between a client and a server of a test and breaks the connection in chosen ways. Its own thread
// forwards bytes; every method may be called from any thread. Needs connections without TLS for byte patterns.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace sluice::testing {

enum class Direction { kToServer, kToClient };

enum class OnPattern {
  kCutBefore,      // the pattern is not forwarded; both sides are closed
  kCutAfter,       // the pattern is forwarded, then both sides are closed
  kLoseAnswer,     // forwarded; the client's side is closed at once, the server's side stays open until cut_all()
  kSwallowAnswer,  // forwarded; both sides stay open, nothing more reaches the client
  kLoseRequest,    // not forwarded; the client's side is closed at once, the server's side stays open until cut_all()
  kHoldRequest,    // it and what comes after it on this connection wait in the proxy until release()
};

class TcpProxy {
 public:
  // Listens on a free port of 127.0.0.1 and forwards to `server_port` there.
  explicit TcpProxy(uint16_t server_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;

  uint16_t port() const { return port_; }
  void set_server_port(uint16_t port) { server_port_ = port; }

  // One shot: when the next `bytes` bytes of this direction (over all connections) have passed, all is cut.
  void cut_after(Direction direction, uint64_t bytes);
  // One shot: the first connection on which `pattern` passes in this direction (within one read, or over two).
  void when(Direction direction, const std::string& pattern, OnPattern action);
  bool fired() const { return fired_; }     // a one-shot rule was used
  void hold(Direction direction, bool on);  // bytes wait in the proxy
  void release();                           // what kHoldRequest holds goes on
  void refuse(bool on) { refuse_ = on; }    // new connections are closed at once
  void cut_all();
  uint64_t forwarded(Direction direction) const { return forwarded_[index(direction)]; }
  size_t connections() const;

 private:
  struct Link;
  struct Rule {
    Direction direction;
    std::string pattern;
    OnPattern action;
  };
  static int index(Direction d) { return d == Direction::kToServer ? 0 : 1; }
  void run();
  void accept_one();
  void read_side(Link& link, Direction direction);
  bool apply_rules(Link& link, Direction direction, std::string& bytes);
  void flush(Link& link, Direction direction);
  void wake();

  uint16_t port_ = 0;
  std::atomic<uint16_t> server_port_;
  int listener_ = -1, wake_[2] = {-1, -1};
  std::atomic<bool> stop_{false}, refuse_{false}, fired_{false};
  std::atomic<bool> hold_[2] = {false, false};
  std::atomic<uint64_t> forwarded_[2] = {0, 0};
  mutable std::mutex mutex_;  // rules and links
  std::optional<Rule> rule_;
  std::optional<uint64_t> cut_[2];
  bool cut_now_ = false;
  std::list<Link> links_;
  std::thread thread_;
};

}  // namespace sluice::testing
