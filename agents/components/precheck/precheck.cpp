#include "agents/components/precheck/precheck.hpp"

#include <algorithm>
#include <array>

#include "agents/components/precheck/checks.hpp"
#include "core/log.hpp"
#include "core/net/convert.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents {
namespace precheck {
namespace {

constexpr size_t kNamesMax = 8;

const char* level_name(Level level) {
  switch (level) {
    case Level::kPassed:
      return "PASSED";
    case Level::kWarning:
      return "WARNING";
    case Level::kFailed:
      return "FAILED";
    case Level::kSkipped:
      return "SKIPPED";
  }
  return "";
}

std::array<const std::vector<Check>*, 5> all_checks() {
  return {&kPrivilegeChecks, &kServerChecks, &kTableChecks, &kDefinitionChecks, &kTargetChecks};
}

class Run {
 public:
  explicit Run(ComponentContext& context) : context_(context), facts_(context.spec()) {
    for (const std::string& name : context.spec().skip_checks()) skipped_.insert(name);
  }

  Status run() {
    SLUICE_ASSIGN(facts_.mapping, net::mapping_of(context_.spec()));
    connect("SOURCE_CONNECTIVITY", context_.spec().source(), facts_.source);
    connect("TARGET_CONNECTIVITY", context_.spec().target(), facts_.target);
    for (const auto* checks : all_checks()) {
      for (const Check& check : *checks) {
        if (context_.desired().stop()) return {};
        one(check);
      }
    }
    return verdict();
  }

 private:
  void connect(std::string_view name, const cluster::v1::DatabaseEndpoint& message,
               std::unique_ptr<mysql::Connection>& connection) {
    const Endpoint endpoint = net::from_proto(message);
    mysql::ConnectOptions options;
    options.purpose = mysql::Purpose::kCatalog;
    options.application = "sluice precheck";
    auto opened = mysql::Connection::open(endpoint, options);
    if (opened.ok()) {
      connection = std::move(*opened);
      return record(name, passed(endpoint.display()));
    }
    const Error& error = opened.error();
    record(name, failed(error.code(), error.cause(), std::string(error.action()), endpoint.display()));
  }

  void one(const Check& check) {
    if (skipped_.count(std::string(check.name)) > 0)
      return record(check.name, {Level::kSkipped, "skipped as the project asks"});
    if ((check.needs_source && !facts_.source) || (check.needs_target && !facts_.target))
      return record(check.name, {Level::kSkipped, "it needs a connection that could not be made"});
    auto outcome = check.run(facts_);
    if (outcome.ok()) return record(check.name, std::move(*outcome));
    const Error& error = outcome.error();
    record(check.name, failed(error.code(), error.cause(), std::string(error.action()), error.object()));
  }

  void record(std::string_view name, Outcome outcome) {
    log::info("precheck", level_name(outcome.level), {{"check", name}, {"cause", outcome.cause}});
    context_.update([&](cluster::v1::ComponentStatus& status) {
      auto* result = status.add_checks();
      result->set_name(std::string(name));
      result->set_level(level_name(outcome.level));
      result->set_cause(outcome.cause);
      result->set_cure(outcome.cure);
      if (outcome.level == Level::kWarning) status.add_warnings(std::string(name) + ": " + outcome.cause);
    });
    if (outcome.level != Level::kFailed) return;
    ++failures_;
    if (!first_)
      first_ = Error(outcome.code,
                     std::string(name) + ": " + outcome.cause + (outcome.cure.empty() ? "" : " Cure: " + outcome.cure),
                     outcome.object);
  }

  Status verdict() const {
    if (!first_) return {};
    if (failures_ == 1) return *first_;
    return Error(first_->code(), first_->cause() + " (and " + std::to_string(failures_ - 1) + " more failed checks)",
                 first_->object());
  }

  ComponentContext& context_;
  Facts facts_;
  std::set<std::string> skipped_;
  std::optional<Error> first_;
  size_t failures_ = 0;
};

}  // namespace

bool Facts::has_step(std::string_view name) const {
  return std::find(spec.steps().begin(), spec.steps().end(), name) != spec.steps().end();
}

Result<const std::vector<mysql::TableInfo>*> Facts::tables() {
  if (!tables_) {
    SLUICE_ASSIGN(tables_, mysql::list_tables(*source, mapping));
  }
  return &*tables_;
}

Result<const std::map<TableName, TableSchema>*> Facts::schemas() {
  if (!schemas_) {
    SLUICE_ASSIGN(const auto* infos, tables());
    std::vector<TableName> names;
    for (const mysql::TableInfo& info : *infos)
      if (info.is_table()) names.push_back(info.name);
    SLUICE_ASSIGN(schemas_, mysql::read_tables(*source, names));
  }
  return &*schemas_;
}

Result<const std::vector<std::string>*> Facts::databases() {
  if (!databases_) {
    SLUICE_ASSIGN(databases_, mysql::list_databases(*source, mapping));
  }
  return &*databases_;
}

Result<std::set<std::string>> Facts::target_databases() {
  SLUICE_ASSIGN(const auto* names, databases());
  SLUICE_ASSIGN(const auto* infos, tables());
  std::set<std::string> targets;
  for (const std::string& name : *names) targets.insert(mapping.target_database_of(name));
  for (const mysql::TableInfo& info : *infos) targets.insert(mapping.target_of(info.name).database);
  return targets;
}

Result<const std::map<TableName, std::string>*> Facts::existing() {
  if (!existing_) {
    SLUICE_ASSIGN(const auto names, target_databases());
    std::map<TableName, std::string> found;
    for (const std::string& name : names) {
      SLUICE_ASSIGN(auto table, target->query("SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM "
                                              "information_schema.TABLES WHERE TABLE_SCHEMA = " +
                                              mysql::quoted(name)));
      for (auto& row : table.rows) {
        SLUICE_ASSIGN(TableName key, folded({row[0].value_or(""), row[1].value_or("")}));
        found[std::move(key)] = row[2].value_or("");
      }
    }
    existing_ = std::move(found);
  }
  return &*existing_;
}

Result<TableName> Facts::folded(TableName name) {
  if (!target_folding_) {
    SLUICE_ASSIGN(target_folding_, mysql::NameFolding::of(*target));
  }
  return target_folding_->key(std::move(name));
}

Result<const Grants*> Facts::grants(mysql::Connection& connection) {
  auto found = grants_.find(&connection);
  if (found != grants_.end()) return &found->second;
  SLUICE_ASSIGN(auto lines, mysql::show_grants(connection));
  auto add = [&](const std::string& statement) {  // servers without this kind of role refuse it
    auto more = connection.query(statement);
    if (!more.ok()) return;
    for (const auto& row : more->rows)
      if (!row.empty() && row[0]) lines.push_back(*row[0]);
  };
  if (connection.version().mariadb) {
    if (connection.version().number >= 101100) add("SHOW GRANTS FOR PUBLIC");
  } else if (auto roles = connection.query_value("SELECT CURRENT_ROLE()"); roles.ok() && *roles != "NONE") {
    add("SHOW GRANTS FOR CURRENT_USER() USING " + *roles);
  }
  return &grants_.emplace(&connection, Grants::parse(lines)).first->second;
}

std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesMax); ++i) text += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kNamesMax) text += " and " + std::to_string(names.size() - kNamesMax) + " more";
  return text;
}

static std::string some_of(const Findings& findings) {
  std::vector<std::string> shown;
  for (const Finding& finding : findings) shown.push_back(finding.shown);
  return some_of(shown);
}

Outcome warning(const std::string& cause, const Findings& findings, std::string cure) {
  return warning(cause + ": " + some_of(findings), std::move(cure));
}

Outcome failed(ErrorCode code, const std::string& cause, const Findings& findings, std::string cure) {
  return failed(code, cause + ": " + some_of(findings), std::move(cure), findings.front().object);
}

Result<std::string> variable_or_empty(mysql::Connection& connection, std::string_view name) {
  auto value = mysql::variable(connection, name);
  if (!value.ok() && value.error().code() == ErrorCode::NOT_FOUND) return std::string();
  return value;
}

}  // namespace precheck

Status run_precheck(ComponentContext& context) {
  context.update([](cluster::v1::ComponentStatus& status) {
    status.set_state(cluster::v1::RUNNING);
    status.clear_checks();
  });
  return precheck::Run(context).run();
}

std::vector<std::string_view> precheck_names() {
  std::vector<std::string_view> names;
  for (const auto* checks : precheck::all_checks())
    for (const precheck::Check& check : *checks) names.push_back(check.name);
  return names;
}

}  // namespace sluice::agents
