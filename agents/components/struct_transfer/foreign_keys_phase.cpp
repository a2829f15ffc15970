// Phases INDEXES and FOREIGN_KEYS: what is added to tables that are filled.
//
// Foreign keys come from the definition that the bookkeeping holds: that of the moment to which the target has been
// brought. The source's present one may be ahead of it, and its changes will come through the log. Only for tables that
// were created or renamed while others were copied, and for parents that were renamed, is the present one asked.
#include <algorithm>

#include "agents/components/struct_transfer/session.hpp"
#include "core/log.hpp"
#include "engines/mysql/dialect/create_table.hpp"
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

Result<std::map<TableName, TableSchema>> target_schemas(Session& s, const std::vector<TableName>& names) {
  SLUICE_ASSIGN(auto found, mysql::read_tables(*s.ddl, names));
  std::map<TableName, TableSchema> schemas;
  for (auto& [name, schema] : found) schemas.emplace(s.folded(name), std::move(schema));
  return schemas;
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
    SLUICE_ASSIGN(auto schemas, target_schemas(s_, targets));
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

bool has_index(const TableSchema& target, const std::string& name) {
  return std::any_of(target.keys.begin(), target.keys.end(), [&](const Key& key) { return key.name == name; });
}

// Views may read views: those that fail are tried again as long as some succeed.
class Views {
 public:
  explicit Views(Session& session) : s_(session) {}

  Status run() {
    SLUICE_ASSIGN(auto infos, mysql::list_tables(*s_.source, s_.mapping));
    for (const mysql::TableInfo& info : infos)
      if (info.type == "VIEW") left_.push_back(info.name);
    while (!left_.empty()) {
      size_t before = left_.size();
      SLUICE_TRY(round());
      if (left_.size() == before) break;
    }
    for (size_t i = 0; i < left_.size(); ++i)
      s_.warn("view " + left_[i].to_string() + " cannot be created on the target: " + reasons_[i]);
    return {};
  }

 private:
  Status round() {
    std::vector<TableName> failed;
    reasons_.clear();
    for (const TableName& name : left_) {
      if (s_.stop_desired()) return {};
      Status created = create(name);
      if (created.ok()) continue;
      ErrorCode code = created.error().code();
      bool of_this_view = code == ErrorCode::STATEMENT_FAILED || code == ErrorCode::UNSUPPORTED ||
                          code == ErrorCode::MISSING_PRIVILEGE || code == ErrorCode::NOT_FOUND ||
                          code == ErrorCode::INVALID_ARGUMENT;
      if (!of_this_view || !s_.ddl->alive() || !s_.source->alive()) return created;
      failed.push_back(name);
      reasons_.push_back(created.error().cause());
    }
    left_ = std::move(failed);
    return {};
  }

  Status create(const TableName& name) {
    SLUICE_ASSIGN(std::string shown, mysql::show_create_view(*s_.source, name));
    SLUICE_ASSIGN(std::string sql, mysql::rewrite_view(shown, name, s_.mapping, false));
    TableName target = s_.mapping.target_of(name.database, name.table);
    // Names inside of it that stand alone belong to the view's own database.
    SLUICE_TRY(s_.exec("USE " + mysql::quote_name(target.database), name.to_string()));
    Status created = s_.exec(sql, name.to_string());
    if (created.ok() || created.error().code() != ErrorCode::MISSING_PRIVILEGE) return finish(created, name, target);
    SLUICE_ASSIGN(sql, mysql::rewrite_view(shown, name, s_.mapping, true));
    SLUICE_TRY(s_.exec(sql, name.to_string()));
    s_.warn("view " + target.to_string() + " belongs to the migrating user: it may not name another definer");
    return finish({}, name, target);
  }

  Status finish(Status status, const TableName& name, const TableName& target) {
    if (!status.ok()) return status;
    s_.report(name, target, "VIEW");
    SLUICE_ASSIGN(auto warnings, s_.ddl->warnings());
    constexpr uint32_t kNoSuchUser = 1449;
    for (const auto& warning : warnings)
      if (warning.code == kNoSuchUser)
        s_.warn("view " + target.to_string() + " cannot be used before its definer exists: " + warning.message);
    return {};
  }

  Session& s_;
  std::vector<TableName> left_;
  std::vector<std::string> reasons_;
};

// Next AUTO_INCREMENT values by name.
Result<std::map<TableName, uint64_t>> counters(mysql::Connection& connection, const std::set<std::string>& databases) {
  std::map<TableName, uint64_t> values;
  if (databases.empty()) return values;
  // MySQL 8 answers from a cache unless told otherwise; other servers do not know the variable.
  if (!connection.version().mariadb) {
    auto set = connection.exec("SET SESSION information_schema_stats_expiry = 0");
    if (!set.ok() && !connection.alive()) return set.error();
  }
  std::string list;
  for (const std::string& database : databases) list += (list.empty() ? "" : ", ") + mysql::quoted(database);
  SLUICE_ASSIGN(auto found, connection.query("SELECT TABLE_SCHEMA, TABLE_NAME, AUTO_INCREMENT FROM "
                                             "information_schema.TABLES WHERE AUTO_INCREMENT IS NOT NULL AND "
                                             "TABLE_SCHEMA IN (" +
                                             list + ")"));
  for (auto& row : found.rows)
    values[{row[0].value_or(""), row[1].value_or("")}] = std::strtoull(row[2].value_or("0").c_str(), nullptr, 10);
  return values;
}

Status carry_sequences(Session& s) {
  SLUICE_ASSIGN(auto infos, mysql::list_tables(*s.source, s.mapping));
  for (const mysql::TableInfo& info : infos) {
    if (info.type != "SEQUENCE") continue;
    SLUICE_ASSIGN(std::string next,
                  s.source->query_value("SELECT next_not_cached_value FROM " + mysql::quote_table(info.name)));
    TableName target = s.mapping.target_of(info.name.database, info.name.table);
    // SETVAL never goes back. It answers a row, so it is a query.
    SLUICE_TRY(s.context.lease()->check());
    auto set = s.ddl->query("SELECT SETVAL(" + mysql::quote_table(target) + ", " + next + ", 0)");
    if (!set.ok()) return set.error().with_object(target.to_string());
  }
  return {};
}

}  // namespace

Status add_indexes(Session& s) {
  SLUICE_ASSIGN(auto rows, database::read_tables(*s.meta, s.owner));
  std::vector<TableName> targets;
  for (const TableRow& row : rows) targets.push_back(row.target);
  SLUICE_ASSIGN(auto schemas, target_schemas(s, targets));
  for (const TableRow& row : rows) {
    if (s.stop_desired()) return {};
    auto target = schemas.find(s.folded(row.target));
    if (target == schemas.end()) continue;
    auto shown = mysql::show_create_table(*s.source, row.source);
    if (!shown.ok() && shown.error().code() == ErrorCode::NOT_FOUND) continue;  // dropped; the log tells
    if (!shown.ok()) return shown.error();
    mysql::SplitOptions options;
    options.defer_indexes = true;
    SLUICE_ASSIGN(auto parts, mysql::split_create_table(*shown, row.source, s.mapping, options));
    std::string clauses;
    for (const mysql::IndexDefinition& index : parts.deferred_indexes)
      if (!has_index(target->second, index.name)) clauses += (clauses.empty() ? "ADD " : ", ADD ") + index.text;
    if (!clauses.empty())
      SLUICE_TRY(s.exec("ALTER TABLE " + mysql::quote_table(row.target) + " " + clauses, row.target.to_string()));
    s.report(row.source, row.target, "INDEXED");
  }
  return {};
}

Status add_foreign_keys(Session& s) {
  SLUICE_TRY(ForeignKeys(s).run());
  if (s.stop_desired()) return {};
  SLUICE_TRY(create_views(s));
  return s.stop_desired() ? Status{} : carry_counters(s);
}

Status create_views(Session& s) { return Views(s).run(); }

Status carry_counters(Session& s) {
  SLUICE_ASSIGN(auto infos, mysql::list_tables(*s.source, s.mapping));
  std::set<std::string> from, to;
  for (const mysql::TableInfo& info : infos) {
    from.insert(info.name.database);
    to.insert(s.mapping.target_of(info.name.database, info.name.table).database);
  }
  SLUICE_ASSIGN(auto source, counters(*s.source, from));
  SLUICE_ASSIGN(auto found, counters(*s.ddl, to));
  std::map<TableName, uint64_t> present;
  for (const auto& [name, value] : found) present[s.folded(name)] = value;
  for (const auto& [name, value] : source) {
    if (!s.mapping.includes(name.database, name.table)) continue;
    TableName target = s.mapping.target_of(name.database, name.table);
    auto now = present.find(s.folded(target));
    if (now == present.end() || now->second >= value) continue;
    SLUICE_TRY(s.exec("ALTER TABLE " + mysql::quote_table(target) + " AUTO_INCREMENT = " + std::to_string(value),
                      target.to_string()));
  }
  return carry_sequences(s);
}

}  // namespace sluice::agents::struct_transfer
