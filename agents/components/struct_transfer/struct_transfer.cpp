#include "agents/components/struct_transfer/struct_transfer.hpp"

#include "agents/components/struct_transfer/session.hpp"
#include "core/log.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents {
namespace struct_transfer {
namespace {

constexpr std::string_view kLog = "struct_transfer";

// Literals of TIMESTAMP columns and partitions mean the same on both sides only in one time zone.
constexpr std::string_view kSourceSession = "SET SESSION time_zone='+00:00', SESSION sql_mode=''";
// Definitions of the source may hold zero and invalid dates; NO_ENGINE_SUBSTITUTION turns a missing engine into an
// error. A lock that somebody else holds on the target is waited for a minute; the error after that is retried.
constexpr std::string_view kTargetSession =
    "SET SESSION time_zone='+00:00', SESSION sql_mode='NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,"
    "ALLOW_INVALID_DATES', "
    "SESSION foreign_key_checks=0, SESSION lock_wait_timeout=60";

mysql::ConnectOptions connect_options(mysql::Purpose purpose) {
  mysql::ConnectOptions options;
  options.application = "sluice struct-transfer";
  options.purpose = purpose;
  options.io_timeout = std::chrono::milliseconds(0);  // adding an index takes as long as it takes
  return options;
}

}  // namespace

Status Session::open() {
  const auto& spec = context.spec();
  SLUICE_ASSIGN(mapping, net::mapping_of(spec));
  owner = {spec.project_id(), spec.component_id(), spec.epoch(), mapping.meta_database()};
  const Endpoint target = net::from_proto(spec.target());
  const auto options = connect_options(mysql::Purpose::kData);
  {
    SLUICE_TRY(context.lease()->check());
    SLUICE_ASSIGN(auto plain, mysql::Connection::open(target, options));
    SLUICE_TRY(database::create_bookkeeping(*plain, owner.meta_database));
  }
  SLUICE_TRY(context.lease()->check());
  SLUICE_TRY(database::take_over(target, owner));
  SLUICE_ASSIGN(meta, database::open_registered(target, options, owner, *context.lease()));
  SLUICE_ASSIGN(ddl, open_ddl());
  SLUICE_ASSIGN(source,
                mysql::Connection::open(net::from_proto(spec.source()), connect_options(mysql::Purpose::kCatalog)));
  SLUICE_TRY(source->exec(kSourceSession));
  SLUICE_ASSIGN(target_folding, mysql::NameFolding::of(*ddl));
  return {};
}

Result<std::unique_ptr<mysql::Connection>> Session::open_ddl() const {
  SLUICE_ASSIGN(auto connection,
                database::open_registered(net::from_proto(context.spec().target()),
                                          connect_options(mysql::Purpose::kCatalog), owner, *context.lease()));
  SLUICE_TRY(connection->exec(kTargetSession));
  return connection;
}

Status Session::exec_on(mysql::Connection& connection, const std::string& sql, const std::string& object) const {
  SLUICE_TRY(context.lease()->check());
  log::debug(kLog, "statement", {{"sql", sql}});
  auto done = connection.exec(sql);
  if (!done.ok()) return done.error().with_object(object);
  return {};
}

void Session::warn(const std::string& text) {
  log::warn(kLog, text);
  context.update([&](cluster::v1::ComponentStatus& status) { status.add_warnings(text); });
}

void Session::report(const TableName& from, const TableName& to, const std::string& state) {
  context.update([&](cluster::v1::ComponentStatus& status) {
    auto* entry = status.add_tables();  // of several entries of a table the last one counts
    entry->set_source(from.to_string());
    entry->set_target(to.to_string());
    entry->set_state(state);
    entry->set_finished(true);
  });
}

Result<std::map<TableName, std::string>> Session::existing(const std::set<std::string>& databases) {
  std::map<TableName, std::string> found;
  // One by one: of names that differ only by case, TABLE_SCHEMA IN (…) answers for the first alone.
  for (const std::string& database : databases) {
    SLUICE_ASSIGN(auto table,
                  ddl->query("SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE "
                             "TABLE_SCHEMA = " +
                             mysql::quoted(database)));
    for (auto& row : table.rows) found[folded({row[0].value_or(""), row[1].value_or("")})] = row[2].value_or("");
  }
  return found;
}

Result<std::map<TableName, TableSchema>> Session::target_schemas(const std::vector<TableName>& names) {
  SLUICE_ASSIGN(auto found, mysql::read_tables(*ddl, names));
  std::map<TableName, TableSchema> schemas;
  for (auto& [name, schema] : found) schemas.emplace(folded(name), std::move(schema));
  return schemas;
}

// Asks nothing of the source, which may be gone by now.
Status release(ComponentContext& context) {
  const auto& spec = context.spec();
  SLUICE_ASSIGN(const TableMapping mapping, net::mapping_of(spec));
  context.update([](cluster::v1::ComponentStatus& status) { status.set_state(cluster::v1::RUNNING); });
  return database::release_project(net::from_proto(spec.target()),
                                   {spec.project_id(), spec.component_id(), spec.epoch(), mapping.meta_database()},
                                   *context.lease());
}

}  // namespace struct_transfer

Status run_struct_transfer(ComponentContext& context) {
  if (context.spec().struct_phase() == cluster::v1::RELEASE) return struct_transfer::release(context);
  struct_transfer::Session session(context);
  SLUICE_TRY(session.open());
  context.update([](cluster::v1::ComponentStatus& status) { status.set_state(cluster::v1::RUNNING); });
  switch (context.spec().struct_phase()) {
    case cluster::v1::TABLES:
      return struct_transfer::transfer_tables(session);
    case cluster::v1::INDEXES:
      return struct_transfer::add_indexes(session);
    case cluster::v1::FOREIGN_KEYS:
      return struct_transfer::add_foreign_keys(session);
    case cluster::v1::COUNTERS:
      return struct_transfer::carry_counters(session);
    default:
      return Error(ErrorCode::INVALID_ARGUMENT, "the specification names no phase", context.spec().component_id());
  }
}

}  // namespace sluice::agents
