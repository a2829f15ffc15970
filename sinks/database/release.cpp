// What a released project leaves on the target: nothing.
//
// The order keeps late processes out: every component of the project loses its fence to an epoch that nobody has, and
// its connections are ended, before the first row goes; the fence rows go last, so a release that died is begun again
// with all of them in place. A connection registers from its fence row, so without the row nobody registers.
#include <algorithm>
#include <limits>
#include <set>

#include "core/log.hpp"
#include "sinks/database/bookkeeping_sql.hpp"

namespace sluice::database {
namespace {

constexpr uint64_t kReleased = std::numeric_limits<uint64_t>::max();
constexpr std::string_view kLog = "database.release";

Result<std::set<std::string>> tables_present(mysql::Connection& connection, const std::string& database) {
  SLUICE_ASSIGN(auto found, connection.query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = " +
                                             mysql::quoted(database)));
  std::set<std::string> names;
  for (const auto& row : found.rows) names.insert(sql::text_of(row[0]));
  return names;
}

// Nobody of the project writes any more; those who were connected are gone when this returns.
Status raise_all_fences(mysql::Connection& connection, const Endpoint& target, const Owner& owner, const Lease& lease) {
  SLUICE_ASSIGN(auto found,
                connection.query("SELECT component FROM " + sql::table(owner, "fence") +
                                 " WHERE project = " + mysql::quoted(owner.project) + " UNION SELECT component FROM " +
                                 sql::table(owner, "connection") + " WHERE project = " + mysql::quoted(owner.project)));
  for (const auto& row : found.rows) {
    Owner other = owner;
    other.component = sql::text_of(row[0]);
    other.epoch = kReleased;
    if (other.component == owner.component) continue;
    SLUICE_TRY(lease.check());
    SLUICE_TRY(take_over(target, other));
  }
  return {};
}

Status delete_rows(mysql::Connection& connection, const Owner& owner, const std::set<std::string>& present,
                   const Lease& lease) {
  std::vector<std::string> order;
  for (const std::string& name : sql::table_names())
    if (name != "fence" && name != "connection" && present.count(name) > 0) order.push_back(name);
  order.insert(order.end(), {"connection", "fence"});
  for (const std::string& name : order) {
    SLUICE_TRY(lease.check());
    SLUICE_TRY(
        connection.exec("DELETE FROM " + sql::table(owner, name) + " WHERE project = " + mysql::quoted(owner.project)));
  }
  return {};
}

Result<bool> holds_nothing_else(mysql::Connection& connection, const Owner& owner,
                                const std::set<std::string>& present) {
  const auto ours = sql::table_names();
  for (const std::string& name : present)
    if (std::find(ours.begin(), ours.end(), name) == ours.end()) return false;
  std::string others;
  for (const std::string& name : present)
    others += (others.empty() ? "" : " OR ") + ("EXISTS (SELECT 1 FROM " + sql::table(owner, name) + ")");
  for (const auto& [table, column] : {std::pair("ROUTINES", "ROUTINE_SCHEMA"), std::pair("EVENTS", "EVENT_SCHEMA")})
    others += std::string(others.empty() ? "" : " OR ") + "EXISTS (SELECT 1 FROM information_schema." + table +
              " WHERE " + column + " = " + mysql::quoted(owner.meta_database) + ")";
  SLUICE_ASSIGN(const auto& found, connection.query_value("SELECT " + others));
  return found == "0";
}

Status drop_if_unused(mysql::Connection& connection, const Owner& owner) {
  SLUICE_ASSIGN(const auto present, tables_present(connection, owner.meta_database));
  SLUICE_ASSIGN(bool unused, holds_nothing_else(connection, owner, present));
  if (!unused) return {};
  // A project that begins now waits with its fence row until the database is dropped, and stops with an error then.
  SLUICE_TRY(connection.exec("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
  SLUICE_TRY(connection.exec("START TRANSACTION"));
  if (present.count("fence") > 0)
    SLUICE_TRY(connection.query("SELECT project FROM " + sql::table(owner, "fence") + " FOR UPDATE"));
  SLUICE_ASSIGN(unused, holds_nothing_else(connection, owner, present));
  if (!unused) {
    SLUICE_TRY(connection.exec("ROLLBACK"));
    return {};
  }
  auto dropped = connection.exec("DROP DATABASE IF EXISTS " + mysql::quote_name(owner.meta_database));
  if (dropped.ok()) return {};
  if (dropped.error().code() != ErrorCode::MISSING_PRIVILEGE) return dropped.error();
  log::warn(kLog, "the meta database is empty and stays: the user may not drop it",
            {{"database", owner.meta_database}});
  return {};
}

}  // namespace

Status release_project(const Endpoint& target, const Owner& owner, const Lease& lease) {
  mysql::ConnectOptions options;
  options.application = "sluice release";
  options.io_timeout = std::chrono::milliseconds(0);  // deleting the rows of many chunks takes as long as it takes
  SLUICE_TRY(lease.check());
  SLUICE_ASSIGN(auto connection, mysql::Connection::open(target, options));
  SLUICE_ASSIGN(const auto present, tables_present(*connection, owner.meta_database));
  // Without these two nobody can be registered: a DROP DATABASE was interrupted, after the rows had gone.
  if (present.count("fence") > 0 && present.count("connection") > 0) {
    SLUICE_TRY(lease.check());
    SLUICE_TRY(take_over(target, owner));
    SLUICE_ASSIGN(connection, open_registered(target, options, owner, lease));
    SLUICE_TRY(raise_all_fences(*connection, target, owner, lease));
    SLUICE_TRY(delete_rows(*connection, owner, present, lease));
  }
  SLUICE_TRY(lease.check());
  return drop_if_unused(*connection, owner);
}

}  // namespace sluice::database
