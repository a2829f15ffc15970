// The tables of the bookkeeping.
#include <array>
#include <charconv>

#include "sinks/database/bookkeeping_sql.hpp"

namespace sluice::database {
namespace {

// Names are compared byte by byte, and every primary key stays below 767 bytes, the limit of old row formats.
constexpr std::string_view kProject = "project VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, ";
constexpr std::string_view kComponent = "component VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, ";
constexpr std::string_view kSource =
    "source_database VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, "
    "source_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, ";

struct TableText {
  std::string_view name;
  std::string columns;
};

std::vector<TableText> tables() {
  const std::string project(kProject), component(kComponent), source(kSource);
  return {
      {"fence", project + component + "epoch BIGINT UNSIGNED NOT NULL, PRIMARY KEY (project, component)"},
      {"connection", project + component +
                         "epoch BIGINT UNSIGNED NOT NULL, id BIGINT UNSIGNED NOT NULL, user VARBINARY(320) NOT NULL, "
                         "client VARBINARY(320) NOT NULL, registered_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, "
                         "PRIMARY KEY (project, component, epoch, id)"},
      {"checkpoint", project + component +
                         "applier INT UNSIGNED NOT NULL, epoch BIGINT UNSIGNED NOT NULL, seq BIGINT UNSIGNED NOT NULL, "
                         "low_watermark MEDIUMBLOB NOT NULL, applied_set MEDIUMBLOB NOT NULL, "
                         "updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE "
                         "CURRENT_TIMESTAMP(6), PRIMARY KEY (project, component, applier)"},
      {"table_state",
       project + source +
           "target_database VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, "
           "target_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, state VARCHAR(16) NOT NULL, "
           "round INT UNSIGNED NOT NULL, window_start MEDIUMBLOB NOT NULL, window_end MEDIUMBLOB NOT NULL, "
           "keyless TINYINT NOT NULL, row_count BIGINT UNSIGNED NOT NULL, byte_count BIGINT UNSIGNED NOT NULL, "
           "seconds DOUBLE NOT NULL, definition MEDIUMBLOB NOT NULL, table_id MEDIUMBLOB NOT NULL, created_from "
           "MEDIUMBLOB NOT NULL, updated_at "
           "TIMESTAMP(6) NOT NULL DEFAULT "
           "CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), PRIMARY KEY (project, source_database, source_table)"},
      {"chunk", project + source +
                    "round INT UNSIGNED NOT NULL, number BIGINT UNSIGNED NOT NULL, epoch BIGINT UNSIGNED NOT NULL, "
                    "key_range LONGBLOB NOT NULL, row_count BIGINT UNSIGNED NOT NULL, byte_count BIGINT UNSIGNED NOT "
                    "NULL, finished_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, "
                    "PRIMARY KEY (project, source_database, source_table, round, number)"},
      {"recheck", "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, " + project + source +
                      "row_key LONGBLOB NOT NULL, KEY (project, id)"},
      {"conflict", "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, " + project + source +
                       "row_key LONGBLOB NOT NULL, kind VARCHAR(16) NOT NULL, policy VARCHAR(16) NOT NULL, position "
                       "VARBINARY(512) NOT NULL, cause BLOB NOT NULL, found_at TIMESTAMP NOT NULL DEFAULT "
                       "CURRENT_TIMESTAMP, KEY (project, id)"},
      {"conflict_count", project + component +
                             "slot INT UNSIGNED NOT NULL, total BIGINT UNSIGNED NOT NULL, skipped BIGINT UNSIGNED NOT "
                             "NULL, PRIMARY KEY (project, component, slot)"},
      {"ddl", project +
                  "position VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, epoch BIGINT UNSIGNED NOT "
                  "NULL, statement LONGBLOB NOT NULL, before_state LONGBLOB NOT NULL, state VARCHAR(16) NOT NULL, "
                  "error MEDIUMBLOB NOT NULL, decision MEDIUMBLOB, updated_at TIMESTAMP(6) NOT NULL DEFAULT "
                  "CURRENT_TIMESTAMP(6) ON "
                  "UPDATE CURRENT_TIMESTAMP(6), PRIMARY KEY (project, position)"},
  };
}

}  // namespace

namespace sql {

std::vector<std::string> table_names() {
  std::vector<std::string> names;
  for (const TableText& table : tables()) names.emplace_back(table.name);
  return names;
}

Result<uint64_t> number_of(const std::optional<std::string>& cell) {
  uint64_t value = 0;
  if (!cell) return Error(ErrorCode::CORRUPTED, "the bookkeeping holds NULL where a number belongs");
  const auto [end, failure] = std::from_chars(cell->data(), cell->data() + cell->size(), value);
  if (failure != std::errc{} || end != cell->data() + cell->size())
    return Error(ErrorCode::CORRUPTED, "the bookkeeping holds '" + *cell + "' where a number belongs");
  return value;
}

Error stale_epoch(const Owner& owner) {
  return Error(ErrorCode::STALE_EPOCH, "epoch " + std::to_string(owner.epoch) + " does not hold the fence",
               owner.component);
}

std::string encode_list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += std::to_string(item.size()) + ":" + item;
  return text;
}

Result<std::vector<std::string>> decode_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    size_t length = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), length);
    const size_t digits = static_cast<size_t>(end - text.data());
    if (failure != std::errc{} || digits >= text.size() || *end != ':' || length > text.size() - digits - 1)
      return Error(ErrorCode::CORRUPTED, "a list of the bookkeeping cannot be read");
    items.emplace_back(text.substr(digits + 1, length));
    text.remove_prefix(digits + 1 + length);
  }
  return items;
}

}  // namespace sql

Status create_bookkeeping(mysql::Connection& connection, const std::string& meta_database) {
  SLUICE_TRY(
      connection.exec("CREATE DATABASE IF NOT EXISTS " + mysql::quote_name(meta_database) + " CHARACTER SET utf8mb4"));
  for (const TableText& table : tables()) {
    SLUICE_TRY(connection.exec("CREATE TABLE IF NOT EXISTS " + mysql::quote_table(meta_database, table.name) + " (" +
                               table.columns + ") ENGINE=InnoDB"));
  }
  return {};
}

}  // namespace sluice::database
