// MySqlServer: a real MySQL server of a test's own, from the root that `./dev setup mysql` makes (tools/mysql_root.sh).
// Debian 12 has no MySQL, so a test that wants one asks missing() first and is skipped. Owned and used by one thread.
#pragma once

#include <cstdint>
#include <string>

#include "core/endpoint.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

namespace sluice::testing {

class MySqlServer {
 public:
  static constexpr const char* kUser = "sluice";  // caching_sha2_password, all privileges, from anywhere
  static constexpr const char* kPassword = "sluice-test-pw";

  static std::string missing();  // why none can be started; empty: one can

  MySqlServer();  // throws std::runtime_error
  ~MySqlServer();
  MySqlServer(const MySqlServer&) = delete;

  Endpoint endpoint(const std::string& password = kPassword) const;  // 127.0.0.1
  uint16_t port() const { return port_; }
  void restart();  // what the server knew of passwords that were checked is forgotten
  std::string log_text() const;

 private:
  void launch();
  TempDir folder_{"sluice-mysql"};
  const std::string data_;  // as the server sees it; named after folder_
  uint16_t port_ = 0;
  ChildProcess process_;
};

}  // namespace sluice::testing
