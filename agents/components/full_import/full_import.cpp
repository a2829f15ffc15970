#include "agents/components/full_import/full_import.hpp"

#include <set>

#include "agents/components/full_import/import_actor.hpp"
#include "core/log.hpp"
#include "core/worker_limits.hpp"
#include "engines/mysql/catalog.hpp"

namespace sluice::agents {
namespace full_import {
namespace {

constexpr std::string_view kLog = "full_import";
constexpr size_t kDefaultWorkers = 4;
constexpr uint64_t kDefaultMemory = 512ULL << 20, kMinQueue = 8ULL << 20;

Result<ImportSettings> settings_of(const cluster::v1::ComponentSpec& spec, std::shared_ptr<Lease> lease) {
  ImportSettings settings;
  settings.source = net::from_proto(spec.source());
  settings.target = net::from_proto(spec.target());
  SLUICE_ASSIGN(settings.mapping, net::mapping_of(spec));
  settings.owner = {spec.project_id(), spec.component_id(), spec.epoch(), settings.mapping.meta_database()};
  settings.lease = std::move(lease);
  settings.allow_not_empty = spec.allow_not_empty();
  settings.truncate_target = spec.truncate_target();
  const size_t wanted = std::max(spec.readers(), spec.writers());
  settings.workers = std::min<size_t>(wanted == 0 ? kDefaultWorkers : wanted, kImportWorkersMax);
  const uint64_t memory = spec.memory_bytes() == 0 ? kDefaultMemory : spec.memory_bytes();
  settings.queue_bytes = std::max(memory / 4, kMinQueue);
  return settings;
}

// Tables that Struct-Transfer made, or that were being copied, and that the source has no more: each gets its end, or
// whoever follows the log would wait for their copies for ever.
Status add_unlisted(const ImportSettings& settings, std::vector<PlannedTable>& tables) {
  SLUICE_ASSIGN(auto target, mysql::Connection::open(settings.target, {}));
  SLUICE_ASSIGN(const auto rows, database::read_tables(*target, settings.owner));
  std::set<TableName> listed;
  for (const auto& table : tables) listed.insert(table.source);
  for (const auto& row : rows)
    if (row.state != database::TableState::kCopied && !listed.contains(row.source))
      tables.push_back({row.source, row.target, 0});
  return {};
}

// The tables of the source in scope, or those that the specification names, with estimates where the source has them.
Result<std::vector<PlannedTable>> tables_of(const ImportSettings& settings, const cluster::v1::ComponentSpec& spec) {
  mysql::ConnectOptions options;
  options.purpose = mysql::Purpose::kCatalog;
  options.application = "sluice full-import";
  SLUICE_ASSIGN(auto source, mysql::Connection::open(settings.source, options));
  SLUICE_ASSIGN(const auto infos, mysql::list_tables(*source, settings.mapping));
  std::map<TableName, uint64_t> estimates;
  std::vector<PlannedTable> tables;
  for (const auto& info : infos) {
    if (!info.is_table()) continue;
    estimates[info.name] = info.rows_estimated;
    if (spec.tables_size() > 0) continue;
    if (info.type != "BASE TABLE")
      return Error(ErrorCode::UNSUPPORTED, "a table of type " + info.type + " cannot be copied exactly; exclude it",
                   info.name.to_string());
    tables.push_back({info.name, settings.mapping.target_of(info.name), info.rows_estimated});
  }
  for (const auto& named : spec.tables()) {
    const TableName name = net::from_proto(named);
    tables.push_back({name, settings.mapping.target_of(name), estimates[name]});
  }
  if (spec.tables_size() == 0) SLUICE_TRY(add_unlisted(settings, tables));
  return tables;
}

// What bookkeeping a full import without Struct-Transfer needs, and the sole right to write.
Status take_the_target(const ImportSettings& settings) {
  mysql::ConnectOptions options;
  options.application = "sluice full-import";
  SLUICE_TRY(settings.lease->check());
  {
    SLUICE_ASSIGN(auto connection, mysql::Connection::open(settings.target, options));
    SLUICE_TRY(database::create_bookkeeping(*connection, settings.owner.meta_database));
  }
  SLUICE_TRY(settings.lease->check());
  return database::take_over(settings.target, settings.owner);
}

// Rows that exist already on the target and were kept, by table: one warning for each when its copy ends. Each row is
// a conflict in the bookkeeping.
class KeptRows {
 public:
  void add(const ImportOutcome& outcome) {
    if (outcome.duplicates == 0) return;
    Kept& kept = tables_[outcome.job->source];
    kept.rows += outcome.duplicates;
    if (kept.first.empty() && !outcome.conflicts.empty()) kept.first = outcome.conflicts.front();
    for (const auto& conflict : outcome.conflicts)
      log::warn(kLog, "row kept", {{"table", outcome.job->source.to_string()}, {"conflict", conflict}});
  }
  std::optional<std::string> warning_of(const TableName& table) const {
    const auto found = tables_.find(table);
    if (found == tables_.end()) return std::nullopt;
    return table.to_string() + ": " + std::to_string(found->second.rows) +
           " rows exist already on the target and were kept (conflicts in the bookkeeping); the first: " +
           found->second.first;
  }

 private:
  struct Kept {
    uint64_t rows = 0;
    std::string first;
  };
  std::map<TableName, Kept> tables_;
};

void note(const ImportOutcome& outcome, ImportProgress& progress, KeptRows& kept) {
  const TableName& table = outcome.job->source;
  kept.add(outcome);
  if (outcome.needs_copy) progress.set_state(table, "NEEDS_COPY", false);
  if (outcome.error) progress.set_state(table, "FAILED", false);
  if (!outcome.closed) return;
  progress.set_state(table, "COPIED", true);
  if (const auto text = kept.warning_of(table)) progress.warn(*text);
}

Status run(ComponentContext& context) {
  SLUICE_ASSIGN(const ImportSettings settings, settings_of(context.spec(), context.lease()));
  ImportShared shared(settings.queue_bytes);
  SLUICE_TRY(take_the_target(settings));
  SLUICE_ASSIGN(auto tables, tables_of(settings, context.spec()));
  for (const auto& table : tables) shared.progress.add_table(table.source, table.target, table.rows_estimated);
  log::info(kLog, "starts",
            {{"tables", tables.size()}, {"workers", settings.workers}, {"epoch", settings.owner.epoch}});
  ImportPlan plan(std::move(tables), settings.workers);
  ImportRun actors{plan};
  actors.workers = settings.workers;
  actors.make_worker = [&] { return std::make_unique<ImportWorker>(settings, shared); };
  KeptRows kept;
  actors.on_outcome = [&](const ImportOutcome& outcome) { note(outcome, shared.progress, kept); };
  actors.tick = [&] {
    shared.throttle.set_rate(throttle_of(context.desired(), context.spec()));
    shared.progress.publish(context);
    return context.desired().stop();
  };
  actors.give_up = [&] { shared.stop = true; };
  actors.tick();
  run_import_actors(actors);
  shared.progress.publish(context);
  if (plan.error()) return *plan.error();
  if (!plan.complete()) {
    log::info(kLog, "stopped as desired");
    return {};
  }
  context.update([&](cluster::v1::ComponentStatus& status) {
    *status.mutable_full_import()->mutable_window_end() = net::to_proto(plan.window_end());
  });
  log::info(kLog, "finished", {{"window_end", plan.window_end().to_string()}});
  return {};
}

}  // namespace
}  // namespace full_import

Status run_full_import(ComponentContext& context) { return full_import::run(context); }

}  // namespace sluice::agents
