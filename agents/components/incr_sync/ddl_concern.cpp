#include "agents/components/incr_sync/ddl_concern.hpp"

#include "engines/mysql/catalog.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::incr_sync {
namespace {

using mysql::DdlKind;

// What the kind itself leaves open. Defaults of other tables may use a sequence.
bool cannot_be_told(DdlKind kind) {
  return kind == DdlKind::kUnknown || kind == DdlKind::kDataChange || kind == DdlKind::kAlterSequence ||
         kind == DdlKind::kDropSequence || kind == DdlKind::kCreateTableSelect;
}

void add_named(const mysql::DdlStatement& statement, const TableMapping& mapping, Concerned& concerned) {
  auto add = [&](const TableName& source, std::set<TableName>& to) {
    if (mapping.includes(source)) to.insert(mapping.target_of(source));
  };
  for (const mysql::DdlTable& table : statement.tables) {
    add(table.source, concerned.named);
    add(table.rename_to, concerned.named);
  }
  for (const TableName& read : statement.reads) add(read, concerned.related);
}

Status add_database(const mysql::DdlStatement& statement, const TableMapping& mapping, mysql::Connection& target,
                    Concerned& concerned) {
  const std::string name = mapping.target_database_of(statement.database);
  concerned.named.insert({name, {}});
  SLUICE_ASSIGN(const auto tables, target.query("SELECT table_name FROM information_schema.tables WHERE table_schema=" +
                                                mysql::quoted(name)));
  for (const auto& row : tables.rows) concerned.related.insert({name, row[0].value_or("")});
  return {};
}

// Parents and children of what is there already; the keys that the statement adds are among what it reads.
Status add_neighbours(mysql::Connection& target, Concerned& concerned) {
  std::vector<TableName> tables;
  for (const auto* some : {&concerned.named, &concerned.related}) {
    for (const TableName& table : *some) {
      if (!table.table.empty()) tables.push_back(table);
    }
  }
  if (tables.empty()) return {};
  SLUICE_ASSIGN(const auto definitions, mysql::read_tables(target, tables));
  for (const auto& [name, schema] : definitions) {
    for (const ForeignKey& key : schema.foreign_keys)
      concerned.related.insert({key.referenced_database, key.referenced_table});
  }
  SLUICE_ASSIGN(const auto children, mysql::foreign_keys_to(target, tables));
  for (const auto& child : children) concerned.related.insert(child.child);
  return {};
}

}  // namespace

Result<Concerned> concerned_by(const mysql::DdlStatement& statement, const TableMapping& mapping,
                               mysql::Connection& target) {
  Concerned concerned;
  concerned.everything = cannot_be_told(statement.kind);
  if (concerned.everything) return concerned;
  add_named(statement, mapping, concerned);
  const bool database = statement.kind == DdlKind::kAlterDatabase || statement.kind == DdlKind::kDropDatabase;
  if (database) SLUICE_TRY(add_database(statement, mapping, target, concerned));
  SLUICE_TRY(add_neighbours(target, concerned));
  for (const TableName& name : concerned.named) concerned.related.erase(name);
  return concerned;
}

}  // namespace sluice::agents::incr_sync
