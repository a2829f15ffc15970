#include "sinks/database/apply/ddl_snapshot.hpp"

#include <nlohmann/json.hpp>

#include "engines/mysql/catalog.hpp"

namespace sluice::database {
namespace {

// The text of what exists under a name, empty when nothing does.
Result<std::string> definition_of(mysql::Connection& connection, const TableName& name) {
  if (name.table.empty()) {
    auto text = mysql::show_create_database(connection, name.database);
    return text.ok() || !connection.alive() ? text : Result<std::string>(std::string());
  }
  auto table = mysql::show_create_table(connection, name);
  if (table.ok()) return table;
  auto view = mysql::show_create_view(connection, name);
  if (view.ok()) return view;
  if (table.error().code() == ErrorCode::NOT_FOUND) return std::string();
  return table.error();
}

}  // namespace

Result<DdlSnapshot> DdlSnapshot::look(mysql::Connection& catalog, const std::vector<TableName>& named,
                                      const std::vector<TableName>& neighbours) {
  DdlSnapshot snapshot;
  auto add = [&](const TableName& name, bool neighbour) -> Status {
    if (snapshot.entries.contains(name)) return {};
    SLUICE_ASSIGN(std::string definition, definition_of(catalog, name));
    auto id = name.table.empty() ? Result<std::string>(std::string()) : mysql::server_table_id(catalog, name);
    snapshot.entries[name] = {std::move(definition), id.ok() ? *id : std::string(), neighbour};
    return {};
  };
  for (const TableName& name : named) SLUICE_TRY(add(name, false));
  for (const TableName& name : neighbours) SLUICE_TRY(add(name, true));
  return snapshot;
}

Result<DdlSnapshot> DdlSnapshot::look_again(mysql::Connection& catalog) const {
  std::vector<TableName> named, neighbours;
  for (const auto& [name, entry] : entries) (entry.neighbour ? neighbours : named).push_back(name);
  return look(catalog, named, neighbours);
}

std::string DdlSnapshot::to_json() const {
  nlohmann::json json = nlohmann::json::array();
  for (const auto& [name, entry] : entries) {
    json.push_back({{"database", name.database},
                    {"table", name.table},
                    {"definition", entry.definition},
                    {"id", entry.id},
                    {"neighbour", entry.neighbour}});
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<DdlSnapshot> DdlSnapshot::from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) return Error(ErrorCode::CORRUPTED, "a journal entry cannot be read");
  DdlSnapshot snapshot;
  for (const auto& one : json) {
    if (!one.is_object()) return Error(ErrorCode::CORRUPTED, "a journal entry cannot be read");
    snapshot.entries[{one.value("database", std::string()), one.value("table", std::string())}] = {
        one.value("definition", std::string()), one.value("id", std::string()), one.value("neighbour", false)};
  }
  return snapshot;
}

DdlFinding find_out(const mysql::DdlStatement& statement, const DdlSnapshot& before, const DdlSnapshot& now) {
  using enum mysql::DdlKind;
  const bool shows = statement.kind != kUnknown && statement.kind != kDataChange && statement.kind != kTransaction &&
                     statement.kind != kPassedOver && !before.entries.empty();
  if (!shows) return DdlFinding::kUnknown;
  size_t changed = 0, could_change = 0;
  bool without_id = false, neighbour_changed = false;
  for (const auto& [name, was] : before.entries) {
    const auto found = now.entries.find(name);
    if (was.neighbour) {
      neighbour_changed |= found == now.entries.end() || found->second != was;
      continue;
    }
    const bool missing_before = was.definition.empty();
    if (statement.kind == kDropTable && missing_before) continue;
    // A name in the middle of a swap is free before and after it.
    const bool missing_now = found == now.entries.end() || found->second.definition.empty();
    if (statement.kind == kRenameTable && missing_before && missing_now) continue;
    ++could_change;
    if (found == now.entries.end() || found->second != was) ++changed;
    if (!missing_before && was.id.empty()) without_id = true;
  }
  if (changed == 0) {
    if (neighbour_changed) return DdlFinding::kUnknown;
    // A swap of equal tables shows in the server's ids only.
    return statement.kind == kRenameTable && without_id ? DdlFinding::kUnknown : DdlFinding::kNotDone;
  }
  if (changed == could_change) return DdlFinding::kDone;
  if (statement.kind == kDropTable) return DdlFinding::kNotDone;  // the rest is dropped
  // One table of several: whatever names them all either did all or is not atomic on this server.
  return statement.tables.size() > 1 ? DdlFinding::kUnknown : DdlFinding::kDone;
}

}  // namespace sluice::database
