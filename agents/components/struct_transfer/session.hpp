// What the phases of Struct-Transfer share: connections, mapping, bookkeeping owner. Internal to the folder. Owned and,
// where nothing else is said, used by the component's main thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agents/components/runtime/component.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/name_folding.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::agents::struct_transfer {

struct Session {
  explicit Session(ComponentContext& c) : context(c) {}

  ComponentContext& context;
  TableMapping mapping;
  database::Owner owner;
  std::unique_ptr<mysql::Connection> source;
  // Both registered under the fence. `ddl` speaks utf8mb4 as definitions do; `meta` speaks binary, for the bookkeeping.
  std::unique_ptr<mysql::Connection> ddl, meta;
  mysql::NameFolding target_folding;

  // Creates the bookkeeping, takes over from older epochs, then opens the connections.
  Status open();
  // A statement for the target, after a look at the lease. The error names `object`.
  Status exec(const std::string& sql, const std::string& object) { return exec_on(*ddl, sql, object); }
  // These two may be called by any thread: more connections for definitions, and statements on them.
  Result<std::unique_ptr<mysql::Connection>> open_ddl() const;
  Status exec_on(mysql::Connection& connection, const std::string& sql, const std::string& object) const;
  bool stop_desired() const { return context.desired().stop(); }
  void warn(const std::string& text);
  void report(const TableName& from, const TableName& to, const std::string& state);

  // The key under which the target would find a name.
  TableName folded(TableName name) const { return target_folding.key(std::move(name)); }
  // Names and types ("BASE TABLE", "VIEW" …) of what exists in these databases of the target, by folded name.
  Result<std::map<TableName, std::string>> existing(const std::set<std::string>& databases);
  // Definitions on the target, by folded name.
  Result<std::map<TableName, TableSchema>> target_schemas(const std::vector<TableName>& names);
};

Status transfer_tables(Session& session);   // phase TABLES
Status add_indexes(Session& session);       // phase INDEXES: several tables at once
Status add_foreign_keys(Session& session);  // phase FOREIGN_KEYS: keys, then views, then counters
Status create_views(Session& session);
Status carry_counters(Session& session);    // phase COUNTERS
Status release(ComponentContext& context);  // phase RELEASE

// Empty when a target table with these columns can take every row of the source table, else what is in the way.
// `exact`: the definitions must be the same; else more columns with defaults and wider types are allowed.
std::string misfit(const TableSchema& source, const TableSchema& target, bool exact);

}  // namespace sluice::agents::struct_transfer
