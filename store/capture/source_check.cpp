#include "store/capture/source_check.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "engines/mysql/connection.hpp"
#include "engines/mysql/positions.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::store {
namespace {

std::vector<std::string> sorted_gtids(const std::string& list) {
  std::vector<std::string> gtids;
  std::stringstream in(list);
  for (std::string one; std::getline(in, one, ',');) gtids.push_back(one);
  std::sort(gtids.begin(), gtids.end());
  return gtids;
}

}  // namespace

Status check_source_log(const Endpoint& source, const Position& position, bool with_gtids) {
  mysql::ConnectOptions options;
  options.purpose = mysql::Purpose::kCatalog;
  options.application = "sluice store";
  SLUICE_ASSIGN(auto connection, mysql::Connection::open(source, options));
  SLUICE_ASSIGN(auto end, mysql::end_position(*connection));
  auto diverged = [&](const std::string& cause) {
    return Error(ErrorCode::SOURCE_DIVERGED, cause, source.display(), position.to_string());
  };
  if (!connection->version().mariadb && !position.gtids.empty()) {
    SLUICE_ASSIGN(auto executed, connection->query_value("SELECT GTID_SUBSET(" + mysql::quoted(position.gtids) +
                                                         ", @@global.gtid_executed)"));
    if (executed != "1") return diverged("the source has not executed " + position.gtids);
  }
  if (position.file.empty()) return {};
  if (compare_in_log(position, end) > 0) return diverged("the source's log ends at " + end.to_string());
  SLUICE_ASSIGN(auto files, connection->query("SHOW BINARY LOGS"));
  for (auto& file : files.rows) {
    if (file.size() < 2 || file[0] != position.file) continue;
    if (std::strtoull(file[1].value_or("0").c_str(), nullptr, 10) < position.offset)
      return diverged("the log file ends at " + *file[1]);
    if (!with_gtids || position.gtids.empty() || !connection->version().mariadb) return {};
    auto there = connection->query_value("SELECT BINLOG_GTID_POS(" + mysql::quoted(position.file) + "," +
                                         std::to_string(position.offset) + ")");
    if (!there.ok() && there.error().code() != ErrorCode::NOT_FOUND) return there.error();
    if (!there.ok() || sorted_gtids(*there) != sorted_gtids(position.gtids))
      return diverged("at this place the log holds " + (there.ok() ? *there : std::string("no event")));
  }
  return {};
}

}  // namespace sluice::store
