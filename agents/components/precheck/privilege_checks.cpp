// What the users of both servers may do. The cure is the GRANT statement that is missing.
#include <algorithm>

#include "agents/components/precheck/checks.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::precheck {
namespace {

using Privileges = std::vector<std::string>;

std::string joined(const Privileges& privileges) {
  std::string text;
  for (const std::string& p : privileges) text += (text.empty() ? "" : ", ") + p;
  return text;
}

// 'user'@'host' as GRANT wants it.
Result<std::string> grantee(mysql::Connection& connection) {
  SLUICE_ASSIGN(std::string user, connection.query_value("SELECT CURRENT_USER()"));
  size_t at = user.rfind('@');
  if (at == std::string::npos) return mysql::quoted(user);
  return mysql::quoted(user.substr(0, at)) + "@" + mysql::quoted(user.substr(at + 1));
}

// Collects what is missing as GRANT statements, one per level.
class Missing {
 public:
  void global(const Grants& grants, const Privileges& privileges) {
    Privileges missing;
    for (const std::string& p : privileges)
      if (!grants.global(p)) missing.push_back(p);
    if (!missing.empty()) add(missing, "*.*");
  }
  void database(const Grants& grants, const Privileges& privileges, const std::string& name) {
    Privileges missing;
    for (const std::string& p : privileges)
      if (!grants.database(p, name)) missing.push_back(p);
    if (!missing.empty()) add(missing, mysql::quote_name(name) + ".*");
  }
  void table(const Grants& grants, const Privileges& privileges, const TableName& name) {
    Privileges missing;
    for (const std::string& p : privileges)
      if (!grants.table(p, name)) missing.push_back(p);
    if (!missing.empty()) add(missing, mysql::quote_table(name));
  }
  Outcome outcome(const std::string& user) const {
    if (levels_.empty()) return passed();
    std::vector<std::string> statements;
    for (const auto& [level, privileges] : levels_)
      statements.push_back("GRANT " + joined(privileges) + " ON " + level + " TO " + user + ";");
    std::string cure;
    for (const std::string& s : statements) cure += (cure.empty() ? "" : " ") + s;
    return failed(ErrorCode::MISSING_PRIVILEGE, "the user lacks privileges: " + cause(), cure);
  }

 private:
  void add(const Privileges& privileges, const std::string& level) {
    if (levels_.count(level) == 0) levels_[level] = privileges;
  }
  std::string cause() const {
    std::vector<std::string> texts;
    for (const auto& [level, privileges] : levels_) texts.push_back(joined(privileges) + " on " + level);
    return some_of(texts);
  }
  std::map<std::string, Privileges> levels_;
};

bool has_wildcard(const std::string& pattern) { return pattern.find_first_of("*?") != std::string::npos; }

// Tables without a privilege are invisible, so privileges are asked for by pattern and not by what can be seen.
Result<Outcome> source_privileges(Facts& facts) {
  mysql::Connection& source = *facts.source;
  SLUICE_ASSIGN(const Grants* grants, facts.grants(source));
  SLUICE_ASSIGN(const std::string user, grantee(source));
  const mysql::ServerVersion& version = source.version();
  Missing missing;
  Privileges global{"REPLICATION SLAVE"};
  global.push_back(version.mariadb && version.number >= 100502 ? "BINLOG MONITOR" : "REPLICATION CLIENT");
  if (!version.mariadb && version.number >= 80000) global.push_back("XA_RECOVER_ADMIN");
  missing.global(*grants, global);

  const Privileges read{"SELECT", "SHOW VIEW"};
  bool some_databases_unseen = facts.mapping.include_patterns().empty();
  for (const std::string& text : facts.mapping.include_patterns()) {
    SLUICE_ASSIGN(const TableName pattern, parse_table_pattern(text));
    if (has_wildcard(pattern.database)) {
      some_databases_unseen = true;
    } else if (has_wildcard(pattern.table)) {
      missing.database(*grants, read, pattern.database);
    } else {
      missing.table(*grants, {"SELECT"}, pattern);
    }
  }
  SLUICE_ASSIGN(const auto* databases, facts.databases());
  if (some_databases_unseen)
    for (const std::string& name : *databases) missing.database(*grants, read, name);
  Outcome outcome = missing.outcome(user);
  if (outcome.level == Level::kPassed && some_databases_unseen && !grants->global("SELECT"))
    return warning("databases on which the user has no privilege are not seen and not part of the project",
                   "GRANT SELECT, SHOW VIEW ON *.* TO " + user + "; or name the databases with --include");
  return outcome;
}

Result<Outcome> target_privileges(Facts& facts) {
  mysql::Connection& target = *facts.target;
  SLUICE_ASSIGN(const Grants* grants, facts.grants(target));
  SLUICE_ASSIGN(const std::string user, grantee(target));
  SLUICE_ASSIGN(const auto databases, facts.target_databases());
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  const Privileges rows{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX"};
  Privileges all = rows;
  all.push_back("REFERENCES");
  bool views = std::any_of(tables->begin(), tables->end(), [](const auto& info) { return info.type == "VIEW"; });
  if (views) all.insert(all.end(), {"CREATE VIEW", "SHOW VIEW"});
  // Triggers of tables that were there before are seen only with the privilege for them.
  if (facts.spec.allow_not_empty()) all.push_back("TRIGGER");
  Missing missing;
  for (const std::string& name : databases) missing.database(*grants, all, name);
  missing.database(*grants, rows, facts.mapping.meta_database());
  return missing.outcome(user);
}

Result<Outcome> target_writable(Facts& facts) {
  SLUICE_ASSIGN(const std::string read_only, variable_or_empty(*facts.target, "read_only"));
  SLUICE_ASSIGN(const std::string super_only, variable_or_empty(*facts.target, "super_read_only"));
  const std::string cure = "SET GLOBAL read_only = OFF on the target";
  if (super_only == "1") return failed(ErrorCode::SERVER_READ_ONLY, "super_read_only is ON on the target", cure);
  if (read_only.empty() || read_only == "0" || read_only == "OFF") return passed();
  SLUICE_ASSIGN(const Grants* grants, facts.grants(*facts.target));
  if (grants->global("READ_ONLY ADMIN") || grants->global("SUPER"))
    return warning("the target is read_only; the user may write all the same", cure);
  return failed(ErrorCode::SERVER_READ_ONLY, "read_only is " + read_only + " on the target", cure);
}

}  // namespace

const std::vector<Check> kPrivilegeChecks = {
    {"SOURCE_PRIVILEGES", source_privileges, true, false},
    {"TARGET_PRIVILEGES", target_privileges, true, true},
    {"TARGET_WRITABLE", target_writable, false, true},
};

}  // namespace sluice::agents::precheck
