#include "engines/mysql/connection.hpp"

#include <mysql.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <mutex>

#include "engines/mysql/error_codes.hpp"
#include "engines/mysql/local_file.hpp"

namespace sluice::mysql {
namespace {

// Opening the library loads plugins and TLS state and is not thread safe.
void init_library() {
  static std::once_flag once;
  std::call_once(once, [] { mysql_library_init(0, nullptr, nullptr); });
}

unsigned seconds_up(std::chrono::milliseconds time) {
  return static_cast<unsigned>(std::max<int64_t>(1, (time.count() + 999) / 1000));
}

const char* path_or_null(const std::string& path) { return path.empty() ? nullptr : path.c_str(); }

void set_tls(MYSQL* mysql, const Endpoint& endpoint) {
  if (endpoint.ssl_mode == SslMode::kDisabled) return;
  // Despite its name the option lets the library fall back to a plain connection; check_tls() refuses that.
  my_bool on = 1;
  mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &on);
  mysql_ssl_set(mysql, path_or_null(endpoint.ssl_key), path_or_null(endpoint.ssl_cert), path_or_null(endpoint.ssl_ca),
                nullptr, nullptr);
  // The library checks chain and name together; verify-ca is therefore as strict as verify-identity.
  if (endpoint.ssl_mode >= SslMode::kVerifyCa) mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
}

Status check_tls(MYSQL* mysql, const Endpoint& endpoint) {
  const bool wanted = endpoint.ssl_mode >= SslMode::kRequired && endpoint.socket.empty();
  if (wanted && mysql_get_ssl_cipher(mysql) == nullptr) {
    return Error(ErrorCode::TLS_FAILED, "the server offers no TLS and ssl-mode asks for it", endpoint.display());
  }
  return {};
}

void set_options(MYSQL* mysql, const Endpoint& endpoint, const ConnectOptions& options) {
  const unsigned connect = seconds_up(options.connect_timeout);
  mysql_optionsv(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
  if (options.io_timeout.count() > 0) {
    const unsigned io = seconds_up(options.io_timeout);
    mysql_optionsv(mysql, MYSQL_OPT_READ_TIMEOUT, &io);
    mysql_optionsv(mysql, MYSQL_OPT_WRITE_TIMEOUT, &io);
  }
  my_bool off = 0;
  mysql_optionsv(mysql, MYSQL_OPT_RECONNECT, &off);
  const unsigned local = options.local_infile ? 1 : 0;
  mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &local);
  const unsigned long packet = 1UL << 30;
  mysql_optionsv(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
  mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, options.purpose == Purpose::kData ? "binary" : "utf8mb4");
  if (!options.application.empty()) {
    mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", options.application.c_str());
  }
  set_tls(mysql, endpoint);
  refuse_local_files(mysql);
}

ServerVersion parse_version(std::string text) {
  ServerVersion version;
  version.mariadb = text.find("MariaDB") != text.npos;
  std::string_view rest = text;
  // Old MariaDB servers pretend to be 5.5.5 for replication's sake.
  if (version.mariadb && rest.substr(0, 6) == "5.5.5-") rest.remove_prefix(6);
  uint32_t parts[3] = {0, 0, 0};
  const char* at = rest.data();
  const char* end = at + rest.size();
  for (uint32_t& part : parts) {
    const auto [next, error] = std::from_chars(at, end, part);
    if (error != std::errc()) break;
    at = next < end && *next == '.' ? next + 1 : next;
  }
  version.number = parts[0] * 10'000 + parts[1] * 100 + parts[2];
  version.text = std::move(text);
  return version;
}

// What every session needs; and what makes it independent of a server's own defaults, where the server knows it.
struct SessionSettings {
  std::string required;
  std::vector<std::string> wanted;
};

SessionSettings settings_of(Purpose purpose, const ServerVersion& version) {
  SessionSettings settings;
  settings.required = purpose == Purpose::kData
                          ? "NAMES binary, SESSION sql_mode='" + std::string(kDataMode) + "'"
                          : "NAMES utf8mb4, SESSION sql_mode='NO_ENGINE_SUBSTITUTION', SESSION sql_quote_show_create=1";
  settings.required += ", SESSION time_zone='+00:00', SESSION autocommit=1";
  settings.wanted = {"sql_safe_updates=0",           "sql_auto_is_null=0",   "sql_select_limit=18446744073709551615",
                     "wait_timeout=28800",           "net_read_timeout=600", "net_write_timeout=3600",
                     "group_concat_max_len=4194304", "lc_messages='en_US'"};
  if (version.text.find("OceanBase") != version.text.npos) {
    settings.wanted.push_back("ob_query_timeout=3600000000");
    settings.wanted.push_back("ob_trx_timeout=86400000000");
  } else if (version.mariadb) {
    if (version.number >= 100'102) settings.wanted.push_back("max_statement_time=0");
  } else if (version.number >= 50'708) {
    settings.wanted.push_back("max_execution_time=0");
  }
  return settings;
}

Status set_up(Connection& connection, Purpose purpose) {
  const auto settings = settings_of(purpose, connection.version());
  std::string all = "SET " + settings.required;
  for (const auto& setting : settings.wanted) all += ", SESSION " + setting;
  const auto done = connection.exec(all);
  if (!done.ok()) {
    if (!connection.alive()) return done.error();
    // A relative of the servers we know may lack a variable.
    SLUICE_TRY(connection.exec("SET " + settings.required));
    for (const auto& setting : settings.wanted) {
      const auto single = connection.exec("SET SESSION " + setting);
      if (!single.ok() && !connection.alive()) return single.error();
    }
  }
  if (purpose == Purpose::kData) SLUICE_TRY(connection.exec("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"));
  return {};
}

// The start of a statement, for messages: enough to recognise it. Values of rows stay out of logs, so it ends before
// the first text and before a list of values.
std::string start_of(std::string_view sql) {
  constexpr size_t kLengthMax = 120;
  const size_t length = std::min({kLengthMax, sql.size(), sql.find('\''), sql.find("VALUES")});
  std::string text(sql.substr(0, length));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  if (sql.size() > length) text += "...";
  return text;
}

Error error_of(MYSQL* mysql, std::string_view context) {
  const unsigned number = mysql_errno(mysql);
  const std::string text = mysql_error(mysql);
  std::string cause = text + " (" + std::to_string(number) + ")";
  if (!context.empty()) cause += ", in: " + start_of(context);
  return Error(classify(number, text), std::move(cause));
}

// Ends a TCP connection by a reset. After an orderly end a server that waits for our receive window learns of it from
// its next probe only, up to two minutes later, and keeps the statement and its table's metadata lock until then.
void end_socket(int socket) {
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  (void)connect(socket, &nobody, sizeof(nobody));  // fails on unix sockets, where shutdown is enough
  shutdown(socket, SHUT_RDWR);
}

// A peer that is gone without a word is noticed within two minutes, also by a session that waits for a long statement.
// Nothing to set on unix sockets.
void notice_a_vanished_peer(int socket) {
  const auto set = [socket](int level, int option, int value) {
    (void)setsockopt(socket, level, option, &value, sizeof(value));
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 9);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 120'000);  // what is sent and not acknowledged
}

// Reads and drops what is left of the present result set.
void drain(MYSQL* mysql) {
  if (MYSQL_RES* result = mysql_use_result(mysql)) mysql_free_result(result);
}

ExecResult result_of(MYSQL* mysql) {
  ExecResult result;
  const auto rows = mysql_affected_rows(mysql);
  result.matched_rows = rows == static_cast<my_ulonglong>(-1) ? 0 : rows;
  result.warnings = mysql_warning_count(mysql);
  if (const char* info = mysql_info(mysql)) result.info = info;
  return result;
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const Endpoint& endpoint, const ConnectOptions& options) {
  init_library();
  std::unique_ptr<Connection> c(new Connection);
  c->endpoint_ = endpoint;
  c->mysql_ = mysql_init(nullptr);
  if (c->mysql_ == nullptr) return Error(ErrorCode::INTERNAL, "no memory for a connection");
  set_options(c->mysql_, endpoint, options);
  unsigned long flags = CLIENT_FOUND_ROWS;
  if (options.multi_statements) flags |= CLIENT_MULTI_STATEMENTS;
  if (options.local_infile) flags |= CLIENT_LOCAL_FILES;
  const bool by_socket = !endpoint.socket.empty();
  // "localhost" would make the library choose a socket of its own.
  const std::string host = by_socket ? "localhost" : endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host;
  const unsigned port = endpoint.port == 0 ? 3306 : endpoint.port;
  if (mysql_real_connect(c->mysql_, host.c_str(), endpoint.user.c_str(), endpoint.password.reveal().c_str(), nullptr,
                         by_socket ? 0 : port, path_or_null(endpoint.socket), flags) == nullptr) {
    return error_of(c->mysql_, {}).with_object(endpoint.display());
  }
  c->alive_ = true;
  notice_a_vanished_peer(mysql_get_socket(c->mysql_));
  SLUICE_TRY(check_tls(c->mysql_, endpoint));
  SLUICE_ASSIGN(auto about, c->query("SELECT VERSION(), @@max_allowed_packet"));
  if (about.rows.size() != 1 || !about.rows[0][0] || !about.rows[0][1]) {
    return Error(ErrorCode::UNSUPPORTED, "the server does not tell its version", endpoint.display());
  }
  c->version_ = parse_version(*about.rows[0][0]);
  c->max_allowed_packet_ = std::strtoull(about.rows[0][1]->c_str(), nullptr, 10);
  SLUICE_TRY(set_up(*c, options.purpose));
  return c;
}

Connection::~Connection() {
  if (mysql_ != nullptr) mysql_close(mysql_);
}

Error Connection::take_error(std::string_view sql) {
  Error error = error_of(mysql_, sql);
  if (!ends_session(mysql_errno(mysql_))) return error;
  alive_ = false;
  return error.with_object(endpoint_.display());  // whatever the statement was about, the server is what failed
}

void Connection::abort() {
  if (mysql_ != nullptr) ::shutdown(mysql_get_socket(mysql_), SHUT_RDWR);
}

uint64_t Connection::id() const { return mysql_thread_id(mysql_); }
uint32_t Connection::last_errno() const { return mysql_errno(mysql_); }

// A server that is sent too large a packet breaks the connection, often before its error can be read.
Status Connection::may_send(std::string_view sql) const {
  if (!alive_) return Error(ErrorCode::CONNECTION_LOST, "the connection has ended", endpoint_.display());
  if (max_allowed_packet_ == 0 || sql.size() + 1 < max_allowed_packet_) return {};
  return Error(ErrorCode::PACKET_TOO_LARGE,
               "a statement of " + std::to_string(sql.size()) + " bytes, max_allowed_packet is " +
                   std::to_string(max_allowed_packet_) + ", in: " + start_of(sql),
               endpoint_.display());
}

Result<ExecResult> Connection::exec(std::string_view sql) {
  SLUICE_TRY(may_send(sql));
  if (mysql_real_query(mysql_, sql.data(), sql.size()) != 0) return take_error(sql);
  drain(mysql_);
  if (mysql_errno(mysql_) != 0) return take_error(sql);
  ExecResult result = result_of(mysql_);
  // A session with multi_statements may be given several here too; all of them run, the first error counts.
  while (mysql_more_results(mysql_)) {
    if (mysql_next_result(mysql_) > 0) return take_error(sql);
    drain(mysql_);
    result.warnings += mysql_warning_count(mysql_);
  }
  return result;
}

Result<ResultTable> Connection::query(std::string_view sql) {
  ResultTable table;
  SLUICE_TRY(may_send(sql));
  if (mysql_real_query(mysql_, sql.data(), sql.size()) != 0) return take_error(sql);
  MYSQL_RES* result = mysql_store_result(mysql_);
  if (result == nullptr) {
    if (mysql_errno(mysql_) != 0) return take_error(sql);
    return table;  // a statement without a result set
  }
  const unsigned columns = mysql_num_fields(result);
  const MYSQL_FIELD* fields = mysql_fetch_fields(result);
  for (unsigned i = 0; i < columns; ++i) table.columns.emplace_back(fields[i].name, fields[i].name_length);
  while (MYSQL_ROW cells = mysql_fetch_row(result)) {
    const unsigned long* lengths = mysql_fetch_lengths(result);
    auto& row = table.rows.emplace_back(columns);
    for (unsigned i = 0; i < columns; ++i) {
      if (cells[i] != nullptr) row[i].emplace(cells[i], lengths[i]);
    }
  }
  mysql_free_result(result);
  return table;
}

Result<std::string> Connection::query_value(std::string_view sql) {
  SLUICE_ASSIGN(auto table, query(sql));
  if (table.rows.empty() || table.rows[0].empty() || !table.rows[0][0]) {
    return Error(ErrorCode::NOT_FOUND, "no value for: " + start_of(sql));
  }
  return std::move(*table.rows[0][0]);
}

Status Connection::stream(std::string_view sql, const std::function<Status(const std::vector<Cell>&)>& visit) {
  SLUICE_TRY(may_send(sql));
  if (mysql_real_query(mysql_, sql.data(), sql.size()) != 0) return take_error(sql);
  MYSQL_RES* result = mysql_use_result(mysql_);
  if (result == nullptr) {
    if (mysql_errno(mysql_) != 0) return take_error(sql);
    return {};
  }
  const unsigned columns = mysql_num_fields(result);
  std::vector<Cell> cells(columns);
  Status status;
  while (MYSQL_ROW row = mysql_fetch_row(result)) {
    const unsigned long* lengths = mysql_fetch_lengths(result);
    for (unsigned i = 0; i < columns; ++i) {
      cells[i] = row[i] == nullptr ? Cell() : Cell(std::in_place, row[i], lengths[i]);
    }
    status = visit(cells);
    if (!status.ok()) break;
  }
  if (!status.ok()) {
    constexpr int kRowsWorthReading = 1000;
    int left = kRowsWorthReading;
    while (left > 0 && mysql_fetch_row(result) != nullptr) --left;
    if (left == 0) {  // freeing the result would read all the rest: end the session instead
      end_socket(mysql_get_socket(mysql_));
      alive_ = false;
    }
    mysql_free_result(result);
    return status;
  }
  if (mysql_errno(mysql_) != 0) status = take_error(sql);
  mysql_free_result(result);
  return status;
}

Result<std::vector<ExecResult>> Connection::exec_multi(std::string_view sql, size_t* done) {
  if (done != nullptr) *done = 0;
  SLUICE_TRY(may_send(sql));
  if (mysql_real_query(mysql_, sql.data(), sql.size()) != 0) return take_error(sql);
  std::vector<ExecResult> results;
  for (;;) {
    drain(mysql_);
    if (mysql_errno(mysql_) != 0) return take_error(sql);
    results.push_back(result_of(mysql_));
    if (done != nullptr) *done = results.size();
    const int next = mysql_next_result(mysql_);
    if (next > 0) return take_error(sql);
    if (next < 0) return results;
  }
}

Result<ExecResult> Connection::load_data(std::string_view sql, const std::function<Result<std::string_view>()>& next) {
  SLUICE_TRY(may_send(sql));
  LocalFile file(mysql_, next);
  const bool failed = mysql_real_query(mysql_, sql.data(), sql.size()) != 0;
  if (file.error()) {
    alive_ = false;
    return *file.error();
  }
  if (failed) return take_error(sql);
  return result_of(mysql_);
}

Result<std::vector<Connection::Warning>> Connection::warnings() {
  SLUICE_ASSIGN(const auto table, query("SHOW WARNINGS"));
  std::vector<Warning> warnings;
  for (const auto& row : table.rows) {
    if (row.size() < 3) continue;
    warnings.push_back({row[0].value_or(""),
                        static_cast<uint32_t>(std::strtoul(row[1].value_or("0").c_str(), nullptr, 10)),
                        row[2].value_or("")});
  }
  return warnings;
}

}  // namespace sluice::mysql
