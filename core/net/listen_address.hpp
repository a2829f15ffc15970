// Where a process of ours may listen: loopback and unix sockets, as long as there is no TLS. Pure.
#pragma once

#include <string>

#include "core/result.hpp"

namespace sluice::net {

struct ListenAddress {
  std::string socket;  // path of a unix socket; then there is no host
  std::string host;    // "localhost" or a numeric address without brackets
  int port = 0;        // 0: a free one is picked

  std::string to_string() const;  // "unix:PATH", "HOST:PORT" or "[HOST]:PORT"
};

// "unix:PATH", "HOST:PORT" or "[HOST]:PORT". INVALID_ARGUMENT when it is none of them, UNSUPPORTED when the host is not
// loopback. A name other than localhost is refused: it may mean another address tomorrow. `what` is told with the
// error.
Result<ListenAddress> parse_listen_address(const std::string& what, const std::string& text);
// The same for HTTP, which has no unix sockets.
Result<ListenAddress> parse_http_address(const std::string& what, const std::string& text);
// A host alone, without brackets.
Status check_loopback(const std::string& what, const std::string& host);

}  // namespace sluice::net
