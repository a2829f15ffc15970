// Opening a table: resume the round that a crash cut short, begin a new round, or copy a table without a key whole.
//
// Order of the durable steps, so that a process may die between any two of them:
//   a void round: 1. state NEEDS_COPY  2. target table emptied or created anew  3. state COPYING, next round  4. chunks
//   the first round: 1. target table found empty (or emptied)  2. state COPYING  3. chunks
// A process that finds COPYING may therefore believe the chunk rows of that round.
#include <algorithm>

#include "agents/components/full_import/import_worker.hpp"
#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/dialect/create_table.hpp"
#include "engines/mysql/positions.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::full_import {
namespace {

using database::TableRow;
using database::TableState;

constexpr std::string_view kLog = "full_import";
constexpr std::chrono::seconds kXaPatience{10};
constexpr uint64_t kKeylessCommitBytes = 32 << 20;

// A cheap look at whether a table is the one that was created from this definition.
bool same_columns(const TableSchema& a, const TableSchema& b) {
  return std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
                    [](const Column& x, const Column& y) { return x.name == y.name && x.type == y.type; });
}

// Tables that are not read chunk by chunk: in one snapshot. In engines without snapshots a table whose key is only no
// good for ranges is one chunk, which is made so in its window as any other.
bool needs_snapshot(const TableSchema& source) {
  return source.row_key() == nullptr || (source.range_key() == nullptr && source.engine == "InnoDB");
}

// One opening; lives as long as the job's attempt.
class Opening {
 public:
  Opening(const ImportJobPtr& job, const ImportSettings& settings, ImportShared& shared, ImportSession& session)
      : job_(job), settings_(settings), shared_(shared), session_(session) {
    outcome_.job = job;
  }

  Result<ImportOutcome> run() {
    SLUICE_ASSIGN(auto* target, session_.target_data());
    SLUICE_ASSIGN(stored_, database::read_table_row(*target, settings_.owner, job_->source));
    void_ = job_->new_round || (stored_ && stored_->state == TableState::kNeedsCopy);
    if (stored_ && stored_->state == TableState::kCopied && !void_) return finished(*stored_);
    if (stored_ && stored_->state == TableState::kCopying && !void_) {
      SLUICE_ASSIGN(const bool resumed, resume());
      if (resumed) return std::move(outcome_);
      void_ = true;
    }
    return begin();
  }

 private:
  // Nothing was copied into the target table as it is now: it is foreign, or Struct-Transfer has just created it.
  bool untouched() const { return !stored_ || stored_->state == TableState::kPending; }

  Result<ImportOutcome> finished(const TableRow& row) {
    shared_.progress.set_rows(job_->source, row.rows, row.bytes);
    outcome_.closed = row;
    return std::move(outcome_);
  }

  Result<SchemaPtr> target_definition() {  // nullptr when the table does not exist
    SLUICE_ASSIGN(auto* catalog, session_.target_catalog());
    auto schema = mysql::read_table(*catalog, job_->target);
    if (schema.ok()) return std::make_shared<const TableSchema>(std::move(*schema));
    if (schema.error().code() == ErrorCode::NOT_FOUND) return SchemaPtr();
    return schema.error();
  }

  Result<OpenTablePtr> open_with(SchemaPtr source, SchemaPtr target, const TableRow& row) {
    SLUICE_ASSIGN(auto* connection, session_.target_data());
    const auto on_duplicate =
        settings_.allow_not_empty ? database::OnDuplicate::kKeep : database::OnDuplicate::kReplace;
    SLUICE_ASSIGN(auto plan,
                  database::LoadPlan::create(source, std::move(target), on_duplicate, connection->version().mariadb));
    return std::make_shared<const OpenTable>(OpenTable{std::move(source), row, std::move(plan)});
  }

  // True when the round of the bookkeeping goes on: same definition, same table, same A.
  Result<bool> resume() {
    if (stored_->keyless) return false;  // one snapshot, which is gone
    SLUICE_ASSIGN(const auto source, read_source_table(session_, job_->source));
    if (!source || source->definition->encode() != stored_->definition || source->id != stored_->table_id) return false;
    SLUICE_ASSIGN(auto target, target_definition());
    if (!target) return false;
    SLUICE_ASSIGN(outcome_.open, open_with(source->definition, std::move(target), *stored_));
    SLUICE_ASSIGN(auto* connection, session_.target_data());
    SLUICE_ASSIGN(const auto rows, database::read_chunks(*connection, settings_.owner, job_->source, stored_->round));
    SLUICE_TRY(find_gaps(rows));
    shared_.progress.set_rows(job_->source, outcome_.rows, outcome_.bytes);
    shared_.progress.set_state(job_->source, "COPYING", false);
    log::info(kLog, "resumed a table",
              {{"table", job_->source.to_string()},
               {"round", stored_->round},
               {"chunks_done", rows.size()},
               {"gaps", outcome_.chunks.size()}});
    return true;
  }

  // Finished chunks are ranges in the order of their numbers. What lies between two of them was in flight: one chunk
  // each, with the first free number. Borders are compared as the texts that they are, never as keys.
  Status find_gaps(const std::vector<database::ChunkRow>& rows) {
    mysql::Chunk before;  // the end of what is covered: `upto` and `number`
    bool any = false;
    for (const auto& row : rows) {
      SLUICE_ASSIGN(mysql::Chunk chunk, mysql::Chunk::decode(row.range));
      outcome_.rows += row.rows;
      outcome_.bytes += row.bytes;
      const auto covered = any ? before.upto : std::vector<std::string>{};
      if (chunk.after != covered) {
        mysql::Chunk gap;
        gap.number = any ? before.number + 1 : 0;
        gap.after = covered;
        gap.upto = chunk.after;
        outcome_.chunks.push_back(std::move(gap));
      }
      before = std::move(chunk);
      any = true;
    }
    if (any) {
      outcome_.planned_all = before.upto.empty();
      outcome_.last = std::move(before);
    }
    return {};
  }

  Result<ImportOutcome> begin() {
    SLUICE_ASSIGN(auto* data, session_.source_data());
    TableRow row;
    row.source = job_->source;
    row.target = job_->target;
    row.round = stored_ ? stored_->round + 1 : 1;
    row.state = TableState::kCopying;
    SLUICE_ASSIGN(row.window_start, mysql::visible_position(*data, kXaPatience));  // A: before the definition is read
    SLUICE_ASSIGN(const auto source, read_source_table(session_, job_->source));
    if (!source) return vanished(std::move(row));
    row.definition = source->definition->encode();
    row.table_id = source->id;
    row.keyless = needs_snapshot(*source->definition);
    SLUICE_ASSIGN(auto target, prepare_target(*source->definition, row));
    SLUICE_ASSIGN(auto open, open_with(source->definition, target, row));
    if (row.keyless) return copy_whole(*open);
    SLUICE_ASSIGN(auto* connection, session_.target_data());
    SLUICE_TRY(database::write_table(*connection, settings_.owner, row));
    shared_.progress.set_rows(job_->source, 0, 0);
    shared_.progress.set_state(job_->source, "COPYING", false);
    outcome_.open = std::move(open);
    return std::move(outcome_);
  }

  // Before anything of a void round is removed from the target, its chunk rows must not be believed any more.
  Status persist_void() {
    if (!stored_) return {};
    TableRow row = *stored_;
    row.state = TableState::kNeedsCopy;
    SLUICE_ASSIGN(auto* connection, session_.target_data());
    shared_.progress.set_state(job_->source, "NEEDS_COPY", false);
    return database::write_table(*connection, settings_.owner, row);
  }

  // Leaves an empty (or, where allowed, a foreign) table on the target into which the definition's rows fit.
  Result<SchemaPtr> prepare_target(const TableSchema& source, TableRow& row) {
    SLUICE_ASSIGN(SchemaPtr target, target_definition());
    SLUICE_ASSIGN(auto* catalog, session_.source_catalog());
    const auto read = mysql::show_create_table(*catalog, job_->source);
    if (!read.ok() && read.error().code() == ErrorCode::NOT_FOUND)
      return Error(ErrorCode::TABLE_NEEDS_COPY, "the table was dropped just now");  // looked at again
    if (!read.ok()) return read.error();
    const std::string& shown = *read;
    const std::string text = mysql::without_counter(shown);
    // Whether the target's table is still the one that was created from this text: defaults, checks, kinds of indexes.
    const bool same = target && stored_ && stored_->created_from == text && same_columns(source, *target);
    row.created_from = settings_.allow_not_empty ? std::string() : text;
    if (settings_.allow_not_empty && stored_) row.created_from = stored_->created_from;
    if (!untouched()) {
      if (settings_.allow_not_empty)
        return Error(ErrorCode::UNSUPPORTED,
                     "the table must be copied again, and its target may hold rows of other origin");
      SLUICE_TRY(persist_void());
      // The log may have changed a table whose copy was finished; nobody has changed one that is still being copied.
      return same && stored_->state == TableState::kCopying ? truncated(std::move(target)) : created(shown);
    }
    if (!target) return created(shown);
    SLUICE_ASSIGN(const bool has_rows, target_has_rows());
    // Nothing tells which of a keyless table's rows are on both sides: they would be there twice.
    if (settings_.allow_not_empty && has_rows && source.row_key() == nullptr)
      return Error(ErrorCode::TARGET_NOT_EMPTY, "a table without a key has rows", job_->target.to_string());
    if (settings_.allow_not_empty) return target;
    if (has_rows && !settings_.truncate_target)
      return Error(ErrorCode::TARGET_NOT_EMPTY, "the table has rows", job_->target.to_string());
    // Without a row the table was not created by this project: whether rows fit is for the load plan to say.
    if (stored_ && !same) return created(shown);
    return has_rows ? truncated(std::move(target)) : target;
  }

  Result<bool> target_has_rows() {
    SLUICE_ASSIGN(auto* connection, session_.target_data());
    SLUICE_ASSIGN(const auto rows, connection->query("SELECT 1 FROM " + mysql::quote_table(job_->target) + " LIMIT 1"));
    return !rows.rows.empty();
  }

  Result<SchemaPtr> truncated(SchemaPtr target) {
    SLUICE_TRY(settings_.lease->check());
    SLUICE_ASSIGN(auto* connection, session_.target_catalog());
    SLUICE_TRY(connection->exec("TRUNCATE TABLE " + mysql::quote_table(job_->target)));
    return target;
  }

  // As Struct-Transfer does: InnoDB, all indexes, no foreign keys (they come after the last window).
  Result<SchemaPtr> created(const std::string& shown) {
    SLUICE_ASSIGN(const auto parts, mysql::split_create_table(shown, job_->source, settings_.mapping, {}));
    SLUICE_TRY(settings_.lease->check());
    SLUICE_ASSIGN(auto* connection, session_.target_catalog());
    SLUICE_TRY(connection->exec("DROP TABLE IF EXISTS " + mysql::quote_table(job_->target)));
    SLUICE_TRY(settings_.lease->check());
    SLUICE_TRY(connection->exec(parts.create));
    log::info(kLog, "created a target table anew", {{"table", job_->target.to_string()}});
    SLUICE_ASSIGN(auto target, target_definition());
    if (!target) return Error(ErrorCode::NOT_FOUND, "the table is gone after its creation", job_->target.to_string());
    return target;
  }

  // One consistent snapshot tied to its position: A and B are the same.
  Result<ImportOutcome> copy_whole(const OpenTable& prepared) {
    const TableSchema& source = *prepared.definition;
    if (source.engine != "InnoDB")
      return Error(ErrorCode::UNSUPPORTED, "a table without a key in the engine " + source.engine +
                                               " cannot be read in one snapshot; add a primary key");
    OpenTable open = prepared;
    SLUICE_ASSIGN(auto* data, session_.source_data());
    SLUICE_ASSIGN(open.row.window_start, mysql::open_snapshot(*data));
    SLUICE_ASSIGN(const bool same, unchanged(session_, open));
    SLUICE_ASSIGN(auto* connection, session_.target_data());
    SLUICE_TRY(database::write_table(*connection, settings_.owner, open.row));
    shared_.progress.set_rows(job_->source, 0, 0);
    shared_.progress.set_state(job_->source, "COPYING", false);
    outcome_.needs_copy = !same;
    if (outcome_.needs_copy) return end_snapshot(*data);
    std::chrono::duration<double> waited(0);
    auto limits = load_limits(session_, shared_, job_->source, waited);
    // Rows without a key cannot be told from others: beside rows that are not ours it is all or nothing.
    limits.commit_bytes = settings_.allow_not_empty ? 0 : kKeylessCommitBytes;
    database::ChunkRow chunk;
    chunk.table = job_->source;
    chunk.round = open.row.round;
    const auto begun = std::chrono::steady_clock::now();
    auto loaded = database::load_chunk(*data, *connection, open.plan, mysql::Chunk{}, chunk, settings_.owner,
                                       *settings_.lease, limits);
    if (!loaded.ok()) {
      if (data->alive()) (void)data->exec("ROLLBACK");
      session_.drop_dead();
      if (loaded.error().retryable() || loaded.error().code() == ErrorCode::STALE_EPOCH ||
          loaded.error().code() == ErrorCode::LEASE_EXPIRED)
        return loaded.error();
      SLUICE_ASSIGN(const bool still_same, unchanged(session_, open));
      if (still_same) return loaded.error();
      outcome_.needs_copy = true;
      return std::move(outcome_);
    }
    open.row.state = TableState::kCopied;
    open.row.window_end = open.row.window_start;
    open.row.rows = loaded->rows;
    open.row.bytes = loaded->bytes;
    open.row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    SLUICE_TRY(database::write_table(*connection, settings_.owner, open.row));
    outcome_.closed = open.row;
    outcome_.duplicates = loaded->duplicates;
    outcome_.conflicts = std::move(loaded->conflicts);
    return end_snapshot(*data);
  }

  Result<ImportOutcome> end_snapshot(mysql::Connection& data) {
    SLUICE_TRY(data.exec("COMMIT"));
    return std::move(outcome_);
  }

  // The table was dropped on the source. Absent before and after A: at A there is nothing to copy.
  Result<ImportOutcome> vanished(TableRow row) {
    SLUICE_ASSIGN(auto* data, session_.source_data());
    SLUICE_ASSIGN(row.window_start, mysql::visible_position(*data, kXaPatience));
    SLUICE_ASSIGN(const auto again, read_source_table(session_, job_->source));
    if (again) return Error(ErrorCode::TABLE_NEEDS_COPY, "the table was dropped and created just now");
    row.window_end = row.window_start;
    row.state = TableState::kCopied;
    if (!settings_.allow_not_empty) {
      SLUICE_TRY(persist_void());
      SLUICE_TRY(drop_target());
    }
    SLUICE_ASSIGN(auto* connection, session_.target_data());
    SLUICE_TRY(database::write_table(*connection, settings_.owner, row));
    shared_.progress.warn("table " + job_->source.to_string() + " was dropped on the source");
    return finished(row);
  }

  Status drop_target() {
    SLUICE_ASSIGN(const auto target, target_definition());
    if (!target) return {};
    SLUICE_ASSIGN(const bool has_rows, target_has_rows());
    if (untouched() && has_rows && !settings_.truncate_target)
      return Error(ErrorCode::TARGET_NOT_EMPTY, "the table has rows", job_->target.to_string());
    SLUICE_TRY(settings_.lease->check());
    SLUICE_ASSIGN(auto* connection, session_.target_catalog());
    SLUICE_TRY(connection->exec("DROP TABLE " + mysql::quote_table(job_->target)));
    return {};
  }

  const ImportJobPtr job_;
  const ImportSettings& settings_;
  ImportShared& shared_;
  ImportSession& session_;
  ImportOutcome outcome_;
  std::optional<TableRow> stored_;
  bool void_ = false;
};

}  // namespace

Result<ImportOutcome> open_table(const ImportJobPtr& job, const ImportSettings& settings, ImportShared& shared,
                                 ImportSession& session) {
  return Opening(job, settings, shared, session).run();
}

}  // namespace sluice::agents::full_import
