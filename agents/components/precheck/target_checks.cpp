// What stands on the target in the place of the objects in scope, by what the project's steps need of it.
#include <algorithm>

#include "agents/components/precheck/checks.hpp"
#include "engines/mysql/sql_text.hpp"
#include "sinks/database/bookkeeping.hpp"

namespace sluice::agents::precheck {
namespace {

// Target names that this project has recorded: they are its own, with or without rows.
Result<std::set<TableName>> recorded(Facts& facts) {
  std::set<TableName> names;
  SLUICE_ASSIGN(auto found,
                facts.target->query("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = " +
                                    mysql::quoted(facts.mapping.meta_database()) + " AND TABLE_NAME = 'table_state'"));
  if (found.rows.empty()) return names;
  SLUICE_ASSIGN(auto rows, database::read_tables(*facts.target, {facts.spec.project_id(), facts.spec.component_id(),
                                                                 facts.spec.epoch(), facts.mapping.meta_database()}));
  for (const database::TableRow& row : rows) names.insert(row.target);
  return names;
}

Result<bool> has_rows(Facts& facts, const TableName& target) {
  SLUICE_ASSIGN(const auto found, facts.target->query("SELECT 1 FROM " + mysql::quote_table(target) + " LIMIT 1"));
  return !found.rows.empty();
}

// An object of the scope and what has its name on the target: "" when nothing has.
struct Place {
  const mysql::TableInfo* source;
  TableName target;
  std::string type;
};

Result<std::vector<Place>> places(Facts& facts) {
  SLUICE_ASSIGN(const auto* existing, facts.existing());
  SLUICE_ASSIGN(const auto* tables, facts.tables());
  std::vector<Place> found;
  for (const mysql::TableInfo& info : *tables) {
    Place place{&info, facts.mapping.target_of(info.name), {}};
    SLUICE_ASSIGN(const TableName key, facts.folded(place.target));
    if (const auto at = existing->find(key); at != existing->end()) place.type = at->second;
    found.push_back(std::move(place));
  }
  return found;
}

Result<Outcome> target_empty(Facts& facts) {
  const bool structure = facts.has_step("STRUCT_TRANSFER"), full = facts.has_step("FULL_TRANSFER");
  if (!structure && !full) return passed("the project's steps write into tables that are filled");
  if (facts.spec.truncate_target()) return passed("what is on the target is dropped");
  SLUICE_ASSIGN(const auto ours, recorded(facts));
  if (!ours.empty()) return passed("the target holds what this project has written");
  SLUICE_ASSIGN(const auto all, places(facts));
  Findings exist, filled;
  for (const Place& place : all) {
    if (place.type.empty() || (facts.spec.allow_not_empty() && mysql::is_table(place.type))) continue;
    if (!structure && !mysql::is_table(place.source->type)) continue;  // only tables are filled then
    if (structure || !mysql::is_table(place.type)) {
      exist.push_back(mysql::is_table(place.type) ? Finding(place.target) : Finding(place.target, place.type));
      continue;
    }
    SLUICE_ASSIGN(const bool rows, has_rows(facts, place.target));
    if (rows) filled.emplace_back(place.target);
  }
  if (!filled.empty())
    return failed(ErrorCode::TARGET_NOT_EMPTY, "these tables have rows on the target", filled,
                  "Empty them, or use --truncate-target or --allow-not-empty");
  if (exist.empty()) return passed();
  return failed(ErrorCode::TARGET_NOT_EMPTY, "these exist already on the target", exist,
                facts.spec.allow_not_empty()
                    ? "Drop the views and sequences, or use --truncate-target"
                    : "Drop them, or use --truncate-target or --allow-not-empty; to fill empty "
                      "tables that fit, leave the step schema out");
}

Result<Outcome> target_tables(Facts& facts) {
  if (facts.has_step("STRUCT_TRANSFER") || facts.has_step("FULL_TRANSFER"))
    return passed("the project creates what is missing");
  SLUICE_ASSIGN(const auto all, places(facts));
  Findings missing;
  for (const Place& place : all)
    if (mysql::is_table(place.source->type) && (place.type.empty() || !mysql::is_table(place.type)))
      missing.emplace_back(place.target);
  if (missing.empty()) return passed();
  return failed(ErrorCode::NOT_FOUND, "these tables are missing on the target", missing,
                "Create and fill them with --steps schema,full, or leave them out with --exclude");
}

// Beside rows of other origin nothing tells which rows of a table without a key are the copy's: doubled ones would
// stay.
Result<Outcome> keyless_not_empty(Facts& facts) {
  if (!facts.spec.allow_not_empty() || !facts.has_step("FULL_TRANSFER")) return passed();
  SLUICE_ASSIGN(const auto ours, recorded(facts));
  if (!ours.empty()) return passed("the target holds what this project has written");
  SLUICE_ASSIGN(const auto* schemas, facts.schemas());
  SLUICE_ASSIGN(const auto all, places(facts));
  Findings found;
  for (const Place& place : all) {
    const auto schema = schemas->find(place.source->name);
    if (schema == schemas->end() || schema->second.row_key() != nullptr) continue;
    if (place.type.empty() || !mysql::is_table(place.type)) continue;
    SLUICE_ASSIGN(const bool rows, has_rows(facts, place.target));
    if (rows) found.emplace_back(place.target);
  }
  if (found.empty()) return passed();
  return failed(ErrorCode::TARGET_NOT_EMPTY,
                "tables without a key have rows on the target, and rows that are on both sides would be there twice",
                found, "Empty these tables, add a primary key on both sides, or leave them out with --exclude");
}

}  // namespace

const std::vector<Check> kTargetChecks = {
    {"TARGET_EMPTY", target_empty, true, true},
    {"TARGET_TABLES", target_tables, true, true},
    {"KEYLESS_NOT_EMPTY", keyless_not_empty, true, true},
};

}  // namespace sluice::agents::precheck
