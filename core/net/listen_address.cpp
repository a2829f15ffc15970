#include "core/net/listen_address.hpp"

#include <arpa/inet.h>

#include <charconv>

namespace sluice::net {
namespace {

bool is_loopback(const std::string& host) {
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  if (::inet_pton(AF_INET6, host.c_str(), &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six);
  return host == "localhost";
}

Error invalid(const std::string& what, const std::string& text) {
  return Error(ErrorCode::INVALID_ARGUMENT, what + ": not an address HOST:PORT", text);
}

}  // namespace

std::string ListenAddress::to_string() const {
  if (!socket.empty()) return "unix:" + socket;
  const bool six = host.find(':') != std::string::npos;
  return (six ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Status check_loopback(const std::string& what, const std::string& host) {
  if (is_loopback(host)) return {};
  return Error(ErrorCode::UNSUPPORTED, what + ": only loopback addresses and unix sockets, as long as there is no TLS",
               host);
}

Result<ListenAddress> parse_http_address(const std::string& what, const std::string& text) {
  ListenAddress address;
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return invalid(what, text);
  address.host = text.substr(0, colon);
  if (address.host.front() == '[' && address.host.back() == ']')
    address.host = address.host.substr(1, address.host.size() - 2);
  else if (address.host.find(':') != std::string::npos)
    return invalid(what, text);
  const char *first = text.data() + colon + 1, *last = text.data() + text.size();
  auto [end, error] = std::from_chars(first, last, address.port);
  if (address.host.empty() || first == last || error != std::errc() || end != last || address.port < 0 ||
      address.port > 65535)
    return invalid(what, text);
  SLUICE_TRY(check_loopback(what, address.host));
  return address;
}

Result<ListenAddress> parse_listen_address(const std::string& what, const std::string& text) {
  if (!text.starts_with("unix:")) return parse_http_address(what, text);
  ListenAddress address;
  address.socket = text.substr(5);
  if (address.socket.empty()) return invalid(what, text);
  return address;
}

}  // namespace sluice::net
