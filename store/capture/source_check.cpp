#include "store/capture/source_check.hpp"

#include <cstdlib>
#include <optional>

#include "engines/mysql/binlog/events.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/positions.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::store {

Status check_source_log(const Endpoint& source, const Position& position, SourceCheck check, mysql::Stopper* stopper) {
  mysql::ConnectOptions options;
  options.purpose = mysql::Purpose::kCatalog;
  options.application = "sluice store";
  SLUICE_ASSIGN(auto connection, mysql::Connection::open(source, options));
  std::optional<mysql::Stopper::Watch> watch;
  if (stopper != nullptr) watch.emplace(*stopper, *connection);
  SLUICE_ASSIGN(auto end, mysql::end_position(*connection));
  if (check == SourceCheck::kPresent && position.gtids.empty())
    return Error(ErrorCode::POSITION_LOST,
                 "the last transaction in scope is purged, and without GTIDs nothing else confirms the place",
                 source.display(), position.to_string());
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
    if (check == SourceCheck::kReach || position.gtids.empty() || !connection->version().mariadb) return {};
    auto there = connection->query_value("SELECT BINLOG_GTID_POS(" + mysql::quoted(position.file) + "," +
                                         std::to_string(position.offset) + ")");
    if (!there.ok() && there.error().code() != ErrorCode::NOT_FOUND) return there.error();
    if (!there.ok() || !mysql::same_gtids(*there, position.gtids))
      return diverged("at this place the log holds " + (there.ok() ? *there : std::string("no event")));
    return {};
  }
  if (check != SourceCheck::kPresent) return {};
  return Error(ErrorCode::POSITION_LOST, "the source has purged log file " + position.file, source.display(),
               position.to_string());
}

}  // namespace sluice::store
