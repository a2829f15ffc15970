// Connection: one session with a MySQL-family server. Owned and used by one thread at a time; only abort() may come
// from another one. Never reconnects by itself: after CONNECTION_LOST the object is dead and the owner opens a new one
// (exactness.md section 1).
//
// Sessions for data speak charset `binary`: results arrive in the columns' own character sets, literals are stored as
// the bytes they are. time_zone is '+00:00'; sql_mode is set so that zero dates, 0 in AUTO_INCREMENT columns and
// back-slashes are exact and bad values are errors.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/endpoint.hpp"
#include "core/result.hpp"

struct st_mysql;
struct st_mysql_res;

namespace sluice::mysql {

enum class Purpose : uint8_t {
  kData,     // charset binary, UTC, strict sql_mode, READ COMMITTED: reading and writing rows
  kCatalog,  // charset utf8mb4: definitions, variables
};

// The sql_mode of sessions for data, and the same without strictness: the only way to store the empty value (index 0)
// of an ENUM, with one warning for each; whoever uses it counts them.
inline constexpr std::string_view kDataMode =
    "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES";
inline constexpr std::string_view kLenientMode = "NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES";

struct ConnectOptions {
  Purpose purpose = Purpose::kData;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds io_timeout{60'000};  // one read or write on the socket; 0 = none
  bool multi_statements = false;
  bool local_infile = false;
  std::string application;  // shown by the server as program_name
};

struct ServerVersion {
  bool mariadb = false;
  uint32_t number = 0;  // 101119 for 10.11.19
  std::string text;
};

// A result cell: NULL, or bytes that live until the next row.
using Cell = std::optional<std::string_view>;

// One result set kept in memory; for small results (catalog, variables, bookkeeping).
struct ResultTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
};

struct ExecResult {
  uint64_t matched_rows = 0;  // CLIENT_FOUND_ROWS: matched, not changed
  uint32_t warnings = 0;
  std::string info;  // "Records: 3  Deleted: 0  Skipped: 0  Warnings: 0"
};

class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const Endpoint& endpoint, const ConnectOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;

  // Every error is classified: DEADLOCK (1205, 1213), DUPLICATE_KEY, CONNECTION_LOST, ACCESS_DENIED, MISSING_PRIVILEGE,
  // SERVER_READ_ONLY, DATABASE_DISK_FULL, PACKET_TOO_LARGE, VALUE_REJECTED (1264, 1265, 1366, 1406 …), TIMED_OUT,
  // else STATEMENT_FAILED. The cause holds the server's text and number.
  Result<ExecResult> exec(std::string_view sql);
  Result<ResultTable> query(std::string_view sql);
  // First column of the first row; NOT_FOUND when there is no row or it is NULL.
  Result<std::string> query_value(std::string_view sql);
  // Streams rows without buffering (mysql_use_result). `visit` gets the cells of one row and returns an error to stop;
  // the rest of the result is then discarded by closing the connection when it is long.
  Status stream(std::string_view sql, const std::function<Status(const std::vector<Cell>&)>& visit);
  // Sends several statements in one packet (multi_statements) and returns one result per statement; on the first
  // error, returns it with the number of statements that succeeded in `done`.
  Result<std::vector<ExecResult>> exec_multi(std::string_view sql, size_t* done = nullptr);
  // LOAD DATA LOCAL INFILE: `next` returns the next piece of the file, empty at its end.
  Result<ExecResult> load_data(std::string_view sql, const std::function<Result<std::string_view>()>& next);
  struct Warning {
    std::string level;
    uint32_t code;
    std::string message;
  };
  Result<std::vector<Warning>> warnings();

  uint64_t id() const;  // CONNECTION_ID()
  const ServerVersion& version() const { return version_; }
  uint64_t max_allowed_packet() const { return max_allowed_packet_; }
  uint32_t last_errno() const;  // the server's number of the last error, 0 when none
  bool alive() const { return alive_; }
  // Breaks the connection, so that a call that waits for the server returns with an error.
  void abort();
  st_mysql* raw() { return mysql_; }  // for the binlog reader of this folder

 private:
  Connection() = default;
  Status may_send(std::string_view sql) const;
  Error take_error(std::string_view sql);
  st_mysql* mysql_ = nullptr;
  ServerVersion version_;
  uint64_t max_allowed_packet_ = 0;
  bool alive_ = false;
  Endpoint endpoint_;
};

}  // namespace sluice::mysql
