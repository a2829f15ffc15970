#include "core/net/channel.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <vector>

namespace sluice::net {
namespace {

// Accepts, and begins to speak HTTP/2 a while later, as a server does on a machine that is busy.
class SlowServer {
 public:
  explicit SlowServer(std::chrono::milliseconds delay) : delay_(delay) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~SlowServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    for (const int fd : accepted_) ::close(fd);
    ::close(listener_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  void run() {
    for (int fd = 0; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      accepted_.push_back(fd);
      std::this_thread::sleep_for(delay_);
      constexpr char kSettings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};  // an empty SETTINGS frame
      (void)::send(fd, kSettings, sizeof(kSettings), MSG_NOSIGNAL);
    }
  }

  const std::chrono::milliseconds delay_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::vector<int> accepted_;
  std::thread thread_;
};

TEST(Channel, AServerThatNeedsAMomentIsNotUnreachable) {
  SlowServer server(std::chrono::milliseconds(500));
  auto channel = make_channel(server.address());
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(10);
  for (auto state = channel->GetState(true); state != GRPC_CHANNEL_READY; state = channel->GetState(true)) {
    ASSERT_NE(state, GRPC_CHANNEL_TRANSIENT_FAILURE) << "given up before the server could answer";
    ASSERT_TRUE(channel->WaitForStateChange(state, deadline));
  }
}

}  // namespace
}  // namespace sluice::net
