#include "tests/support/compare.hpp"

#include <algorithm>
#include <iterator>

namespace sluice::testing {
namespace {

std::string name(const std::string& text) { return "`" + text + "`"; }

std::vector<std::string> first_column(const std::vector<MariaDbServer::Row>& rows) {
  std::vector<std::string> result;
  for (const auto& row : rows) result.push_back(row[0].value_or(""));
  return result;
}

std::vector<std::string> tables_of(MariaDbServer& server, const std::string& database) {
  return first_column(server.query("SELECT table_name FROM information_schema.tables WHERE table_schema='" + database +
                                   "' AND table_type IN ('BASE TABLE','SYSTEM VERSIONED') ORDER BY table_name"));
}

std::vector<std::string> columns_of(MariaDbServer& server, const std::string& database, const std::string& table) {
  return first_column(server.query("SELECT column_name FROM information_schema.columns WHERE table_schema='" +
                                   database + "' AND table_name='" + table + "' ORDER BY ordinal_position"));
}

std::string type_of(MariaDbServer& server, const std::string& database, const std::string& table,
                    const std::string& column) {
  return server.query_value("SELECT data_type FROM information_schema.columns WHERE table_schema='" + database +
                            "' AND table_name='" + table + "' AND column_name='" + column + "'");
}

// CONCAT makes text of numbers, since HEX of a number rounds it. FLOAT as text has six digits; the sum with a DOUBLE
// shows all of them. BIT is bytes, ENUM and SET are their labels.
std::string text_expression(const std::string& column, const std::string& type) {
  const std::string value = type == "float" ? name(column) + "+0e0" : name(column);
  return "IFNULL(HEX(CONCAT(" + value + ")),'~')";
}

void add_rows(std::vector<std::string>& out, const std::string& where, const char* side,
              const std::vector<std::string>& rows, size_t limit) {
  for (size_t i = 0; i < rows.size() && i < limit; ++i) out.push_back(where + ": only in " + side + ": " + rows[i]);
  if (rows.size() > limit) {
    out.push_back(where + ": " + std::to_string(rows.size() - limit) + " more rows only in " + side);
  }
}

}  // namespace

std::vector<std::string> dump_table(MariaDbServer& server, const std::string& database, const std::string& table,
                                    const std::vector<std::string>& columns) {
  std::string select;
  for (const auto& column : columns) {
    select += (select.empty() ? "" : ",',',") + text_expression(column, type_of(server, database, table, column));
  }
  server.sql("SET time_zone='+00:00', SESSION group_concat_max_len=1000000");
  auto lines = first_column(server.query("SELECT CONCAT(" + select + ") FROM " + name(database) + "." + name(table)));
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::vector<std::string> compare_databases(MariaDbServer& source, MariaDbServer& target,
                                           const std::vector<std::string>& databases, const CompareOptions& options) {
  std::vector<std::string> differences;
  for (const auto& database : databases) {
    const auto renamed = options.database_renames.find(database);
    const std::string other = renamed == options.database_renames.end() ? database : renamed->second;
    const auto target_tables = tables_of(target, other);
    for (const auto& table : tables_of(source, database)) {
      const std::string where = database + "." + table;
      const auto& ignored = options.ignore_tables;
      if (std::find(ignored.begin(), ignored.end(), where) != ignored.end()) continue;
      if (std::find(target_tables.begin(), target_tables.end(), table) == target_tables.end()) {
        differences.push_back(where + ": missing on the target");
        continue;
      }
      const auto columns = columns_of(source, database, table);
      if (!options.columns_of_source_only && columns != columns_of(target, other, table)) {
        differences.push_back(where + ": the columns differ");
        continue;
      }
      const auto a = dump_table(source, database, table, columns);
      const auto b = dump_table(target, other, table, columns);
      std::vector<std::string> only_a, only_b;
      std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only_a));
      std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(only_b));
      add_rows(differences, where, "source", only_a, options.differences_max);
      add_rows(differences, where, "target", only_b, options.differences_max);
    }
  }
  return differences;
}

std::string differences(MariaDbServer& source, MariaDbServer& target, const std::vector<std::string>& databases,
                        const CompareOptions& options) {
  std::string text;
  for (const std::string& line : compare_databases(source, target, databases, options)) text += line + "\n";
  return text;
}

}  // namespace sluice::testing
