// Phase FOREIGN_KEYS: keys, added to tables that are filled.
//
// Foreign keys come from the definition that the bookkeeping holds: that of the moment to which the target has been
// brought. The source's present one may be ahead of it, and its changes will come through the log. Only for tables that
// were created or renamed while others were copied, and for parents that were renamed, is the present one asked.
#include <algorithm>

#include "agents/components/struct_transfer/session.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::struct_transfer {
namespace {

using database::TableRow;

std::string column_list(const std::vector<std::string>& columns) {
  std::string text;
  for (const std::string& column : columns) text += (text.empty() ? "" : ", ") + mysql::quote_name(column);
  return "(" + text + ")";
}

std::string action_text(std::string_view event, ForeignKeyAction action) {
  std::string text = " ON " + std::string(event);
  switch (action) {
    case ForeignKeyAction::kCascade:
      return text + " CASCADE";
    case ForeignKeyAction::kSetNull:
      return text + " SET NULL";
    case ForeignKeyAction::kSetDefault:
      return text + " SET DEFAULT";
    case ForeignKeyAction::kRestrict:
      break;
  }
  return {};
}

std::string key_text(const ForeignKey& key, const TableName& parent) {
  return "ADD CONSTRAINT " + mysql::quote_name(key.name) + " FOREIGN KEY " + column_list(key.columns) + " REFERENCES " +
         mysql::quote_table(parent) + " " + column_list(key.referenced_columns) + action_text("DELETE", key.on_delete) +
         action_text("UPDATE", key.on_update);
}

// Whether the target has this key already, under whatever name.
bool has_key(const Session& s, const TableSchema& target, const ForeignKey& key, const TableName& parent) {
  return std::any_of(target.foreign_keys.begin(), target.foreign_keys.end(), [&](const ForeignKey& k) {
    return k.columns == key.columns && k.referenced_columns == key.referenced_columns && k.on_delete == key.on_delete &&
           k.on_update == key.on_update && s.folded({k.referenced_database, k.referenced_table}) == s.folded(parent);
  });
}

// A table of the project on the target, and the foreign keys that it should have.
struct Wanted {
  TableName source, target;
  std::vector<ForeignKey> keys;
};

class ForeignKeys {
 public:
  explicit ForeignKeys(Session& session) : s_(session) {}

  Status run() {
    SLUICE_ASSIGN(auto wanted, wanted_keys());
    std::vector<TableName> targets;
    std::set<std::string> databases;
    for (const Wanted& table : wanted) {
      targets.push_back(table.target);
      databases.insert(table.target.database);
      for (const ForeignKey& key : table.keys)
        if (in_scope(key)) databases.insert(parent_of(key).database);
    }
    SLUICE_ASSIGN(existing_, s_.existing(databases));
    SLUICE_ASSIGN(auto schemas, s_.target_schemas(targets));
    for (const Wanted& table : wanted) {
      if (s_.stop_desired()) return {};
      auto target = schemas.find(s_.folded(table.target));
      if (target == schemas.end()) continue;  // dropped or renamed since; the log told
      SLUICE_TRY(add(table, target->second));
      s_.report(table.source, table.target, "KEYED");
    }
    return {};
  }

 private:
  // Tables without a row came to be while others were copied: the source's definition is all there is of them.
  Result<std::vector<Wanted>> wanted_keys() {
    SLUICE_ASSIGN(auto rows, database::read_tables(*s_.meta, s_.owner));
    SLUICE_ASSIGN(auto infos, mysql::list_tables(*s_.source, s_.mapping));
    std::vector<Wanted> wanted;
    std::set<TableName> recorded;
    for (const TableRow& row : rows) {
      if (row.definition.empty()) continue;
      SLUICE_ASSIGN(TableSchema schema, TableSchema::decode(row.definition));
      recorded.insert(row.source);
      wanted.push_back({row.source, row.target, std::move(schema.foreign_keys)});
    }
    std::vector<TableName> others;
    for (const mysql::TableInfo& info : infos)
      if (info.type != "VIEW" && info.type != "SEQUENCE" && recorded.count(info.name) == 0) others.push_back(info.name);
    SLUICE_ASSIGN(auto schemas, mysql::read_tables(*s_.source, others));
    for (auto& [name, schema] : schemas)
      wanted.push_back({name, s_.mapping.target_of(name.database, name.table), std::move(schema.foreign_keys)});
    return wanted;
  }

  bool in_scope(const ForeignKey& key) const {
    return s_.mapping.includes(key.referenced_database, key.referenced_table);
  }
  TableName parent_of(const ForeignKey& key) const {
    return s_.mapping.target_of(key.referenced_database, key.referenced_table);
  }
  bool exists(const TableName& target) const { return existing_.count(s_.folded(target)) > 0; }

  // A parent that was renamed since has its new name in the source's present definition.
  Result<ForeignKey> with_present_parent(const TableName& child, const ForeignKey& key) {
    auto schema = mysql::read_table(*s_.source, child);
    if (!schema.ok() && schema.error().code() != ErrorCode::NOT_FOUND) return schema.error();
    if (schema.ok())
      for (const ForeignKey& present : schema->foreign_keys)
        if (present.name == key.name && present.columns == key.columns && in_scope(present)) return present;
    return key;
  }

  Status add(const Wanted& table, const TableSchema& target) {
    const std::string object = table.target.to_string();
    std::string clauses;
    for (ForeignKey key : table.keys) {
      if (in_scope(key) && !exists(parent_of(key))) {
        SLUICE_ASSIGN(key, with_present_parent(table.source, key));
      }
      if (!in_scope(key) || !exists(parent_of(key))) {
        s_.warn("foreign key " + key.name + " of " + object + " is left out: " + key.referenced_database + "." +
                key.referenced_table + (in_scope(key) ? " does not exist" : " is not part of the project"));
        continue;
      }
      if (has_key(s_, target, key, parent_of(key))) continue;
      clauses += (clauses.empty() ? "" : ", ") + key_text(key, parent_of(key));
    }
    if (clauses.empty()) return {};
    return s_.exec("ALTER TABLE " + mysql::quote_table(table.target) + " " + clauses, object);
  }

  Session& s_;
  std::map<TableName, std::string> existing_;
};

}  // namespace

Status add_foreign_keys(Session& s) {
  SLUICE_TRY(ForeignKeys(s).run());
  if (s.stop_desired()) return {};
  SLUICE_TRY(create_views(s));
  return s.stop_desired() ? Status{} : carry_counters(s);
}

}  // namespace sluice::agents::struct_transfer
