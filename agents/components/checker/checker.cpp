#include "agents/components/checker/checker.hpp"

#include <algorithm>

#include "agents/components/checker/bookkept.hpp"
#include "agents/components/checker/first_pass_actor.hpp"
#include "agents/components/checker/patience.hpp"
#include "agents/components/checker/settle.hpp"
#include "core/log.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents {
namespace {

using checker::patiently;
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
      if (verdict.rows > table.rows()) {
        status.set_rows(status.rows() + verdict.rows - table.rows());
        table.set_rows(verdict.rows);
      }
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

// One verification. The tables' verdicts and what to say about them.
struct Verification {
  std::map<size_t, Verdict> verdicts;
  std::vector<std::string> warnings;
  bool again = false;  // what it reported of a table is void, for the table was copied again
};

class Verifier {
 public:
  explicit Verifier(ComponentContext& context) : context_(context) {
    const auto& spec = context.spec();
    endpoints_ = {net::from_proto(spec.source()), net::from_proto(spec.target()), context.lease(),
                  spec.with_incremental()};
    const auto ended = [&context] { return context.desired().stop() || !context.lease()->check().ok(); };
    endpoints_.source_watch =
        std::make_shared<mysql::ServerWatch>(endpoints_.source, ended, mysql::ServerWatch::Times{});
    endpoints_.target_watch =
        std::make_shared<mysql::ServerWatch>(endpoints_.target, ended, mysql::ServerWatch::Times{});
  }

  Status run() {
    constexpr int kRoundsMax = 3;
    for (int round = 1;; ++round) {
      SLUICE_ASSIGN(auto report, checker::DifferenceReport::create(context_.boot().data_dir()));
      SLUICE_ASSIGN(auto result, verify(report, round == kRoundsMax));
      if (result.again) continue;
      SLUICE_TRY(report.finish());
      for (const auto& pair : *pairs_) add_virtual_columns(pair, result.warnings);
      show_result(context_, result.verdicts, result.warnings, report);
      return {};
    }
  }

 private:
  static void add_virtual_columns(const TablePair& pair, std::vector<std::string>& warnings) {
    if (pair.virtual_columns.empty()) return;
    std::string names;
    for (const auto& name : pair.virtual_columns) names += (names.empty() ? "" : ", ") + name;
    warnings.push_back("virtual columns are computed when they are read and are not compared: " +
                       pair.source_name.to_string() + " (" + names + ")");
  }

  Result<Verification> verify(checker::DifferenceReport& report, bool last) {
    SLUICE_ASSIGN(auto bookkept, look());  // before the definitions
    SLUICE_ASSIGN(pairs_, patiently(context_, "definitions", [&] { return read_tables(context_, endpoints_); }));
    show_tables(context_, *pairs_);
    SLUICE_ASSIGN(auto journal,
                  checker::CheckJournal::open(context_.boot().data_dir(), *pairs_, copies_of(bookkept, *pairs_)));
    checker::FirstPass pass{.pairs = pairs_, .endpoints = endpoints_, .journal = &journal};
    pass.comparers = context_.spec().readers() == 0 ? kComparers : context_.spec().readers();
    SLUICE_ASSIGN(auto pending, checker::run_first_pass(context_, pass));
    Verification result;
    SLUICE_TRY(settle(std::move(pending), true, report, result));
    SLUICE_TRY(settle_voided(std::move(bookkept), last, report, result));
    journal.remove();  // what is verified again is looked at again
    return result;
  }

  Result<checker::Bookkept> look() {
    return patiently(context_, "bookkeeping", [&] { return checker::read_bookkept(context_, endpoints_); });
  }

  Status settle(checker::PendingTables pending, bool first, checker::DifferenceReport& report, Verification& result) {
    const auto& spec = context_.spec();
    checker::Settler settler(context_, pairs_, endpoints_,
                             {.with_incremental = spec.with_incremental(),
                              .missing_objects = first,
                              .memory_bytes = spec.memory_bytes() == 0 ? kMemoryBytes : spec.memory_bytes()},
                             std::move(pending), report);
    SLUICE_TRY(settler.run());
    for (const auto& [table, verdict] : settler.verdicts()) {
      Verdict& merged = result.verdicts[table];
      merged.differences += verdict.differences;
      merged.unsettled = merged.unsettled || verdict.unsettled;
      merged.skipped = merged.skipped || verdict.skipped;
      merged.rows = std::max(merged.rows, verdict.rows);
    }
    result.warnings.insert(result.warnings.end(), settler.warnings().begin(), settler.warnings().end());
    return {};
  }

  // A table that was copied again after it was compared is compared again, and so are rows that conflicts left alone.
  Status settle_voided(checker::Bookkept before, bool last, checker::DifferenceReport& report, Verification& result) {
    constexpr int kRoundsMax = 5;
    for (int round = 1;; ++round) {
      SLUICE_ASSIGN(auto now, look());
      SLUICE_ASSIGN(auto pending, patiently(context_, "what was copied again",
                                            [&] { return checker::voided(endpoints_, *pairs_, before, now); }));
      if (pending.empty()) return {};
      const bool reported = std::any_of(pending.begin(), pending.end(), [&](const auto& entry) {
        return result.verdicts.count(entry.first) > 0 && result.verdicts.at(entry.first).differences > 0;
      });
      log::info("checker", "tables were copied again, or rows left as they were", {{"tables", pending.size()}});
      if (reported && !last) {
        result.again = true;
        return {};
      }
      if (reported || round == kRoundsMax) {
        for (const auto& [table, open] : pending) result.verdicts[table].unsettled = true;
        return {};
      }
      for (const auto& [table, open] : pending) result.verdicts.erase(table);
      SLUICE_TRY(settle(std::move(pending), false, report, result));
      before = std::move(now);
    }
  }

  ComponentContext& context_;
  checker::SideEndpoints endpoints_;
  TablePairs pairs_;
};

}  // namespace

Status run_checker(ComponentContext& context) { return Verifier(context).run(); }

}  // namespace sluice::agents
