#include "tests/support/mariadb.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <mysql.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace fs = std::filesystem;
namespace {

using namespace std::chrono_literals;

std::string server_program() {
  for (const char* path : {"/usr/sbin/mariadbd", "/usr/bin/mariadbd", "/usr/local/sbin/mariadbd"}) {
    if (fs::exists(path)) return path;
  }
  return "mariadbd";
}

// A server refuses to run as root; then everything it owns belongs to the user that its package made.
void add_user(std::vector<std::string>& args) {
  if (geteuid() == 0) args.push_back("--user=mysql");
}

fs::path cache_folder() {
  const char* given = std::getenv("SLUICE_TEST_CACHE");
  const fs::path path = given != nullptr && *given != 0
                            ? fs::path(given)
                            : fs::temp_directory_path() / ("sluice-test-cache-" + std::to_string(geteuid()));
  fs::create_directories(path);
  fs::permissions(path, fs::perms(0755));
  return path;
}

std::string accounts_sql() {
  std::string sql = "FLUSH PRIVILEGES;\n";
  for (const char* host : {"%", "localhost", "127.0.0.1"}) {
    for (const char* user : {MariaDbServer::kUser, "root"}) {
      const std::string account = std::string("'") + user + "'@'" + host + "'";
      sql += "CREATE OR REPLACE USER " + account + " IDENTIFIED BY '" + MariaDbServer::kPassword + "';\n";
      sql += "GRANT ALL PRIVILEGES ON *.* TO " + account + " WITH GRANT OPTION;\n";
    }
  }
  return sql;
}

constexpr const char* kLogFileSize = "--innodb-log-file-size=64M";

void install(const fs::path& data, const fs::path& scratch) {
  std::vector<std::string> args{"--no-defaults",
                                "--auth-root-authentication-method=normal",
                                "--skip-test-db",
                                "--skip-name-resolve",
                                "--datadir=" + data.string(),
                                kLogFileSize};
  add_user(args);
  std::string output;
  if (run_program("mariadb-install-db", args, &output) != 0) throw std::runtime_error("mariadb-install-db: " + output);
  const fs::path accounts = scratch / "accounts.sql";
  std::ofstream(accounts) << accounts_sql();
  std::string server =
      server_program() + " --no-defaults --bootstrap --datadir='" + data.string() + "' " + kLogFileSize;
  if (geteuid() == 0) server += " --user=mysql";
  server += " < '" + accounts.string() + "'";
  if (run_program("sh", {"-c", server}, &output) != 0) throw std::runtime_error("bootstrap: " + output);
}

// The prepared data folder. Made once per machine; the lock lets one process make it while the others wait, and the
// rename makes a half-made folder invisible after a crash.
fs::path prepared_data() {
  const fs::path cache = cache_folder();
  const fs::path ready = cache / "mariadb-10.11-v1";
  if (fs::exists(ready)) return ready;
  const int lock = open((cache / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0 || flock(lock, LOCK_EX) != 0) throw std::runtime_error("cannot lock " + cache.string());
  if (!fs::exists(ready)) {
    const fs::path scratch = cache / ("making-" + std::to_string(getpid()));
    fs::remove_all(scratch);
    fs::create_directories(scratch);
    fs::permissions(scratch, fs::perms(0755));
    install(scratch / "data", scratch);
    fs::rename(scratch / "data", ready);
    fs::remove_all(scratch);
  }
  close(lock);
  return ready;
}

[[noreturn]] void fail(MYSQL* mysql, const std::string& statement) {
  throw std::runtime_error("SQL error " + std::to_string(mysql_errno(mysql)) + ": " + mysql_error(mysql) +
                           " in: " + statement.substr(0, 500));
}

std::vector<MariaDbServer::Row> read_result(MYSQL* mysql) {
  std::vector<MariaDbServer::Row> rows;
  MYSQL_RES* result = mysql_store_result(mysql);
  if (result == nullptr) return rows;
  const unsigned columns = mysql_num_fields(result);
  while (MYSQL_ROW cells = mysql_fetch_row(result)) {
    const unsigned long* lengths = mysql_fetch_lengths(result);
    MariaDbServer::Row row(columns);
    for (unsigned i = 0; i < columns; ++i) {
      if (cells[i] != nullptr) row[i] = std::string(cells[i], lengths[i]);
    }
    rows.push_back(std::move(row));
  }
  mysql_free_result(result);
  return rows;
}

}  // namespace

uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no free port");
  }
  close(fd);
  return ntohs(address.sin_port);
}

MariaDbServer::MariaDbServer(const MariaDbOptions& options) : options_(options) {
  const fs::path prepared = prepared_data();
  std::string output;
  if (run_program("cp", {"-a", prepared.string(), data_dir()}, &output) != 0) throw std::runtime_error(output);
  if (geteuid() == 0 && run_program("chown", {"mysql", folder_.path().string()}) != 0) {
    throw std::runtime_error("cannot give the folder to user mysql");
  }
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

MariaDbServer::~MariaDbServer() {
  forget_session();
  process_.kill9();
}

void MariaDbServer::launch() {
  std::vector<std::string> args{"--no-defaults",
                                "--datadir=" + data_dir(),
                                "--port=" + std::to_string(port_),
                                "--bind-address=127.0.0.1",
                                "--socket=" + socket(),
                                "--pid-file=" + folder_.file("pid"),
                                "--log-error=" + folder_.file("log"),
                                "--server-id=" + std::to_string(options_.server_id),
                                "--skip-name-resolve",
                                "--innodb-buffer-pool-size=64M",
                                kLogFileSize,
                                "--innodb-flush-log-at-trx-commit=2",
                                "--tmpdir=" + data_dir(),
                                "--performance-schema=OFF",
                                "--local-infile=1",
                                "--character-set-server=utf8mb4",
                                "--max-connections=300",
                                "--lc-messages-dir=/usr/share/mysql"};
  if (options_.binlog) {
    for (const char* arg : {"--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL",
                            "--binlog-row-metadata=FULL", "--sync-binlog=0"}) {
      args.push_back(arg);
    }
  }
  add_user(args);
  args.insert(args.end(), options_.args.begin(), options_.args.end());
  const std::string output = folder_.file("output");
  process_ = ChildProcess::start(
      {.program = server_program(), .args = args, .cwd = folder_.path(), .stdout_file = output, .stderr_file = output});
  const bool up = wait_until([&] { return !process_.running() || answers(); }, 60s, 20ms);
  if (!up || !process_.running()) throw std::runtime_error("mariadbd did not start: " + log_text());
}

bool MariaDbServer::answers() {
  MYSQL* probe = mysql_init(nullptr);
  const bool ok = mysql_real_connect(probe, "127.0.0.1", kUser, kPassword, nullptr, port_, nullptr, 0) != nullptr;
  mysql_close(probe);
  return ok;
}

Endpoint MariaDbServer::endpoint() const { return endpoint(kUser, kPassword); }

Endpoint MariaDbServer::endpoint(const std::string& user, const std::string& password) const {
  Endpoint e;
  e.host = "127.0.0.1";
  e.port = port_;
  e.user = user;
  e.password = Secret(password);
  return e;
}

std::string MariaDbServer::url(const std::string& database) const {
  return std::string("mysql://") + kUser + ":" + kPassword + "@127.0.0.1:" + std::to_string(port_) +
         (database.empty() ? "" : "/" + database);
}

std::string MariaDbServer::log_text() const {
  return read_text_file(folder_.file("log")) + read_text_file(folder_.file("output"));
}

void MariaDbServer::forget_session() {
  if (session_ != nullptr) mysql_close(session_);
  session_ = nullptr;
}

st_mysql* MariaDbServer::session() {
  if (session_ != nullptr && mysql_ping(session_) == 0) return session_;
  forget_session();
  session_ = mysql_init(nullptr);
  mysql_options(session_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  const unsigned long packet = 1UL << 30;
  mysql_options(session_, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
  if (mysql_real_connect(session_, "127.0.0.1", kUser, kPassword, nullptr, port_, nullptr, CLIENT_MULTI_STATEMENTS) ==
      nullptr) {
    fail(session_, "connect");
  }
  return session_;
}

void MariaDbServer::sql(const std::string& statements) {
  MYSQL* mysql = session();
  if (mysql_real_query(mysql, statements.data(), statements.size()) != 0) fail(mysql, statements);
  for (;;) {
    read_result(mysql);
    const int more = mysql_next_result(mysql);
    if (more > 0) fail(mysql, statements);
    if (more < 0) return;
  }
}

unsigned MariaDbServer::try_sql(const std::string& statement) {
  MYSQL* mysql = session();
  if (mysql_real_query(mysql, statement.data(), statement.size()) != 0) return mysql_errno(mysql);
  read_result(mysql);
  return mysql_errno(mysql);
}

std::vector<MariaDbServer::Row> MariaDbServer::query(const std::string& statement) {
  MYSQL* mysql = session();
  if (mysql_real_query(mysql, statement.data(), statement.size()) != 0) fail(mysql, statement);
  auto rows = read_result(mysql);
  if (mysql_errno(mysql) != 0) fail(mysql, statement);
  return rows;
}

std::string MariaDbServer::query_value(const std::string& statement) {
  const auto rows = query(statement);
  if (rows.empty() || rows[0].empty() || !rows[0][0]) throw std::runtime_error("no value: " + statement);
  return *rows[0][0];
}

bool MariaDbServer::has(const std::string& query, const std::string& value) {
  try {
    return query_value(query) == value;
  } catch (const std::exception&) {
    return false;
  }
}

bool MariaDbServer::becomes(const std::string& query, const std::string& value, std::chrono::milliseconds patience) {
  return wait_until([&] { return has(query, value); }, patience);
}

void MariaDbServer::stop() {
  forget_session();
  process_.signal(SIGCONT);
  process_.terminate(60s);
}

void MariaDbServer::kill9() {
  process_.kill9();
  forget_session();
}

void MariaDbServer::restart(const std::vector<std::string>& args) {
  if (process_.running()) stop();
  if (!args.empty()) options_.args = args;
  launch();
}

void MariaDbServer::freeze() { process_.signal(SIGSTOP); }
void MariaDbServer::thaw() { process_.signal(SIGCONT); }

}  // namespace sluice::testing
