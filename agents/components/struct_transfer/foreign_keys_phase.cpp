// Phase FOREIGN_KEYS: keys, added to tables that are filled.
//
// They come from the definition that the bookkeeping holds: that of the moment at which the table's copy began. The
// source's present one may be ahead of it, and its changes will come through the log; a statement of the log that would
// make the recorded keys other ones while they are not in place has had the table copied again (windows.cpp). The first
// phase is for all tables; later ones are for tables that were copied again since, which `tables` names: the others
// have their keys, changed by whatever the log has brought.
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
    for (const Wanted& table : wanted) targets.push_back(table.target);
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
  Result<std::vector<Wanted>> wanted_keys() {
    std::set<TableName> only;  // empty: all
    for (const auto& name : s_.context.spec().tables()) only.insert(net::from_proto(name));
    SLUICE_ASSIGN(auto rows, database::read_tables(*s_.meta, s_.owner));
    std::vector<Wanted> wanted;
    for (const TableRow& row : rows) {
      if (row.definition.empty() || (!only.empty() && only.count(row.source) == 0)) continue;
      SLUICE_ASSIGN(TableSchema schema, TableSchema::decode(row.definition));
      wanted.push_back({row.source, row.target, std::move(schema.foreign_keys)});
    }
    return wanted;
  }

  // A parent that does not exist is no obstacle: with checks off the key is there without it, as on the source.
  Status add(const Wanted& table, const TableSchema& target) {
    const std::string object = table.target.to_string();
    std::string clauses;
    for (const ForeignKey& key : table.keys) {
      if (!s_.mapping.includes(key.referenced_database, key.referenced_table)) {
        s_.warn("foreign key " + key.name + " of " + object + " is left out: " + key.referenced_database + "." +
                key.referenced_table + " is not part of the project");
        continue;
      }
      const TableName parent = s_.mapping.target_of(key.referenced_database, key.referenced_table);
      if (has_key(s_, target, key, parent)) continue;
      clauses += (clauses.empty() ? "" : ", ") + key_text(key, parent);
    }
    if (clauses.empty()) return {};
    return s_.exec("ALTER TABLE " + mysql::quote_table(table.target) + " " + clauses, object);
  }

  Session& s_;
};

}  // namespace

Status add_foreign_keys(Session& s) {
  SLUICE_TRY(ForeignKeys(s).run());
  if (s.stop_desired()) return {};
  SLUICE_TRY(create_views(s));
  return s.stop_desired() ? Status{} : carry_counters(s);
}

}  // namespace sluice::agents::struct_transfer
