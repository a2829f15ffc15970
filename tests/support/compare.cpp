#include "tests/support/compare.hpp"

#include <algorithm>
#include <iterator>
#include <set>

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

// What a database holds, one row (table, text) per thing, as information_schema has it; @db is its name, @engine what
// stands for a table's engine. Not told, because it may differ: AUTO_INCREMENT values, the order of indexes and of
// foreign keys, definers of views.
constexpr const char* kDefinitions[] = {
    "SELECT table_name, CONCAT_WS(' ', table_type, IF(table_type='BASE TABLE',@engine,''), IFNULL(table_collation,''), "
    "create_options, table_comment) FROM information_schema.tables WHERE table_schema=@db",
    "SELECT table_name, CONCAT_WS(' ', 'column', ordinal_position, column_name, column_type, "
    "IFNULL(collation_name,'-'), IF(is_nullable='YES','NULL','NOT NULL'), IFNULL(CONCAT('DEFAULT "
    "',column_default),''), extra, IFNULL(generation_expression,''), column_comment) FROM information_schema.columns "
    "WHERE table_schema=@db",
    "SELECT table_name, CONCAT(IF(MAX(non_unique),'index ','unique index '), index_name, ' ', MAX(index_type), ' (', "
    "GROUP_CONCAT(column_name, IFNULL(CONCAT('(',sub_part,')'),''), IF(collation='D',' DESC','') ORDER BY "
    "seq_in_index), ')', IF(MAX(ignored)='YES',' IGNORED',''), ' ', MAX(index_comment)) FROM "
    "information_schema.statistics WHERE table_schema=@db GROUP BY table_name, index_name",
    "SELECT k.table_name, CONCAT('foreign key ', k.constraint_name, ' (', GROUP_CONCAT(k.column_name ORDER BY "
    "k.ordinal_position), ') to ', IF(k.referenced_table_schema=@db,'',CONCAT(k.referenced_table_schema,'.')), "
    "k.referenced_table_name, ' (', GROUP_CONCAT(k.referenced_column_name ORDER BY k.ordinal_position), ') DELETE ', "
    "MAX(r.delete_rule), ' UPDATE ', MAX(r.update_rule)) FROM information_schema.key_column_usage k JOIN "
    "information_schema.referential_constraints r USING (constraint_schema, table_name, constraint_name) WHERE "
    "k.table_schema=@db AND constraint_schema=@db AND k.referenced_table_name IS NOT NULL GROUP BY k.table_name, "
    "k.constraint_name, k.referenced_table_schema, k.referenced_table_name",
    "SELECT table_name, CONCAT('check ', constraint_name, ' ', check_clause) FROM "
    "information_schema.check_constraints WHERE constraint_schema=@db",
    "SELECT table_name, CONCAT_WS(' ', 'partition', partition_ordinal_position, partition_name, "
    "IFNULL(subpartition_name,''), partition_method, IFNULL(partition_expression,''), "
    "IFNULL(subpartition_expression,''), IFNULL(partition_description,'')) FROM information_schema.partitions WHERE "
    "table_schema=@db AND partition_name IS NOT NULL",
    "SELECT table_name, CONCAT_WS(' ', 'view', REPLACE(view_definition, CONCAT('`',@db,'`.'), ''), check_option, "
    "security_type) FROM information_schema.views WHERE table_schema=@db",
    "SELECT '', CONCAT('collation ', default_collation_name) FROM information_schema.schemata WHERE schema_name=@db",
};

std::string with(std::string text, const std::string& word, const std::string& value) {
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += value.size())
    text.replace(at, word.size(), value);
  return text;
}

// By table, view or sequence; those of the database itself under "".
std::map<std::string, std::set<std::string>> definitions_of(MariaDbServer& server, const std::string& database,
                                                            const std::string& engine) {
  server.sql("SET SESSION group_concat_max_len=1000000");
  std::map<std::string, std::set<std::string>> result;
  for (const char* sql : kDefinitions)
    for (const auto& row : server.query(with(with(sql, "@db", "'" + database + "'"), "@engine", engine)))
      result[row[0].value_or("")].insert(row[1].value_or("?"));
  return result;
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

// What only one side has of two sorted lists.
template <typename List>
void add_differences(std::vector<std::string>& out, const std::string& where, const List& source, const List& target,
                     size_t limit) {
  const auto add = [&](const char* side, const List& a, const List& b) {
    std::vector<std::string> only;
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only));
    for (size_t i = 0; i < only.size() && i < limit; ++i) out.push_back(where + ": only in " + side + ": " + only[i]);
    if (only.size() > limit)
      out.push_back(where + ": " + std::to_string(only.size() - limit) + " more only in " + side);
  };
  add("source", source, target);
  add("target", target, source);
}

void compare_rows(std::vector<std::string>& out, MariaDbServer& source, const std::string& database,
                  MariaDbServer& target, const std::string& other, const std::string& table, size_t limit) {
  const std::string where = database + "." + table;
  const auto columns = columns_of(source, database, table);
  if (columns != columns_of(target, other, table)) {
    out.push_back(where + ": the columns differ");
    return;
  }
  add_differences(out, where, dump_table(source, database, table, columns), dump_table(target, other, table, columns),
                  limit);
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
    auto there = definitions_of(source, database, "'InnoDB'");  // what every engine becomes on the target
    auto here = definitions_of(target, other, "engine");
    const auto& ignored = options.ignore_tables;
    for (auto* side : {&there, &here})
      std::erase_if(*side, [&](const auto& entry) {
        return std::find(ignored.begin(), ignored.end(), database + "." + entry.first) != ignored.end();
      });
    for (const auto& [table, lines] : there) {
      const std::string where = database + "." + table;
      const auto found = here.find(table);
      if (found == here.end()) {
        differences.push_back(where + ": missing on the target");
      } else if (options.definitions) {
        add_differences(differences, where, lines, found->second, options.differences_max);
      }
    }
    for (const auto& [table, lines] : here)
      if (!there.contains(table)) differences.push_back(database + "." + table + ": on the target only");
    for (const auto& table : tables_of(source, database))
      if (there.contains(table) && here.contains(table))
        compare_rows(differences, source, database, target, other, table, options.differences_max);
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
