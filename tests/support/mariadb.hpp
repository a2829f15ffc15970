// MariaDbServer: a real MariaDB server of a test's own, on a free port, in a folder that is removed at the end.
//
// The first start on a machine prepares a data folder under ${SLUICE_TEST_CACHE:-<tmp>/sluice-test-cache-<uid>};
// later starts copy it, which takes about a second. All failures throw std::runtime_error, which fails the test.
// Owned and used by one thread; the server dies with that thread's process.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/endpoint.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

struct st_mysql;

namespace sluice::testing {

struct MariaDbOptions {
  uint32_t server_id = 1;
  bool binlog = true;             // ROW format, full images, full metadata
  std::vector<std::string> args;  // further options of mariadbd; they win over ours
};

class MariaDbServer {
 public:
  using Row = std::vector<std::optional<std::string>>;
  static constexpr const char* kUser = "sluice";              // all privileges, from anywhere
  static constexpr const char* kPassword = "sluice-test-pw";  // of `sluice` and `root`

  explicit MariaDbServer(const MariaDbOptions& options = {});
  ~MariaDbServer();
  MariaDbServer(const MariaDbServer&) = delete;

  Endpoint endpoint() const;  // as user `sluice`, 127.0.0.1
  Endpoint endpoint(const std::string& user, const std::string& password) const;
  std::string url(const std::string& database = {}) const;  // with the password
  uint16_t port() const { return port_; }
  pid_t pid() const { return process_.pid(); }
  std::string data_dir() const { return folder_.file("data"); }
  std::string socket() const { return folder_.file("s"); }
  std::string log_text() const;

  // A connection of its own, independent of the code under test: user `sluice`, utf8mb4, multi statements allowed.
  void sql(const std::string& statements);
  std::vector<Row> query(const std::string& statement);
  std::string query_value(const std::string& statement);  // first cell; throws when there is none or it is NULL
  // The number of the server's error, 0 on success.
  unsigned try_sql(const std::string& statement);
  // Whether the first cell is `value` now; false also when the statement fails (the table may not be there yet).
  bool has(const std::string& query, const std::string& value);
  // Waits until it is.
  bool becomes(const std::string& query, const std::string& value,
               std::chrono::milliseconds patience = std::chrono::minutes(2));

  void stop();                                              // SIGTERM, waits
  void kill9();                                             // SIGKILL
  void restart(const std::vector<std::string>& args = {});  // ends it if it runs; `args` replace options.args if given
  void freeze();                                            // SIGSTOP
  void thaw();                                              // SIGCONT

 private:
  void launch();
  bool answers();
  void forget_session();
  st_mysql* session();
  MariaDbOptions options_;
  TempDir folder_{"sluice-mariadb"};
  uint16_t port_ = 0;
  ChildProcess process_;
  st_mysql* session_ = nullptr;
};

uint16_t free_port();  // of 127.0.0.1, free just now

}  // namespace sluice::testing
