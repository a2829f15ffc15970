#include "engines/mysql/binlog/source_setup.hpp"

#include <cstdio>
#include <cstdlib>

#include "core/log.hpp"
#include "engines/mysql/error_codes.hpp"
#include "engines/mysql/name_folding.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::mysql {

namespace {
constexpr uint64_t kMaxDumpOffset = 0xffffffff;  // COM_BINLOG_DUMP has 32 bits for it
constexpr uint64_t kFirstOffset = 4;

// Size of a file of the source's log; NOT_FOUND when it has none of this name.
Result<uint64_t> log_file_size(Connection& connection, const std::string& file) {
  SLUICE_ASSIGN(ResultTable logs, connection.query("SHOW BINARY LOGS"));
  for (const auto& row : logs.rows) {
    if (row.size() < 2 || !row[0] || !row[1] || *row[0] != file) continue;
    return static_cast<uint64_t>(std::strtoull(row[1]->c_str(), nullptr, 10));
  }
  return Error(ErrorCode::NOT_FOUND, "the source has no log file " + file);
}

bool contains_all(std::string_view list, std::string_view gtids) {
  std::string padded = "," + std::string(list) + ",";
  while (!gtids.empty()) {
    size_t comma = gtids.find(',');
    std::string_view one = gtids.substr(0, comma);
    if (padded.find("," + std::string(one) + ",") == std::string::npos) return false;
    gtids.remove_prefix(comma == std::string_view::npos ? gtids.size() : comma + 1);
  }
  return true;
}

Result<StartPoint> by_gtid(std::string gtids) {
  StartPoint start;
  start.by_gtid = start.gtids_known = true;
  start.position.gtids = std::move(gtids);
  return start;
}

Result<StartPoint> by_file(const Position& position, bool gtids_known) {
  StartPoint start;
  start.position = position;
  start.position.offset = std::max(position.offset, kFirstOffset);
  start.gtids_known = gtids_known;
  return start;
}

Error lost(const Position& from, const std::string& why) {
  return Error(ErrorCode::POSITION_LOST, why, {}, from.to_string());
}

// MariaDB can tell the GTIDs at a place of a file: so the file is known to be the one that was read before.
Result<StartPoint> choose_mariadb(Connection& connection, const Position& from) {
  auto at_file = connection.query_value("SELECT BINLOG_GTID_POS(" + quoted(from.file) + "," +
                                        std::to_string(std::max(from.offset, kFirstOffset)) + ")");
  if (!at_file.ok() && at_file.error().code() != ErrorCode::NOT_FOUND) return at_file.error();
  bool same = at_file.ok() ? contains_all(*at_file, from.gtids) : from.gtids.empty();
  if (same && from.offset <= kMaxDumpOffset) {
    Position start = from;
    if (at_file.ok()) start.gtids = *at_file;
    return by_file(start, at_file.ok() || !from.gtids.empty());
  }
  if (!from.gtids.empty()) return by_gtid(from.gtids);
  if (at_file.ok() && !at_file->empty()) return by_gtid(*at_file);
  return Error(ErrorCode::UNSUPPORTED, "reading from beyond 4 GiB of a log file needs GTIDs", {}, from.to_string());
}
}  // namespace

Result<StartPoint> choose_start(Connection& connection, const Position& position) {
  Position from = position;
  if (!connection.version().mariadb) {
    SLUICE_ASSIGN(from.gtids, normalize_gtid_set(position.gtids));
  }
  if (from.empty()) return Error(ErrorCode::INVALID_ARGUMENT, "no position to read the binlog from");
  SLUICE_ASSIGN(std::string log_bin, connection.query_value("SELECT @@global.log_bin"));
  if (log_bin == "0") return Error(ErrorCode::BINLOG_DISABLED, "log_bin is OFF");
  if (from.file.empty()) return by_gtid(from.gtids);
  auto size = log_file_size(connection, from.file);
  bool known = size.ok() && from.offset <= *size;
  if (!known) {
    if (!size.ok() && size.error().code() != ErrorCode::NOT_FOUND) return size.error();
    std::string why = size.ok() ? "log file " + from.file + " ends at " + std::to_string(*size) : size.error().cause();
    if (from.gtids.empty()) return lost(from, why);
    log::warn("mysql.binlog", "the position's file is not there, starting by GTID",
              {{"position", from.to_string()}, {"cause", why}});
    return by_gtid(from.gtids);
  }
  if (connection.version().mariadb) return choose_mariadb(connection, from);
  if (from.offset <= kMaxDumpOffset) return by_file(from, !from.gtids.empty());
  if (!from.gtids.empty()) return by_gtid(from.gtids);
  return Error(ErrorCode::UNSUPPORTED, "reading from beyond 4 GiB of a log file needs GTIDs", {}, from.to_string());
}

namespace {
void take_collations(const ResultTable& table, Collations* collations) {
  for (const auto& row : table.rows) {
    if (row.size() < 3 || !row[0] || !row[1] || !row[2]) continue;
    collations->set(static_cast<uint32_t>(std::strtoul(row[0]->c_str(), nullptr, 10)), *row[1], *row[2]);
  }
}
}  // namespace

Status load_collations(Connection& connection, Collations* collations) {
  SLUICE_ASSIGN(ResultTable all, connection.query("SELECT id, character_set_name, collation_name FROM "
                                                  "information_schema.collations WHERE id IS NOT NULL"));
  take_collations(all, collations);
  if (!connection.version().mariadb || connection.version().number < 101'001) return {};
  // Collations of several character sets have their numbers here only.
  SLUICE_ASSIGN(ResultTable shared,
                connection.query("SELECT id, character_set_name, full_collation_name FROM "
                                 "information_schema.collation_character_set_applicability WHERE id IS NOT NULL"));
  take_collations(shared, collations);
  return {};
}

Result<bool> folds_names(Connection& connection) {
  SLUICE_ASSIGN(const auto folding, NameFolding::of(connection));
  if (folding.mode() == NameFolding::Mode::kIgnoresCase)
    return Error(ErrorCode::UNSUPPORTED, "lower_case_table_names=2 on the source");
  return folding.mode() == NameFolding::Mode::kLowerCase;
}

Result<StreamSettings> time_zones(Connection& connection) {
  SLUICE_ASSIGN(std::string global_zone, connection.query_value("SELECT @@global.time_zone"));
  SLUICE_ASSIGN(std::string system_zone, connection.query_value("SELECT @@system_time_zone"));
  // SYSTEM means nothing to another server. A zone that never changed its offset is that offset; winters and summers
  // of several years tell.
  if (auto set = connection.exec("SET SESSION time_zone = 'SYSTEM'"); !set.ok()) return set.error();
  std::string sql = "SELECT 0";
  for (uint64_t at : {946684800ULL, 962409600ULL, 1262304000ULL, 1277942400ULL, 1577836800ULL, 1593561600ULL,
                      1735689600ULL, 1751328000ULL}) {
    std::string seconds = std::to_string(at);
    sql +=
        ", TIMESTAMPDIFF(MINUTE, '1970-01-01 00:00:00', FROM_UNIXTIME(" + seconds + ")) - " + std::to_string(at / 60);
  }
  SLUICE_ASSIGN(ResultTable offsets, connection.query(sql));
  bool fixed = !offsets.rows.empty();
  for (size_t i = 2; fixed && i < offsets.rows[0].size(); ++i) fixed = offsets.rows[0][i] == offsets.rows[0][1];
  StreamSettings settings;
  settings.system_time_zone = system_zone;
  if (fixed && offsets.rows[0].size() > 1 && offsets.rows[0][1]) {
    int minutes = std::atoi(offsets.rows[0][1]->c_str());
    char text[16];
    std::snprintf(text, sizeof text, "%c%02d:%02d", minutes < 0 ? '-' : '+', std::abs(minutes) / 60 % 24,
                  std::abs(minutes) % 60);
    settings.system_time_zone = text;
  }
  settings.default_time_zone = global_zone == "SYSTEM" ? settings.system_time_zone : global_zone;
  return settings;
}

namespace {
struct KnownText {
  std::string_view fragment;
  ErrorCode code;
};
// Error 1236 says everything by its text.
constexpr KnownText kFatalTexts[] = {
    {"same server_uuid/server_id", ErrorCode::SERVER_ID_TAKEN},
    {"same server_id", ErrorCode::SERVER_ID_TAKEN},
    {"Could not find first log file", ErrorCode::POSITION_LOST},
    {"could not find next log", ErrorCode::POSITION_LOST},
    {"purged", ErrorCode::POSITION_LOST},
    {"Could not find GTID state", ErrorCode::POSITION_LOST},
    {"not in the master's binlog", ErrorCode::SOURCE_DIVERGED},
    {"more GTIDs than", ErrorCode::SOURCE_DIVERGED},
    {"impossible position", ErrorCode::SOURCE_DIVERGED},
    {"bogus data in log event", ErrorCode::SOURCE_DIVERGED},
    {"truncated in the middle", ErrorCode::SOURCE_DIVERGED},
    {"exceeded max_allowed_packet", ErrorCode::PACKET_TOO_LARGE},
    {"not open", ErrorCode::BINLOG_DISABLED},
};
constexpr unsigned kFatalReadingBinlog = 1236, kOtherDumpSameId = 4052, kShutdown = 1053, kInterrupted = 1317;
constexpr unsigned kNoAccess = 1227, kConnectionKilled = 1927;
}  // namespace

Error dump_error(unsigned number, const std::string& text, const Endpoint& endpoint) {
  std::string cause = text + " (" + std::to_string(number) + ")";
  ErrorCode code = ErrorCode::CONNECTION_LOST;
  if (number == kFatalReadingBinlog) {
    code = ErrorCode::STATEMENT_FAILED;
    for (const KnownText& known : kFatalTexts) {
      if (text.find(known.fragment) == std::string::npos) continue;
      code = known.code;
      break;
    }
  } else if (number == kOtherDumpSameId) {
    code = ErrorCode::SERVER_ID_TAKEN;
  } else if (number == kNoAccess) {
    code = ErrorCode::MISSING_PRIVILEGE;
    cause += ": GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '" + endpoint.user + "'";
  } else if (number != kShutdown && number != kInterrupted && number != kConnectionKilled && number < 2000 &&
             number != 0) {
    code = classify(number, text);
  }
  return Error(code, std::move(cause), endpoint.display());
}

}  // namespace sluice::mysql
