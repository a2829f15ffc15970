// Versions and settings of both servers.
#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "agents/components/precheck/checks.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::precheck {
namespace {

constexpr std::chrono::seconds kXaPatience{10};  // ordinary XA transactions are prepared for a moment only
constexpr std::chrono::milliseconds kXaPause{200};

bool on(const std::string& value) { return value == "1" || value == "ON"; }

std::string family(const mysql::ServerVersion& version) { return version.mariadb ? "MariaDB" : "MySQL"; }

Outcome version_outcome(const mysql::ServerVersion& version, uint32_t mariadb_least, uint32_t mysql_least) {
  uint32_t least = version.mariadb ? mariadb_least : mysql_least;
  if (version.number >= least) return passed(version.text);
  std::string text = std::to_string(least / 10000) + "." + std::to_string(least / 100 % 100);
  return failed(ErrorCode::UNSUPPORTED, family(version) + " " + version.text + " is too old",
                "Use " + family(version) + " " + text + " or newer");
}

Result<Outcome> source_version(Facts& facts) {
  const mysql::ServerVersion& version = facts.source->version();
  if (version.text.find("OceanBase") != std::string::npos)
    return failed(ErrorCode::UNSUPPORTED, version.text + " writes no binary log that could be followed", "");
  return version_outcome(version, 100200, 50600);
}

Result<Outcome> target_version(Facts& facts) {
  Outcome outcome = version_outcome(facts.target->version(), 100200, 50700);
  if (outcome.level == Level::kPassed && facts.source &&
      facts.source->version().mariadb != facts.target->version().mariadb)
    return warning("source and target are of different families (" + facts.source->version().text + " and " +
                       facts.target->version().text + "); a definition that the target does not take stops the project",
                   "Look at the schema first: --steps schema");
  return outcome;
}

Result<Outcome> log_bin(Facts& facts) {
  SLUICE_ASSIGN(const std::string value, variable_or_empty(*facts.source, "log_bin"));
  if (!on(value))
    return failed(ErrorCode::BINLOG_DISABLED, "log_bin is OFF on the source",
                  "Set log_bin and server_id in the server's configuration and restart it");
  SLUICE_ASSIGN(const std::string id, variable_or_empty(*facts.source, "server_id"));
  if (id == "0") return failed(ErrorCode::BINLOG_DISABLED, "server_id is 0 on the source", "SET GLOBAL server_id = 1");
  return passed();
}

Result<Outcome> binlog_format(Facts& facts) {
  SLUICE_ASSIGN(const std::string value, variable_or_empty(*facts.source, "binlog_format"));
  if (value.empty() || value == "ROW") return passed();  // servers without the variable know no other format
  return failed(ErrorCode::BINLOG_FORMAT, "binlog_format is " + value + " on the source",
                "SET GLOBAL binlog_format = 'ROW', also in the configuration; then reconnect all writers");
}

Result<Outcome> binlog_row_image(Facts& facts) {
  SLUICE_ASSIGN(const std::string value, variable_or_empty(*facts.source, "binlog_row_image"));
  if (!value.empty() && value != "FULL")
    return failed(ErrorCode::BINLOG_FORMAT, "binlog_row_image is " + value + " on the source",
                  "SET GLOBAL binlog_row_image = 'FULL', also in the configuration; then reconnect all writers");
  SLUICE_ASSIGN(const std::string options, variable_or_empty(*facts.source, "binlog_row_value_options"));
  if (!options.empty())
    return failed(ErrorCode::BINLOG_FORMAT, "binlog_row_value_options is " + options + " on the source",
                  "SET GLOBAL binlog_row_value_options = ''; then reconnect all writers");
  return passed();
}

Result<Outcome> binlog_row_metadata(Facts& facts) {
  SLUICE_ASSIGN(const std::string value, variable_or_empty(*facts.source, "binlog_row_metadata"));
  if (value == "FULL") return passed();
  return warning("binlog_row_metadata is " + (value.empty() ? "not known" : value) +
                     " on the source: definitions are followed by the DDL in the log instead",
                 value.empty() ? "" : "SET GLOBAL binlog_row_metadata = 'FULL', also in the configuration");
}

std::vector<std::string> split_names(const std::string& list) {
  std::vector<std::string> names;
  size_t at = 0;
  while (at < list.size()) {
    size_t comma = std::min(list.find(',', at), list.size());
    size_t begin = list.find_first_not_of(' ', at);
    if (begin < comma) names.push_back(list.substr(begin, comma - begin));
    at = comma + 1;
  }
  return names;
}

// Changes that the source does not log would be lost without a trace.
Result<Outcome> binlog_filters(Facts& facts) {
  const mysql::ServerVersion& version = facts.source->version();
  bool renamed = !version.mariadb && version.number >= 80200;
  SLUICE_ASSIGN(auto status, facts.source->query(renamed ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS"));
  if (status.rows.empty() || status.rows[0].size() < 4) return passed();
  const auto only = split_names(status.rows[0][2].value_or(""));
  const auto without = split_names(status.rows[0][3].value_or(""));
  if (only.empty() && without.empty()) return passed();
  SLUICE_ASSIGN(const auto* databases, facts.databases());
  std::vector<std::string> lost;
  for (const std::string& name : *databases) {
    bool logged = only.empty() || std::find(only.begin(), only.end(), name) != only.end();
    if (std::find(without.begin(), without.end(), name) != without.end()) logged = false;
    if (!logged) lost.push_back(name);
  }
  const std::string cure = "Remove binlog_do_db and binlog_ignore_db from the server's configuration and restart it";
  if (!lost.empty())
    return failed(ErrorCode::BINLOG_FORMAT, "the source does not log changes of " + some_of(lost), cure, lost.front());
  return warning("the source filters its log by database; DDL that is run from another default database may be missing",
                 cure);
}

// A replica that does not log what it receives.
Result<Outcome> log_slave_updates(Facts& facts) {
  std::string name = "log_slave_updates";
  SLUICE_ASSIGN(std::string value, variable_or_empty(*facts.source, name));
  if (value.empty()) {
    name = "log_replica_updates";
    SLUICE_ASSIGN(value, variable_or_empty(*facts.source, name));
  }
  if (value.empty() || on(value)) return passed();
  const mysql::ServerVersion& version = facts.source->version();
  auto replicas = facts.source->query(version.mariadb           ? "SHOW ALL SLAVES STATUS"
                                      : version.number >= 80022 ? "SHOW REPLICA STATUS"
                                                                : "SHOW SLAVE STATUS");
  const std::string cure = "Set " + name + " = ON in the server's configuration and restart it";
  if (replicas.ok() && replicas->rows.empty()) return passed();
  if (replicas.ok())
    return failed(ErrorCode::BINLOG_FORMAT, "the source is a replica and does not log what it receives", cure);
  if (!facts.source->alive()) return replicas.error();
  return warning("it cannot be seen whether the source is a replica, and " + name + " is OFF", cure);
}

Result<Outcome> xa_pending(Facts& facts) {
  const auto deadline = std::chrono::steady_clock::now() + kXaPatience;
  while (true) {
    SLUICE_ASSIGN(auto prepared, facts.source->query("XA RECOVER"));
    if (prepared.rows.empty()) return passed();
    if (std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(kXaPause);
      continue;
    }
    std::vector<std::string> names;
    for (const auto& row : prepared.rows) names.push_back(row.empty() ? "" : row.back().value_or(""));
    return failed(ErrorCode::XA_PENDING, "prepared XA transactions are open: " + some_of(names),
                  "XA COMMIT or XA ROLLBACK of each of them");
  }
}

Result<Outcome> target_local_infile(Facts& facts) {
  SLUICE_ASSIGN(const std::string value, variable_or_empty(*facts.target, "local_infile"));
  if (on(value)) return passed();
  return warning("local_infile is OFF on the target: rows are written with INSERT, which is slower",
                 "SET GLOBAL local_infile = ON");
}

Result<Outcome> max_allowed_packet(Facts& facts) {
  uint64_t from = facts.source->max_allowed_packet(), to = facts.target->max_allowed_packet();
  if (to >= from) return passed();
  return warning("max_allowed_packet is " + std::to_string(to) + " on the target and " + std::to_string(from) +
                     " on the source: a row may be too large for the target",
                 "SET GLOBAL max_allowed_packet = " + std::to_string(from) + " on the target");
}

// Two connections are on one server when a lock that one takes is seen by the other.
Result<bool> is_same_server(mysql::Connection& source, mysql::Connection& target) {
  std::random_device random;
  std::string name = "sluice-";
  for (int i = 0; i < 4; ++i) name += std::to_string(random());
  SLUICE_TRY(source.query("SELECT GET_LOCK(" + mysql::quoted(name) + ", 0)"));
  auto holder = target.query("SELECT IS_USED_LOCK(" + mysql::quoted(name) + ")");
  SLUICE_TRY(source.query("SELECT RELEASE_LOCK(" + mysql::quoted(name) + ")"));
  if (!holder.ok() && !target.alive()) return holder.error();
  if (!holder.ok()) return false;  // a server of another kind, without such locks
  return !holder->rows.empty() && holder->rows[0][0] == std::to_string(source.id());
}

// On one server, a target table that is in scope would be read again as a source: at best refused, at worst for ever.
Result<Outcome> same_server(Facts& facts) {
  SLUICE_ASSIGN(const bool same, is_same_server(*facts.source, *facts.target));
  if (!same) return passed();
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  std::vector<std::string> names;
  for (const mysql::TableInfo& info : *tables) {
    TableName target = facts.mapping.target_of(info.name);
    if (facts.mapping.includes(target)) names.push_back(target.to_string());
  }
  if (!names.empty())
    return failed(
        ErrorCode::INVALID_ARGUMENT,
        "source and target are one server, and target tables are part of the source's scope: " + some_of(names),
        "Rename them with --rename and leave the new names out of the scope", names.front());
  return passed("source and target are one server");
}

}  // namespace

const std::vector<Check> kServerChecks = {
    {"SOURCE_VERSION", source_version, true, false},
    {"TARGET_VERSION", target_version, false, true},
    {"LOG_BIN", log_bin, true, false},
    {"BINLOG_FORMAT", binlog_format, true, false},
    {"BINLOG_ROW_IMAGE", binlog_row_image, true, false},
    {"BINLOG_ROW_METADATA", binlog_row_metadata, true, false},
    {"BINLOG_FILTERS", binlog_filters, true, false},
    {"LOG_SLAVE_UPDATES", log_slave_updates, true, false},
    {"XA_PENDING", xa_pending, true, false},
    {"TARGET_LOCAL_INFILE", target_local_infile, false, true},
    {"MAX_ALLOWED_PACKET", max_allowed_packet, true, true},
    {"SAME_SERVER", same_server, true, true},
};

}  // namespace sluice::agents::precheck
