// Phase TABLES: databases, sequences, and tables without foreign keys and, where the project says so, without those
// indexes that may be made later.
//
// Why a crash at any point is harmless: a table is recorded as PENDING before it is created and after whatever stood in
// its place was dropped. So a recorded table that is empty is ours and may be dropped; one that holds rows is not
// touched without the operator's word. Nothing is changed before all tables have been looked at.
#include <algorithm>

#include "agents/components/struct_transfer/session.hpp"
#include "core/log.hpp"
#include "engines/mysql/dialect/create_table.hpp"
#include "engines/mysql/dialect/ddl.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::struct_transfer {
namespace {

using database::TableRow;
using database::TableState;

constexpr int kRoundsMax = 5;     // of reading definitions that change while they are read
constexpr size_t kNamedMax = 10;  // objects that one error names
constexpr std::string_view kLog = "struct_transfer";

enum class Action : uint8_t { kKeep, kCreate, kDropAndCreate };

struct Plan {
  TableRow row;
  const TableSchema* schema = nullptr;
  Action action = Action::kKeep;
  bool record = false;  // the row has to be written
  std::string existing_type;
  std::string create;  // the statement, unless the table is kept
};

std::string joined(const std::vector<std::string>& texts) {
  std::string text;
  for (size_t i = 0; i < texts.size() && i < kNamedMax; ++i) text += (i > 0 ? "; " : "") + texts[i];
  if (texts.size() > kNamedMax) text += "; and " + std::to_string(texts.size() - kNamedMax) + " more";
  return text;
}

std::string kind_of(const std::string& type) { return mysql::is_table(type) ? "TABLE" : type; }

class TablesPhase {
 public:
  explicit TablesPhase(Session& session) : s_(session), spec_(session.context.spec()) {}

  Status run() {
    SLUICE_ASSIGN(infos_, mysql::list_tables(*s_.source, s_.mapping));
    SLUICE_TRY(look_for_views());
    SLUICE_TRY(create_databases());
    SLUICE_TRY(create_sequences());
    std::vector<TableName> names = names_of_tables();
    std::map<TableName, TableSchema> schemas;
    for (int round = 0; !names.empty(); ++round) {
      if (round == kRoundsMax)
        return Error(ErrorCode::COPY_ROUNDS_EXHAUSTED, "the definition changed each time it was read",
                     names.front().to_string());
      SLUICE_ASSIGN(schemas, mysql::read_tables(*s_.source, names));
      SLUICE_TRY(transfer(schemas));
      if (s_.stop_desired()) return {};
      SLUICE_ASSIGN(names, changed_since(schemas));
    }
    return {};
  }

 private:
  std::vector<TableName> names_of_tables() {
    std::vector<TableName> names;
    for (const mysql::TableInfo& info : infos_)
      if (info.is_table()) names.push_back(info.name);
    return names;
  }

  // ---- databases and sequences ----

  Status create_databases() {
    SLUICE_ASSIGN(auto databases, mysql::list_databases(*s_.source, s_.mapping));
    for (const std::string& name : databases) SLUICE_TRY(create_database(name, s_.mapping.target_database_of(name)));
    for (const mysql::TableInfo& info : infos_) {
      std::string target = s_.mapping.target_of(info.name).database;
      if (target_databases_.count(target) == 0) SLUICE_TRY(create_database(info.name.database, target));
    }
    return {};
  }

  Status create_database(const std::string& source, const std::string& target) {
    if (!target_databases_.insert(target).second) return {};
    auto settings = [](mysql::Connection& connection, const std::string& name) -> Result<std::string> {
      SLUICE_ASSIGN(auto found, connection.query("SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM "
                                                 "information_schema.SCHEMATA WHERE SCHEMA_NAME = " +
                                                 mysql::quoted(name)));
      if (found.rows.empty()) return std::string();
      return " CHARACTER SET " + found.rows[0][0].value_or("") + " COLLATE " + found.rows[0][1].value_or("");
    };
    SLUICE_ASSIGN(std::string wanted, settings(*s_.source, source));
    SLUICE_TRY(s_.exec("CREATE DATABASE IF NOT EXISTS " + mysql::quote_name(target) + wanted, target));
    SLUICE_ASSIGN(std::string present, settings(*s_.ddl, target));
    if (!wanted.empty() && wanted != present)
      s_.warn("database " + target + " has" + present +
              "; tables that are created later without naming theirs would "
              "get another one than on the source (" +
              wanted.substr(1) + ")");
    return {};
  }

  Status create_sequences() {
    std::set<std::string> databases;
    for (const mysql::TableInfo& info : infos_)
      if (info.type == "SEQUENCE") databases.insert(s_.mapping.target_of(info.name).database);
    SLUICE_ASSIGN(const auto existing, s_.existing(databases));
    for (const mysql::TableInfo& info : infos_) {
      if (info.type != "SEQUENCE") continue;
      const TableName target = s_.mapping.target_of(info.name);
      const auto found = existing.find(s_.folded(target));
      SLUICE_TRY(create_sequence(info.name, target, found == existing.end() ? std::string() : found->second));
    }
    return {};
  }

  // What has its name may be from an earlier run of this phase: then it is the same. Another one is not taken over.
  Status create_sequence(const TableName& name, const TableName& target, const std::string& existing_type) {
    SLUICE_ASSIGN(const std::string text, show_sequence(*s_.source, name));
    SLUICE_ASSIGN(auto statement, mysql::parse_ddl(text, name.database, 0));
    SLUICE_ASSIGN(std::string sql, mysql::rewrite_ddl(text, statement, s_.mapping, 0, {}));
    if (existing_type == "SEQUENCE") {
      SLUICE_ASSIGN(const std::string present, show_sequence(*s_.ddl, target));
      if (settings_of(present) == settings_of(sql)) return {};
    }
    if (!existing_type.empty() && !spec_.truncate_target())
      return Error(ErrorCode::TARGET_NOT_EMPTY, "it exists already, and is not the source's sequence",
                   target.to_string());
    if (!existing_type.empty())
      SLUICE_TRY(
          s_.exec("DROP " + kind_of(existing_type) + " IF EXISTS " + mysql::quote_table(target), target.to_string()));
    return s_.exec(sql, target.to_string());
  }

  static Result<std::string> show_sequence(mysql::Connection& connection, const TableName& name) {
    SLUICE_ASSIGN(auto shown, connection.query("SHOW CREATE SEQUENCE " + mysql::quote_table(name)));
    if (shown.rows.empty() || shown.rows[0].size() < 2)
      return Error(ErrorCode::NOT_FOUND, "the sequence was dropped meanwhile", name.to_string());
    return shown.rows[0][1].value_or("");
  }

  // Behind the name, which is quoted; no setting holds a text.
  static std::string settings_of(const std::string& create) { return create.substr(create.rfind('`')); }

  // ---- tables ----

  Status transfer(const std::map<TableName, TableSchema>& schemas) {
    SLUICE_ASSIGN(auto plans, make_plans(schemas));
    for (Plan& plan : plans) {
      if (s_.stop_desired()) return {};
      SLUICE_TRY(carry_out(plan));
      s_.report(plan.row.source, plan.row.target, "CREATED");
    }
    return verify(plans);
  }

  Result<std::vector<Plan>> make_plans(const std::map<TableName, TableSchema>& schemas) {
    SLUICE_ASSIGN(auto rows, database::read_tables(*s_.meta, s_.owner));
    std::map<TableName, TableRow> recorded;
    for (TableRow& row : rows) recorded[row.source] = std::move(row);
    std::vector<Plan> plans;
    std::set<std::string> databases;
    for (const auto& [name, schema] : schemas) {
      Plan plan;
      plan.row.source = name;
      if (auto found = recorded.find(name); found != recorded.end()) plan.row = found->second;
      plan.record = recorded.count(name) == 0;
      plan.row.target = s_.mapping.target_of(name);
      plan.schema = &schema;
      databases.insert(plan.row.target.database);
      plans.push_back(std::move(plan));
    }
    SLUICE_ASSIGN(auto existing, s_.existing(databases));
    SLUICE_TRY(check_distinct(plans));
    std::vector<std::string> refused;
    for (Plan& plan : plans) {
      auto found = existing.find(s_.folded(plan.row.target));
      if (found != existing.end()) plan.existing_type = found->second;
      SLUICE_ASSIGN(std::string reason, decide(plan));
      if (!reason.empty()) refused.push_back(plan.row.target.to_string() + " " + reason);
      if (!reason.empty() || plan.action == Action::kKeep) continue;
      SLUICE_ASSIGN(std::string shown, mysql::show_create_table(*s_.source, plan.row.source));
      mysql::SplitOptions options;
      options.defer_indexes = spec_.defer_indexes();
      SLUICE_ASSIGN(auto parts, mysql::split_create_table(shown, plan.row.source, s_.mapping, options));
      plan.create = std::move(parts.create);
      plan.row.created_from = mysql::without_counter(shown);
    }
    if (!refused.empty()) return not_empty(refused);
    return plans;
  }

  // Views are created at the end, over whatever is there: what has their name now is not ours.
  Status look_for_views() {
    if (spec_.truncate_target()) return {};
    std::set<std::string> databases;
    std::vector<TableName> targets;
    for (const mysql::TableInfo& info : infos_) {
      if (info.type != "VIEW") continue;
      targets.push_back(s_.mapping.target_of(info.name));
      databases.insert(targets.back().database);
    }
    SLUICE_ASSIGN(auto existing, s_.existing(databases));
    std::vector<std::string> refused;
    for (const TableName& target : targets)
      if (existing.count(s_.folded(target)) > 0) refused.push_back(target.to_string() + " exists already");
    return refused.empty() ? Status{} : not_empty(refused);
  }

  static Error not_empty(const std::vector<std::string>& refused) {
    return Error(ErrorCode::TARGET_NOT_EMPTY, joined(refused), refused.front().substr(0, refused.front().find(' ')));
  }

  // Two source tables must not become one on the target.
  Status check_distinct(const std::vector<Plan>& plans) {
    std::map<TableName, TableName> seen;
    for (const Plan& plan : plans) {
      auto [at, fresh] = seen.emplace(s_.folded(plan.row.target), plan.row.source);
      if (!fresh)
        return Error(
            ErrorCode::INVALID_ARGUMENT,
            at->second.to_string() + " and " + plan.row.source.to_string() + " have the same name on the target",
            plan.row.target.to_string());
    }
    return {};
  }

  // What is to be done with a table; the reason when that is not allowed.
  Result<std::string> decide(Plan& plan) {
    bool exists = !plan.existing_type.empty(), ours = !plan.record;
    plan.action = exists ? Action::kDropAndCreate : Action::kCreate;
    if (ours && plan.row.state != TableState::kPending) {
      // The copy has begun, so rows and definition belong to it; after its end also changes from the log.
      if (exists || plan.row.state != TableState::kCopying) plan.action = Action::kKeep;
      return std::string();
    }
    if (!exists) return std::string();
    if (!mysql::is_table(plan.existing_type))
      return spec_.truncate_target() ? std::string() : "exists already and is no table";
    SLUICE_ASSIGN(TableSchema present, mysql::read_table(*s_.ddl, plan.row.target));
    if (spec_.allow_not_empty()) {
      plan.action = Action::kKeep;
      plan.record = true;
      std::string reason = misfit(*plan.schema, present, false);
      return reason.empty() ? reason : "exists already and does not fit: " + reason;
    }
    SLUICE_ASSIGN(auto row, s_.ddl->query("SELECT 1 FROM " + mysql::quote_table(plan.row.target) + " LIMIT 1"));
    bool empty = row.rows.empty();
    if (ours && empty) {
      SLUICE_ASSIGN(const std::string shown, mysql::show_create_table(*s_.source, plan.row.source));
      const bool same = misfit(*plan.schema, present, true).empty() && plan.row.definition == plan.schema->encode() &&
                        plan.row.created_from == mysql::without_counter(shown);
      if (same) plan.action = Action::kKeep;
      return std::string();
    }
    if (spec_.truncate_target()) return std::string();
    return std::string(empty ? "exists already" : "has rows");
  }

  Status carry_out(Plan& plan) {
    if (plan.action == Action::kKeep) {
      if (!plan.record) return {};
      plan.row.state = TableState::kPending;
      plan.row.definition = plan.schema->encode();
      return write(plan.row);
    }
    const std::string object = plan.row.target.to_string();
    if (plan.action == Action::kDropAndCreate) {
      SLUICE_TRY(
          s_.exec("DROP " + kind_of(plan.existing_type) + " IF EXISTS " + mysql::quote_table(plan.row.target), object));
    }
    plan.row.state = TableState::kPending;
    plan.row.window_start = plan.row.window_end = {};
    plan.row.definition = plan.schema->encode();
    SLUICE_TRY(write(plan.row));
    log::info(kLog, "creates table", {{"source", plan.row.source.to_string()}, {"target", object}});
    Status created = s_.exec(plan.create, object);
    constexpr uint32_t kTableExists = 1050;
    if (!created.ok() && s_.ddl->last_errno() == kTableExists)
      return Error(ErrorCode::TARGET_NOT_EMPTY, "somebody else created it just now", object);
    return created;
  }

  Status write(const TableRow& row) {
    SLUICE_TRY(s_.context.lease()->check());
    return database::write_table(*s_.meta, s_.owner, row);
  }

  // What was created has the columns of the source; a server with other defaults (collations) may have given others.
  Status verify(const std::vector<Plan>& plans) {
    std::vector<TableName> created;
    for (const Plan& plan : plans)
      if (plan.action != Action::kKeep) created.push_back(plan.row.target);
    SLUICE_ASSIGN(auto present, mysql::read_tables(*s_.ddl, created));
    std::map<TableName, const TableSchema*> by_name;
    for (const auto& [name, schema] : present) by_name[s_.folded(name)] = &schema;
    for (const Plan& plan : plans) {
      if (plan.action == Action::kKeep) continue;
      auto found = by_name.find(s_.folded(plan.row.target));
      if (found == by_name.end()) continue;
      std::string reason = misfit(*plan.schema, *found->second, true);
      if (reason.empty()) continue;
      // The source's definition may just have changed; then the next round creates the table again.
      SLUICE_ASSIGN(TableSchema now, mysql::read_table(*s_.source, plan.row.source));
      if (!(now == *plan.schema)) continue;
      return Error(ErrorCode::UNSUPPORTED, "the target gives the table another definition: " + reason,
                   plan.row.target.to_string());
    }
    return {};
  }

  Result<std::vector<TableName>> changed_since(const std::map<TableName, TableSchema>& schemas) {
    std::vector<TableName> names, changed;
    for (const auto& [name, schema] : schemas) names.push_back(name);
    SLUICE_ASSIGN(auto now, mysql::read_tables(*s_.source, names));
    for (const auto& [name, schema] : now)
      if (!(schema == schemas.at(name))) changed.push_back(name);
    return changed;
  }

  Session& s_;
  const cluster::v1::ComponentSpec& spec_;
  std::vector<mysql::TableInfo> infos_;
  std::set<std::string> target_databases_;
};

}  // namespace

Status transfer_tables(Session& session) { return TablesPhase(session).run(); }

}  // namespace sluice::agents::struct_transfer
