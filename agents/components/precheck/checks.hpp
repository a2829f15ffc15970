// The checks and what they share. Internal to the folder. Owned and used by the component's main thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agents/components/precheck/grants.hpp"
#include "agents/components/runtime/component.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/name_folding.hpp"

namespace sluice::agents::precheck {

enum class Level : uint8_t { kPassed, kWarning, kFailed, kSkipped };

struct Outcome {
  Level level = Level::kPassed;
  std::string cause, cure;
  ErrorCode code = ErrorCode::PRECHECK_FAILED;  // of kFailed
  std::string object;
};
// What a check found: the object that an error names, and how it stands in a list.
struct Finding {
  Finding(std::string object, std::string shown) : object(std::move(object)), shown(std::move(shown)) {}
  explicit Finding(const TableName& name) : Finding(name.to_string(), name.to_string()) {}
  Finding(const TableName& name, const std::string& note)
      : Finding(name.to_string(), name.to_string() + " (" + note + ")") {}
  std::string object, shown;
};
using Findings = std::vector<Finding>;

inline Outcome passed(std::string note = {}) { return {Level::kPassed, std::move(note)}; }
inline Outcome warning(std::string cause, std::string cure) {
  return {Level::kWarning, std::move(cause), std::move(cure)};
}
inline Outcome failed(ErrorCode code, std::string cause, std::string cure, std::string object = {}) {
  return {Level::kFailed, std::move(cause), std::move(cure), code, std::move(object)};
}
// Causes that end with a few of the findings; an error is about the first of them.
Outcome warning(const std::string& cause, const Findings& findings, std::string cure);
Outcome failed(ErrorCode code, const std::string& cause, const Findings& findings, std::string cure);

// What is known of both servers; read once, when a check first asks.
class Facts {
 public:
  explicit Facts(const cluster::v1::ComponentSpec& s) : spec(s) {}

  const cluster::v1::ComponentSpec& spec;
  TableMapping mapping;
  std::unique_ptr<mysql::Connection> source, target;

  bool has_step(std::string_view name) const;  // as the project's steps are named

  Result<const std::vector<mysql::TableInfo>*> tables();      // in scope on the source, views included
  Result<const std::map<TableName, TableSchema>*> schemas();  // of the tables among them
  Result<const std::vector<std::string>*> databases();        // in scope on the source
  Result<std::set<std::string>> target_databases();
  // Names, as folded() makes them, and types of what exists in these databases on the target.
  Result<const std::map<TableName, std::string>*> existing();
  Result<TableName> folded(TableName name);  // names that are one on the target come out the same
  Result<const Grants*> grants(mysql::Connection& connection);

 private:
  std::optional<std::vector<mysql::TableInfo>> tables_;
  std::optional<std::map<TableName, TableSchema>> schemas_;
  std::optional<std::vector<std::string>> databases_;
  std::optional<std::map<TableName, std::string>> existing_;
  std::optional<mysql::NameFolding> target_folding_;
  std::map<const mysql::Connection*, Grants> grants_;
};

struct Check {
  std::string_view name;
  Result<Outcome> (*run)(Facts&);
  bool needs_source = true, needs_target = true;
};
extern const std::vector<Check> kServerChecks;  // versions and settings
extern const std::vector<Check> kPrivilegeChecks;
extern const std::vector<Check> kTableChecks;       // objects in scope
extern const std::vector<Check> kDefinitionChecks;  // what the target could not take
extern const std::vector<Check> kTargetChecks;      // what stands in the objects' place

// A few of many names: "a.b, c.d and 7 more".
std::string some_of(const std::vector<std::string>& names);
// Empty when the server has no such variable.
Result<std::string> variable_or_empty(mysql::Connection& connection, std::string_view name);

}  // namespace sluice::agents::precheck
