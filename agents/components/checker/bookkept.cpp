#include "agents/components/checker/bookkept.hpp"

#include <algorithm>

namespace sluice::agents::checker {
namespace {

// Rows of this table that were left as they were since the first look.
Status add_conflicts(Sides& sides, const TablePair& pair, const Bookkept& before, const Bookkept& now,
                     Pending& pending) {
  for (size_t i = std::min(before.conflicts.size(), now.conflicts.size()); i < now.conflicts.size(); ++i) {
    const auto& conflict = now.conflicts[i];
    if (conflict.table != pair.source_name) continue;
    if (pair.target_missing || !pair.by_key || conflict.key.empty()) {
      pending.whole = pending.changed = true;
      return {};
    }
    SLUICE_TRY(add_keys_where(sides, pair, conflict.key, pending.keys));
  }
  return {};
}

}  // namespace

Result<Bookkept> read_bookkept(const ComponentContext& context, const SideEndpoints& endpoints) {
  const auto& spec = context.spec();
  const database::Owner owner{spec.project_id(), spec.component_id(), spec.epoch(), spec.meta_database()};
  SLUICE_ASSIGN(const auto target, mysql::Connection::open(endpoints.target, {.application = "sluice checker"}));
  Bookkept found;
  auto tables = database::read_tables(*target, owner);
  if (!tables.ok() && tables.error().code() == ErrorCode::NOT_FOUND) return found;
  if (!tables.ok()) return tables.error();
  for (const auto& table : *tables) {
    const bool copied = table.state == database::TableState::kCopied;
    found.copies[table.source] = table.round * 2ULL + (copied ? 1 : 0);
  }
  SLUICE_ASSIGN(const auto totals, database::read_conflict_totals(*target, owner));
  SLUICE_ASSIGN(found.conflicts, database::read_conflicts(*target, owner));
  found.conflicts_total = totals.total;
  return found;
}

std::vector<uint64_t> copies_of(const Bookkept& bookkept, const std::vector<TablePair>& pairs) {
  std::vector<uint64_t> copies;
  for (const auto& pair : pairs) {
    const auto found = bookkept.copies.find(pair.source_name);
    copies.push_back(found == bookkept.copies.end() ? 0 : found->second);
  }
  return copies;
}

Result<PendingTables> voided(const SideEndpoints& endpoints, const std::vector<TablePair>& pairs,
                             const Bookkept& before, const Bookkept& now) {
  const auto old_copies = copies_of(before, pairs), new_copies = copies_of(now, pairs);
  const uint64_t unseen = now.conflicts_total - std::min(now.conflicts_total, before.conflicts_total);
  const size_t seen = now.conflicts.size() - std::min(now.conflicts.size(), before.conflicts.size());
  PendingTables pending;
  if (old_copies == new_copies && unseen == 0) return pending;
  SLUICE_ASSIGN(auto sides, open_sides(endpoints));
  for (size_t table = 0; table < pairs.size(); ++table) {
    Pending open;
    // More conflicts than rows of them are kept: any table may have them.
    if (old_copies[table] != new_copies[table] || seen < unseen) {
      open.whole = open.changed = true;
    } else {
      const auto status = add_conflicts(sides, pairs[table], before, now, open);
      if (!status.ok() && !is_about_table(status.error())) return status.error();
      if (!status.ok()) open = Pending{.whole = true, .changed = true};
    }
    if (!open.empty()) pending.emplace(table, std::move(open));
  }
  return pending;
}

}  // namespace sluice::agents::checker
