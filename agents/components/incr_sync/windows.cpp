#include "agents/components/incr_sync/windows.hpp"

#include <algorithm>
#include <set>

#include "engines/mysql/dialect/fold.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::incr_sync {
namespace {

bool at_or_before(const Position& a, const Position& b) { return compare_in_log(a, b) <= 0; }

bool names_one(const std::vector<std::string>& columns, const std::vector<std::string>& names) {
  return std::any_of(columns.begin(), columns.end(), [&](const std::string& column) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return mysql::same_name(name, column); });
  });
}

}  // namespace

bool stands_before(const Position& a, const Position& b) {
  return compare_in_log(a, b) < 0 && (b.gtids.empty() || a.gtids != b.gtids);
}

void Windows::set(const std::vector<database::TableRow>& rows) {
  tables_.clear();
  keys_.clear();
  for (const database::TableRow& row : rows) {
    tables_[row.source] = {row.window_start, row.window_end, row.state == database::TableState::kCopied, row.round};
    auto schema = TableSchema::decode(row.definition);
    if (schema.ok() && !schema->foreign_keys.empty()) keys_[row.source] = std::move(schema->foreign_keys);
  }
}

Windows::Place Windows::place(const TableName& source, const Position& end) const {
  const auto found = tables_.find(source);
  if (found == tables_.end()) return Place::kUnknown;
  const Window& window = found->second;
  if (!window.copied) return Place::kBusy;
  if (!window.start.empty() && at_or_before(end, window.start)) return Place::kBefore;
  if (!window.end.empty() && at_or_before(end, window.end)) return Place::kInside;
  return Place::kAfter;
}

RowVerdict Windows::row(const TableName& source, const Position& end) const {
  switch (place(source, end)) {
    case Place::kBefore:
      return RowVerdict::kSkip;
    case Place::kBusy:
      return RowVerdict::kWait;
    default:
      return RowVerdict::kApply;
  }
}

// Foreign keys are added from the definition that a table's copy has read. Those of the tables returned would not be
// the source's after the statement: it gives a table of the key, or a column of it, another name, or makes a table with
// keys.
std::vector<TableName> Windows::with_other_keys(const mysql::DdlStatement& statement, const Position& end) const {
  std::set<TableName> found;
  const auto counts = [&](const TableName& name) {
    const Place at = place(name, end);
    return at != Place::kBefore && at != Place::kBusy;
  };
  for (const mysql::DdlTable& table : statement.tables) {
    const bool makes_keys = statement.kind == mysql::DdlKind::kCreateTable && !statement.reads.empty();
    if (makes_keys && counts(table.source)) found.insert(table.source);
    const bool renamed = !table.rename_to.table.empty();
    for (const auto& [child, keys] : keys_) {
      for (const ForeignKey& key : keys) {
        const bool itself = child == table.source;
        const bool parent = TableName{key.referenced_database, key.referenced_table} == table.source;
        const bool concerned = (itself && (renamed || names_one(key.columns, statement.renamed_columns))) ||
                               (parent && (renamed || names_one(key.referenced_columns, statement.renamed_columns)));
        if (!concerned || !counts(child)) continue;
        found.insert(child);
        if (itself && renamed) found.insert(table.rename_to);
      }
    }
  }
  return {found.begin(), found.end()};
}

// Tables that the statement would make other than the source did: after a table that the target has as it became later,
// or with the foreign keys of the table that it replaces, which are added from the definition that the copy has read.
std::vector<TableName> Windows::made_otherwise(const mysql::DdlStatement& statement, const Position& end) const {
  const bool late_model = statement.kind == mysql::DdlKind::kCreateTableLike &&
                          std::any_of(statement.reads.begin(), statement.reads.end(), [&](const TableName& read) {
                            const Place at = place(read, end);
                            return at == Place::kBefore || at == Place::kBusy;
                          });
  std::vector<TableName> found;
  for (const mysql::DdlTable& table : statement.tables) {
    const bool replaced = statement.or_replace && keys_.contains(table.source);
    if ((late_model || replaced) && place(table.source, end) != Place::kBefore) found.push_back(table.source);
  }
  return found;
}

std::vector<TableName> Windows::tables_of(const std::string& database) const {
  std::vector<TableName> found;
  for (const auto& [name, window] : tables_)
    if (name.database == database) found.push_back(name);
  return found;
}

// Tables whose copies are newer than the statement belong to a database that was made again since.
DdlVerdict Windows::drop_database(const std::string& database, const TableMapping& mapping, const Position& end) const {
  std::vector<TableName> busy, older;
  bool newer = false;
  for (const TableName& name : tables_of(database)) {
    if (!mapping.includes(name)) continue;
    const Place at = place(name, end);
    if (at == Place::kBusy) busy.push_back(name);
    if (at == Place::kInside || at == Place::kAfter) older.push_back(name);
    newer |= at == Place::kBefore;
  }
  if (!busy.empty()) return {DdlVerdict::What::kWait, std::move(busy)};
  if (!newer) return {DdlVerdict::What::kApply, {}};
  return {DdlVerdict::What::kDropOnly, std::move(older)};
}

DdlVerdict Windows::ddl(const mysql::DdlStatement& statement, const TableMapping& mapping, const Position& end,
                        bool open) const {
  using What = DdlVerdict::What;
  if (statement.kind == mysql::DdlKind::kDropDatabase) return drop_database(statement.database, mapping, end);
  std::vector<TableName> skipped, inside, applied, all, busy;
  auto look = [&](const TableName& name) {
    if (!mapping.includes(name)) return;
    all.push_back(name);
    switch (place(name, end)) {
      case Place::kBefore:
        skipped.push_back(name);
        break;
      case Place::kInside:
        inside.push_back(name);
        break;
      case Place::kBusy:
        busy.push_back(name);
        break;
      default:
        applied.push_back(name);
    }
  };
  for (const mysql::DdlTable& table : statement.tables) {
    look(table.source);
    look(table.rename_to);
  }
  if (!busy.empty()) return {What::kWait, std::move(busy)};
  if (statement.needs_copy && skipped.size() < all.size()) {
    std::vector<TableName> tables = inside;
    tables.insert(tables.end(), applied.begin(), applied.end());
    return {What::kNeedsCopy, std::move(tables)};
  }
  if (open) {
    std::vector<TableName> children = with_other_keys(statement, end), made = made_otherwise(statement, end);
    children.insert(children.end(), made.begin(), made.end());
    std::erase_if(children, [&](const TableName& name) { return !mapping.includes(name); });
    if (!children.empty()) return {What::kNeedsCopy, std::move(children)};
  }
  // Foreign keys are added from the definition that the copy read: one that changes them later asks for a new one.
  const bool alters = statement.kind == mysql::DdlKind::kAlterTable && statement.changes_foreign_keys;
  if (open && alters && !applied.empty()) {
    inside.insert(inside.end(), applied.begin(), applied.end());
    return {What::kNeedsCopy, std::move(inside)};
  }
  if (all.empty() || (skipped.empty() && inside.empty())) return {What::kApply, {}};
  if (skipped.size() == all.size()) return {What::kSkip, {}};
  // DROP and TRUNCATE are exact at their own place: what comes after them is in the log.
  if (statement.kind == mysql::DdlKind::kDropTable) {
    inside.insert(inside.end(), applied.begin(), applied.end());
    return {What::kDropOnly, std::move(inside)};
  }
  if (statement.kind == mysql::DdlKind::kTruncateTable) return {What::kApply, {}};
  std::vector<TableName> tables = inside;
  tables.insert(tables.end(), applied.begin(), applied.end());
  return {What::kNeedsCopy, std::move(tables)};
}

Position Windows::first_start() const {
  Position first;
  for (const auto& [name, window] : tables_) {
    if (window.start.empty()) continue;
    if (first.empty() || compare_in_log(window.start, first) < 0) first = window.start;
  }
  return first;
}

Position Windows::last_end() const {
  Position last;
  for (const auto& [name, window] : tables_) {
    if (compare_in_log(window.end, last) > 0) last = window.end;
  }
  return last;
}

void Windows::extend(const TableName& source, const Position& end) {
  const auto found = tables_.find(source);
  if (found != tables_.end() && compare_in_log(end, found->second.end) > 0) found->second.end = end;
}

uint32_t Windows::round(const TableName& source) const {
  const auto found = tables_.find(source);
  return found == tables_.end() ? 0 : found->second.round;
}

}  // namespace sluice::agents::incr_sync
