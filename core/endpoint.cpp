#include "core/endpoint.hpp"

#include <charconv>
#include <fstream>
#include <map>

namespace sluice {
namespace {

Error invalid(std::string cause) { return Error(ErrorCode::INVALID_ARGUMENT, std::move(cause), "database URL"); }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    const int high = at + 2 < text.size() ? hex_digit(text[at + 1]) : -1;
    const int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
    if (high < 0 || low < 0) return invalid("a % is not followed by two hexadecimal digits");
    out += static_cast<char>(high << 4 | low);
    at += 2;
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || std::string_view("-._~").find(c) != std::string_view::npos)
      out += c;
    else
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
  }
  return out;
}

Result<std::string> read_password_file(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return invalid("password-file cannot be read: " + path);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

const std::map<std::string_view, SslMode> kSslModes = {{"disabled", SslMode::kDisabled},
                                                       {"preferred", SslMode::kPreferred},
                                                       {"required", SslMode::kRequired},
                                                       {"verify-ca", SslMode::kVerifyCa},
                                                       {"verify-identity", SslMode::kVerifyIdentity}};

Status apply_option(Endpoint& endpoint, std::string_view key, const std::string& value) {
  if (key == "ssl-mode") {
    auto mode = kSslModes.find(value);
    if (mode == kSslModes.end())
      return invalid("ssl-mode '" + value + "' is none of disabled, preferred, required, verify-ca, verify-identity");
    endpoint.ssl_mode = mode->second;
  } else if (key == "ssl-ca") {
    endpoint.ssl_ca = value;
  } else if (key == "ssl-cert") {
    endpoint.ssl_cert = value;
  } else if (key == "ssl-key") {
    endpoint.ssl_key = value;
  } else if (key == "socket") {
    endpoint.socket = value;
  } else if (key == "password-file") {
    SLUICE_ASSIGN(std::string password, read_password_file(value));
    endpoint.password = Secret(std::move(password));
  } else {
    return invalid("unknown option '" + std::string(key) +
                   "'; known are ssl-mode, ssl-ca, ssl-cert, ssl-key, socket, password-file");
  }
  return {};
}

Status apply_options(Endpoint& endpoint, std::string_view query) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return invalid("an option has no value");
    SLUICE_ASSIGN(const std::string value, percent_decode(pair.substr(equals + 1)));
    SLUICE_TRY(apply_option(endpoint, pair.substr(0, equals), value));
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return {};
}

Status apply_host(Endpoint& endpoint, std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return invalid("the IPv6 address has no ]");
    endpoint.host = text.substr(1, close - 1);
    if (close + 1 < text.size() && text[close + 1] == ':') port = text.substr(close + 2);
  } else {
    const size_t colon = text.rfind(':');
    endpoint.host = text.substr(0, colon);
    if (colon != std::string_view::npos) port = text.substr(colon + 1);
  }
  if (port.empty()) return {};
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (error != std::errc() || end != port.data() + port.size() || endpoint.port == 0)
    return invalid("port '" + std::string(port) + "' is not a number from 1 to 65535");
  return {};
}

}  // namespace

Result<Endpoint> Endpoint::parse_url(std::string_view url) {
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return invalid("it does not begin with mysql://");
  Endpoint endpoint;
  endpoint.kind = url.substr(0, scheme_end);
  if (endpoint.kind == "mariadb") endpoint.kind = "mysql";
  if (endpoint.kind != "mysql")
    return Error(ErrorCode::UNSUPPORTED, "scheme '" + endpoint.kind + "'; supported is mysql");
  url.remove_prefix(scheme_end + 3);

  std::string_view query;
  if (const size_t mark = url.find('?'); mark != std::string_view::npos) {
    query = url.substr(mark + 1);
    url = url.substr(0, mark);
  }
  if (const size_t slash = url.find('/'); slash != std::string_view::npos) {
    SLUICE_ASSIGN(endpoint.database, percent_decode(url.substr(slash + 1)));
    url = url.substr(0, slash);
  }
  const size_t at = url.rfind('@');
  if (at == std::string_view::npos) return invalid("it names no user (mysql://user@host)");
  const std::string_view login = url.substr(0, at);
  const size_t colon = login.find(':');
  SLUICE_ASSIGN(endpoint.user, percent_decode(login.substr(0, colon)));
  if (colon != std::string_view::npos) {
    SLUICE_ASSIGN(std::string password, percent_decode(login.substr(colon + 1)));
    endpoint.password = Secret(std::move(password));
  }
  SLUICE_TRY(apply_host(endpoint, url.substr(at + 1)));
  SLUICE_TRY(apply_options(endpoint, query));
  if (endpoint.user.empty()) return invalid("the user is empty");
  if (endpoint.host.empty() && endpoint.socket.empty()) return invalid("it names neither host nor socket");
  return endpoint;
}

std::string Endpoint::display() const {
  std::string text = kind + "://" + percent_encode(user) + "@" + host;
  if (socket.empty()) text.append(":").append(std::to_string(port));
  if (!database.empty()) text.append("/").append(percent_encode(database));
  if (!socket.empty()) text.append("?socket=").append(socket);
  return text;
}

}  // namespace sluice
