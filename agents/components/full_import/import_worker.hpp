// ImportWorker: does the jobs of the planner, one at a time, with connections of its own. Blocks; used by one detached
// actor. Retryable errors are retried here, with back-off, up to about a minute.
#pragma once

#include "agents/components/full_import/import_job.hpp"
#include "agents/components/full_import/import_session.hpp"

namespace sluice::agents::full_import {

class ImportWorker {
 public:
  ImportWorker(const ImportSettings& settings, ImportShared& shared)
      : settings_(settings), shared_(shared), session_(settings) {}

  ImportOutcome run(const ImportJobPtr& job);

 private:
  Result<ImportOutcome> attempt(const ImportJobPtr& job);
  Result<ImportOutcome> plan(const ImportJobPtr& job);
  Result<ImportOutcome> load(const ImportJobPtr& job);
  Result<ImportOutcome> close(const ImportJobPtr& job);
  bool wait(std::chrono::milliseconds time) const;  // false: a stop is desired

  const ImportSettings& settings_;
  ImportShared& shared_;
  ImportSession session_;
};

// The source's definition and its id of the table; empty when the table does not exist.
struct SourceTable {
  SchemaPtr definition;
  std::string id;
};
Result<std::optional<SourceTable>> read_source_table(ImportSession& session, const TableName& name);
// Whether what was read at A still holds.
Result<bool> unchanged(ImportSession& session, const OpenTable& open);

// Opening a table (import_opening.cpp): resumes a round, begins one, or copies a table without a key.
Result<ImportOutcome> open_table(const ImportJobPtr& job, const ImportSettings& settings, ImportShared& shared,
                                 ImportSession& session);
database::LoadLimits load_limits(const ImportSession& session, ImportShared& shared, const TableName& source,
                                 std::chrono::duration<double>& waited);

}  // namespace sluice::agents::full_import
