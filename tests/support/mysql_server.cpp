#include "tests/support/mysql_server.hpp"

#include <mysql.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "tests/support/mariadb.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;

std::string root() {
  const char* given = std::getenv("SLUICE_TEST_CACHE");
  const fs::path cache = given != nullptr && *given != 0
                             ? fs::path(given)
                             : fs::temp_directory_path() / ("sluice-test-cache-" + std::to_string(geteuid()));
  return cache / "mysql-root";
}

bool accepts(uint16_t port) {
  MYSQL* probe = mysql_init(nullptr);
  const bool ok = mysql_real_connect(probe, "127.0.0.1", "nobody", "", nullptr, port, nullptr, 0) != nullptr;
  const unsigned error = mysql_errno(probe);
  mysql_close(probe);
  return ok || error == 1045;  // access denied: it is up, and has learnt nothing of our user
}

}  // namespace

std::string MySqlServer::missing() {
  if (geteuid() != 0) return "a MySQL server is started by root only (chroot)";
  if (!fs::exists(root() + "/var/prepared")) return "no MySQL server here: ./dev setup mysql";
  return "";
}

MySqlServer::MySqlServer() : data_("/var/test-" + folder_.path().filename().string()) {
  if (const std::string why = missing(); !why.empty()) throw std::runtime_error(why);
  std::string output;
  if (run_program("cp", {"-a", root() + "/var/prepared", root() + data_}, &output) != 0)
    throw std::runtime_error(output);
  for (int attempt = 0;; ++attempt) {  // another process may take the port between our look and the server's bind
    port_ = free_port();
    try {
      launch();
      return;
    } catch (const std::runtime_error&) {
      if (attempt == 4 || log_text().find("Address already in use") == std::string::npos) throw;
    }
  }
}

MySqlServer::~MySqlServer() {
  process_.kill9();
  std::error_code ignored;
  fs::remove_all(root() + data_, ignored);
}

void MySqlServer::launch() {
  const std::string server = "exec chroot " + root() + " mysqld --no-defaults --user=mysqltest --datadir=" + data_ +
                             " --port=" + std::to_string(port_) + " --socket=" + data_ + "/s --pid-file=" + data_ +
                             "/pid --log-error=" + data_ +
                             "/log --bind-address=127.0.0.1 --mysqlx=0 --secure-file-priv= --server-id=97 "
                             "--log-bin=binlog --binlog-format=ROW --binlog-row-metadata=FULL --gtid-mode=ON "
                             "--enforce-gtid-consistency=ON --local-infile=ON --innodb-buffer-pool-size=64M "
                             "--innodb-redo-log-capacity=16M --performance-schema=OFF --sync-binlog=0 "
                             "--innodb-flush-log-at-trx-commit=2";
  // The mount ends with the namespace, and that with the server.
  process_ =
      ChildProcess::start({.program = "unshare",
                           .args = {"--mount", "sh", "-c", "mount -t proc proc " + root() + "/proc && " + server},
                           .stdout_file = folder_.file("output"),
                           .stderr_file = folder_.file("output")});
  const bool up = wait_until([&] { return !process_.running() || accepts(port_); }, std::chrono::minutes(1));
  if (!up || !process_.running()) throw std::runtime_error("mysqld did not start: " + log_text());
}

void MySqlServer::restart() {
  process_.terminate(std::chrono::minutes(1));
  launch();
}

Endpoint MySqlServer::endpoint(const std::string& password) const {
  Endpoint endpoint;
  endpoint.host = "127.0.0.1";
  endpoint.port = port_;
  endpoint.user = kUser;
  endpoint.password = Secret(password);
  return endpoint;
}

std::string MySqlServer::log_text() const {
  return read_text_file(root() + data_ + "/log") + read_text_file(folder_.file("output"));
}

}  // namespace sluice::testing
