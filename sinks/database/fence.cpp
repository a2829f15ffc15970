// Take-over by a new epoch and registration of connections.
//
// Why no connection can slip through: registering is ONE statement. It share-locks the fence row, sees its own epoch
// and inserts itself, and commits by itself. Either it is done before the raise gets the row (then the raise's owner,
// who reads the connections after that, sees it), or it waits for the raise and finds another epoch. A client that is
// frozen in the middle cannot exist, so nobody can hold the fence row without being registered.
#include <algorithm>
#include <chrono>
#include <thread>

#include "core/log.hpp"
#include "sinks/database/bookkeeping_sql.hpp"

namespace sluice::database {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::chrono::seconds kTakeOverPatience{60};  // a killed session may have to undo much before it is gone
constexpr std::chrono::milliseconds kPoll{20};
constexpr uint32_t kNoSuchThread = 1094;
constexpr uint32_t kNotOwner = 1095;
constexpr std::string_view kLog = "database.fence";

struct Registered {
  uint64_t id = 0;
  std::string user, client;
};

Result<uint64_t> fence_epoch(mysql::Connection& connection, const Owner& owner) {
  SLUICE_ASSIGN(auto found,
                connection.query("SELECT epoch FROM " + sql::table(owner, "fence") + sql::where_owner(owner)));
  if (found.rows.empty()) return uint64_t{0};
  return sql::number_of(found.rows[0][0]);
}

Result<std::vector<Registered>> registered_before(mysql::Connection& connection, const Owner& owner) {
  SLUICE_ASSIGN(auto found, connection.query("SELECT id, user, client FROM " + sql::table(owner, "connection") +
                                             sql::where_owner(owner) + " AND epoch < " + std::to_string(owner.epoch)));
  std::vector<Registered> rows;
  for (const auto& row : found.rows) {
    SLUICE_ASSIGN(const uint64_t id, sql::number_of(row[0]));
    rows.push_back({id, sql::text_of(row[1]), sql::text_of(row[2])});
  }
  return rows;
}

// What the server's process list says of one connection. Without the PROCESS privilege other users' are not shown.
Result<std::optional<Registered>> listed(mysql::Connection& connection, const std::string& id) {
  SLUICE_ASSIGN(auto found,
                connection.query("SELECT ID, USER, HOST FROM information_schema.PROCESSLIST WHERE ID = " + id));
  if (found.rows.empty()) return std::optional<Registered>{};
  SLUICE_ASSIGN(const uint64_t number, sql::number_of(found.rows[0][0]));
  return std::optional(Registered{number, sql::text_of(found.rows[0][1]), sql::text_of(found.rows[0][2])});
}

Error cannot_kill(const Registered& row) {
  return Error(ErrorCode::MISSING_PRIVILEGE,
               "connection " + std::to_string(row.id) + " of user '" + row.user +
                   "' must be ended before a new owner may write: GRANT PROCESS, CONNECTION ADMIN ON *.*");
}

// Kills the connection if it is still the one that registered. False: it is gone.
Result<bool> kill_if_alive(mysql::Connection& connection, const Registered& row, const std::string& own_user) {
  // A server that started again gives the same ids, and through a socket every client has the same address.
  if (row.id == connection.id()) return false;
  SLUICE_ASSIGN(const auto now, listed(connection, std::to_string(row.id)));
  if (now && (now->user != row.user || now->client != row.client)) return false;  // the id was given to another session
  if (!now && row.user == own_user) return false;
  const auto killed = connection.exec("KILL CONNECTION " + std::to_string(row.id));
  if (killed.ok()) {
    log::info(kLog, "ended a connection of an older epoch", {{"id", row.id}, {"client", row.client}});
    return true;
  }
  if (connection.last_errno() == kNoSuchThread) return false;
  if (connection.last_errno() == kNotOwner) return cannot_kill(row);
  return killed.error();
}

// One round over the registered connections of older epochs; the number that was still alive.
Result<size_t> kill_older(mysql::Connection& connection, const Owner& owner, const std::string& own_user) {
  SLUICE_ASSIGN(const auto rows, registered_before(connection, owner));
  size_t alive = 0;
  for (const Registered& row : rows) {
    SLUICE_ASSIGN(const bool was_alive, kill_if_alive(connection, row, own_user));
    alive += was_alive ? 1 : 0;
  }
  return alive;
}

Error out_of_patience(const Owner& owner, const std::string& what) {
  return Error(ErrorCode::TIMED_OUT,
               what + " within " + std::to_string(kTakeOverPatience.count()) + " s; older sessions may still roll back",
               owner.component);
}

Status raise_fence(mysql::Connection& connection, const Owner& owner, const std::string& own_user,
                   SteadyClock::time_point deadline) {
  const std::string epoch = std::to_string(owner.epoch);
  const std::string raise = "INSERT INTO " + sql::table(owner, "fence") + " (project, component, epoch) VALUES (" +
                            mysql::quoted(owner.project) + ", " + mysql::quoted(owner.component) + ", " + epoch +
                            ") ON DUPLICATE KEY UPDATE epoch = IF(epoch < " + epoch + ", " + epoch + ", epoch)";
  while (true) {
    SLUICE_ASSIGN(const uint64_t before, fence_epoch(connection, owner));
    if (before > owner.epoch) return sql::stale_epoch(owner);
    const auto raised = connection.exec(raise);
    if (raised.ok()) break;
    if (raised.error().code() != ErrorCode::DEADLOCK) return raised.error();
    if (SteadyClock::now() > deadline) return out_of_patience(owner, "the fence row could not be locked");
    SLUICE_TRY(kill_older(connection, owner, own_user));
  }
  SLUICE_ASSIGN(const uint64_t now, fence_epoch(connection, owner));
  return now == owner.epoch ? Status{} : sql::stale_epoch(owner);
}

Result<Registered> self(mysql::Connection& connection) {
  SLUICE_ASSIGN(auto row, listed(connection, "CONNECTION_ID()"));
  if (!row) return Error(ErrorCode::UNSUPPORTED, "the server's process list does not show this connection");
  return std::move(*row);
}

}  // namespace

Status take_over(const Endpoint& target, const Owner& owner) {
  mysql::ConnectOptions options;
  options.application = "sluice take-over";
  SLUICE_ASSIGN(auto connection, mysql::Connection::open(target, options));
  // Short, so that blockers are found soon; a server that does not know the variable only waits longer.
  if (auto set = connection->exec("SET SESSION innodb_lock_wait_timeout = 1"); !set.ok() && !connection->alive())
    return set.error();
  SLUICE_ASSIGN(const Registered me, self(*connection));
  const auto deadline = SteadyClock::now() + kTakeOverPatience;
  SLUICE_TRY(raise_fence(*connection, owner, me.user, deadline));
  while (true) {
    SLUICE_ASSIGN(const size_t alive, kill_older(*connection, owner, me.user));
    if (alive == 0) break;
    if (SteadyClock::now() > deadline) return out_of_patience(owner, "connections of an older epoch did not end");
    std::this_thread::sleep_for(kPoll);
  }
  SLUICE_TRY(connection->exec("DELETE FROM " + sql::table(owner, "connection") + sql::where_owner(owner) +
                              " AND epoch < " + std::to_string(owner.epoch)));
  return {};
}

Result<std::unique_ptr<mysql::Connection>> open_registered(const Endpoint& target, const mysql::ConnectOptions& options,
                                                           const Owner& owner, const Lease& lease) {
  SLUICE_TRY(lease.check());
  SLUICE_ASSIGN(auto connection, mysql::Connection::open(target, options));
  SLUICE_ASSIGN(const Registered me, self(*connection));
  SLUICE_TRY(lease.check());
  // An id that was used before in this epoch belongs to a session that is gone: its row is overwritten.
  SLUICE_ASSIGN(const auto inserted,
                connection->exec("INSERT INTO " + sql::table(owner, "connection") +
                                 " (project, component, epoch, id, user, client) SELECT project, component, epoch, " +
                                 std::to_string(me.id) + ", " + mysql::quoted(me.user) + ", " +
                                 mysql::quoted(me.client) + sql::from_own_fence(owner) +
                                 " ON DUPLICATE KEY UPDATE user = VALUES(user), client = VALUES(client)"));
  if (inserted.matched_rows == 0) return sql::stale_epoch(owner);
  return connection;
}

Status end_lost_connection(mysql::Connection& connection, const Owner& owner, uint64_t id) {
  // The server has started again since and gave the id to this connection: the row is its own by now, and stays.
  if (id == connection.id()) return {};
  SLUICE_ASSIGN(const Registered me, self(connection));
  SLUICE_ASSIGN(auto found, connection.query("SELECT id, user, client FROM " + sql::table(owner, "connection") +
                                             sql::where_owner(owner) + " AND epoch = " + std::to_string(owner.epoch) +
                                             " AND id = " + std::to_string(id)));
  if (found.rows.empty()) return {};
  const Registered row{id, sql::text_of(found.rows[0][1]), sql::text_of(found.rows[0][2])};
  const auto deadline = SteadyClock::now() + kTakeOverPatience;
  while (true) {
    SLUICE_ASSIGN(const bool alive, kill_if_alive(connection, row, me.user));
    if (!alive) break;
    if (SteadyClock::now() > deadline) return out_of_patience(owner, "a lost connection did not end");
    std::this_thread::sleep_for(kPoll);
  }
  SLUICE_TRY(connection.exec("DELETE FROM " + sql::table(owner, "connection") + sql::where_owner(owner) +
                             " AND epoch = " + std::to_string(owner.epoch) + " AND id = " + std::to_string(id)));
  return {};
}

Status switch_off_check_constraints(mysql::Connection& connection) {
  const auto set = connection.exec("SET SESSION check_constraint_checks = 0");
  return set.ok() || connection.alive() ? Status() : Status(set.error());
}

}  // namespace sluice::database
