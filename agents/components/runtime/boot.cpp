#include "agents/components/runtime/boot.hpp"

#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace sluice::agents {
namespace {

constexpr size_t kBootBytesMax = 64 << 20;

Result<std::string> read_all(int fd) {
  std::string bytes(64 << 10, '\0');
  size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t n = ::read(fd, bytes.data() + filled, bytes.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error(ErrorCode::INVALID_ARGUMENT, "no boot message: a component is started by its agent only");
    if (n == 0) break;
    filled += static_cast<size_t>(n);
    if (filled > kBootBytesMax) return Error(ErrorCode::INVALID_ARGUMENT, "the boot message is too large");
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace

Result<cluster::v1::ComponentBoot> read_boot(int fd) {
  auto bytes = read_all(fd);
  ::close(fd);
  if (!bytes.ok()) return bytes.error();
  cluster::v1::ComponentBoot boot;
  const bool parsed = boot.ParseFromString(*bytes);
  explicit_bzero(bytes->data(), bytes->size());
  // The token is the last field on the wire: where it is, nothing is missing. A pipe that ends early means that the
  // agent died before it had recorded this process, so this process must not work.
  if (!parsed || boot.token().empty() || boot.spec().component_id().empty() || boot.agent_socket().empty())
    return Error(ErrorCode::INVALID_ARGUMENT, "the boot message is not whole");
  return boot;
}

}  // namespace sluice::agents
