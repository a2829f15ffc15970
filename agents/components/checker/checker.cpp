#include "agents/components/checker/checker.hpp"

#include <algorithm>
#include <cstdlib>

#include "agents/components/checker/first_pass_actor.hpp"
#include "agents/components/checker/settle.hpp"
#include "core/log.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents {
namespace {

using checker::TablePair;
using checker::TablePairs;
using checker::Verdict;

constexpr uint32_t kComparers = 4;
constexpr uint64_t kMemoryBytes = 512ULL << 20;

Result<TablePairs> read_tables(const ComponentContext& context, const checker::SideEndpoints& endpoints) {
  SLUICE_TRY(endpoints.lease->check());
  const mysql::ConnectOptions options{.purpose = mysql::Purpose::kCatalog, .application = "sluice checker"};
  SLUICE_ASSIGN(const auto mapping, net::mapping_of(context.spec()));
  SLUICE_ASSIGN(const auto source, mysql::Connection::open(endpoints.source, options));
  SLUICE_ASSIGN(const auto target, mysql::Connection::open(endpoints.target, options));
  return checker::read_pairs(*source, *target, mapping);
}

void show_tables(ComponentContext& context, const std::vector<TablePair>& pairs) {
  context.update([&](cluster::v1::ComponentStatus& status) {
    status.set_state(cluster::v1::RUNNING);
    status.clear_tables();
    uint64_t rows = 0;
    for (const auto& pair : pairs) {
      auto& table = *status.add_tables();
      table.set_source(pair.source_name.to_string());
      table.set_target(pair.target_name.to_string());
      table.set_rows_estimated(pair.rows_estimated);
      rows += pair.rows_estimated;
    }
    status.set_rows_estimated(rows);
    constexpr uint64_t kRowsPerChunk = 50'000;  // a guess, for the display
    status.mutable_checker()->set_chunks_total(rows / kRowsPerChunk + pairs.size());
  });
}

std::string word_of(const Verdict& verdict) {
  if (verdict.differences > 0) return "DIFFERENT";
  if (verdict.unsettled) return "UNSETTLED";
  return verdict.skipped ? "SKIPPED" : "EQUAL";
}

void show_result(ComponentContext& context, const std::map<size_t, Verdict>& verdicts,
                 const std::vector<std::string>& warnings, const checker::DifferenceReport& report) {
  context.update([&](cluster::v1::ComponentStatus& status) {
    auto& result = *status.mutable_checker();
    result.set_wish_hold(0);
    result.clear_wish_apply_to();
    result.set_chunks_total(result.chunks_done());
    uint64_t differences = 0, unsettled = 0;
    for (int i = 0; i < status.tables_size(); ++i) {
      const auto found = verdicts.find(static_cast<size_t>(i));
      const Verdict verdict = found == verdicts.end() ? Verdict{} : found->second;
      auto& table = *status.mutable_tables(i);
      table.set_verify(word_of(verdict));
      table.set_differences(verdict.differences);
      table.set_finished(true);
      differences += verdict.differences;
      unsettled += verdict.unsettled ? 1 : 0;
    }
    result.set_differences(differences);
    result.set_unsettled(unsettled);
    result.set_difference_file(report.difference_file());
    result.set_correction_file(report.correction_file());
    for (const auto& warning : warnings) status.add_warnings(warning);
  });
}

}  // namespace

Status run_checker(ComponentContext& context) {
  const auto& spec = context.spec();
  if (!spec.verify_mode().empty() && spec.verify_mode() != "full" && spec.verify_mode() != "counts") {
    return Error(ErrorCode::INVALID_ARGUMENT, "verify_mode is full or counts, not " + spec.verify_mode());
  }
  const bool counts_only = spec.verify_mode() == "counts";
  const checker::SideEndpoints endpoints{net::from_proto(spec.source()), net::from_proto(spec.target()),
                                         context.lease()};
  SLUICE_ASSIGN(const auto pairs, read_tables(context, endpoints));
  show_tables(context, *pairs);
  SLUICE_ASSIGN(auto report, checker::DifferenceReport::create(context.boot().data_dir()));

  SLUICE_ASSIGN(auto journal, checker::CheckJournal::open(context.boot().data_dir(), *pairs, counts_only));
  checker::FirstPass pass{.pairs = pairs, .endpoints = endpoints, .counts_only = counts_only, .journal = &journal};
  pass.comparers = spec.readers() == 0 ? kComparers : spec.readers();
  pass.rows_per_second = spec.throttle_rows_per_second();
  SLUICE_ASSIGN(auto pending, checker::run_first_pass(context, pass));

  checker::Settler settler(context, pairs, endpoints,
                           {.with_incremental = spec.with_incremental(),
                            .counts_only = counts_only,
                            .memory_bytes = spec.memory_bytes() == 0 ? kMemoryBytes : spec.memory_bytes()},
                           std::move(pending), report);
  SLUICE_TRY(settler.run());
  const auto& verdicts = settler.verdicts();
  SLUICE_TRY(report.finish());
  journal.remove();  // what is verified again is looked at again
  show_result(context, verdicts, settler.warnings(), report);
  return {};
}

}  // namespace sluice::agents
