// Endpoint: a database server and how to log in. Plain value; the password is a Secret.
//
// URL form (docs/design.md section 7):
//   mysql://user[:password]@host[:port][/database][?ssl-mode=…&ssl-ca=…&socket=…&password-file=…]
// User, password and database are percent-encoded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/secret.hpp"

namespace sluice {

enum class SslMode : uint8_t { kDisabled, kPreferred, kRequired, kVerifyCa, kVerifyIdentity };

struct Endpoint {
  std::string kind = "mysql";
  std::string host;
  uint16_t port = 3306;
  std::string socket;  // path of a unix socket; wins over host and port
  std::string user;
  Secret password;
  std::string database;  // default scope of a project, never a connection's default database
  SslMode ssl_mode = SslMode::kPreferred;
  std::string ssl_ca, ssl_cert, ssl_key;  // paths

  // Reads a URL. password-file is read here. INVALID_ARGUMENT names what is wrong and never repeats the password.
  static Result<Endpoint> parse_url(std::string_view url);
  // "mysql://user@host:port", without password, for logs, reports and comparisons.
  std::string display() const;
};

}  // namespace sluice
