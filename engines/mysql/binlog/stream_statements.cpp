// QUERY events: the borders of transactions, XA, DDL, and data changes that must not be there.
#include <algorithm>

#include "engines/mysql/binlog/bytes.hpp"
#include "engines/mysql/binlog/inflate.hpp"
#include "engines/mysql/binlog/stream.hpp"
#include "engines/mysql/dialect/fold.hpp"

namespace sluice::mysql {

namespace {
constexpr uint32_t kNoForeignKeyChecks = 1U << 26;  // OPTION_NO_FOREIGN_KEY_CHECKS in flags2
constexpr size_t kShownText = 120;

std::string savepoint_name(std::string_view sql) {  // the last word, however it is quoted
  while (!sql.empty() && (sql.back() == ' ' || sql.back() == ';')) sql.remove_suffix(1);
  char quote = sql.empty() ? ' ' : sql.back();
  if (quote != '`' && quote != '"') quote = ' ';
  if (quote != ' ') sql.remove_suffix(1);
  size_t begin = sql.rfind(quote);
  return std::string(begin == std::string_view::npos ? sql : sql.substr(begin + 1));
}

// MySQL's CREATE TABLE … SELECT is logged with a clause that only a replica's own applier understands.
std::string_view without_start_transaction(std::string_view sql) {
  constexpr std::string_view kClause = " START TRANSACTION";
  return sql.ends_with(kClause) ? sql.substr(0, sql.size() - kClause.size()) : sql;
}

bool one_phase(std::string_view sql) {
  std::string upper(sql);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
  return upper.find("ONE PHASE") != std::string::npos;
}
}  // namespace

Status EventStream::query(const EventHeader& header, std::string_view body, bool compressed) {
  SLUICE_ASSIGN(Query query, parse_query(body));
  if (compressed) {
    SLUICE_TRY(inflate_mariadb(query.sql, &sql_text_));
    query.sql = sql_text_;
  }
  return statement(header, query);
}

Status EventStream::statement(const EventHeader& header, const Query& query) {
  switch (statement_kind(query.sql)) {
    case StatementKind::kBegin:
    case StatementKind::kXaStart: {
      if (!group_.open) SLUICE_TRY(open_group(header, {}));
      group_.bracketed = true;
      if (statement_kind(query.sql) == StatementKind::kXaStart && !group_.xa) {
        group_.xa = true;
        xa_.start();
      }
      return {};
    }
    case StatementKind::kCommit:
      return commit(header);
    case StatementKind::kRollback:
      return rollback();
    case StatementKind::kSavepoint:
      group_.savepoints.emplace_back(savepoint_name(query.sql), group_.rows);
      return {};
    case StatementKind::kRollbackTo:
      return roll_back_to(query.sql);
    case StatementKind::kReleaseSavepoint:
    case StatementKind::kXaEnd:
    case StatementKind::kXaPrepare:
      return {};
    case StatementKind::kXaCommit:
      return xa_commit(header, query.sql);
    case StatementKind::kXaRollback:
      return xa_rollback(header, query.sql);
    case StatementKind::kDataChange:
      return passed_over() ? Status() : Status(statement_in_log(query.sql));
    case StatementKind::kDdl:
      return ddl(header, query);
  }
  return {};
}

Error EventStream::statement_in_log(std::string_view sql) const {
  std::string text(skip_comments(sql).substr(0, kShownText));
  return Error(ErrorCode::STATEMENT_IN_LOG, "a statement that begins with: " + text);
}

// What a transaction undid is normally not in its log. It is when the transaction could not be cut back on the source
// (temporary tables or other engines in it): the rows are already with the handler, or in an XA branch, and the log
// does not tell which of them the source kept.
Status EventStream::roll_back_to(std::string_view sql) {
  std::string name = savepoint_name(sql);
  uint64_t rows_before = 0;
  for (const auto& [savepoint, rows] : group_.savepoints) {
    if (savepoint == name) rows_before = rows;
  }
  if (rows_before == group_.rows) return {};
  return Error(ErrorCode::UNSUPPORTED,
               "a transaction that logged changes and then rolled them back to savepoint " + name);
}

Status EventStream::ddl(const EventHeader& header, const Query& query) {
  if (!group_.open) SLUICE_TRY(open_group(header, {}));
  if (group_.xa) return invalid_event("DDL inside an XA transaction");
  uint8_t phase = group_.alter_phase | query.alter_phase;
  bool applies = (phase & (kStartAlter | kRollbackAlter)) == 0 && !settings_.branches_only;
  if (applies) SLUICE_TRY(deliver_ddl(header, query));
  return group_.bracketed ? Status() : commit(header);
}

Status EventStream::deliver_ddl(const EventHeader& header, const Query& query) {
  auto collation = [this](uint32_t id) { return id == 0 ? nullptr : collations_.find(id); };
  const Collation* client = query.has_charset ? collation(query.client_charset) : nullptr;
  std::string charset = client != nullptr ? client->charset : "";
  if (query.has_charset && client == nullptr) charset = "number " + std::to_string(query.client_charset);
  std::string_view sql = without_start_transaction(query.sql);
  auto exact = to_utf8(charset, sql);
  std::string text = exact.ok() ? std::move(exact).value() : to_utf8_leniently(charset, sql);
  std::string database(query.database);
  if (settings_.folds_names) {
    text = fold_names(text, database, query.sql_mode);
    database = fold_name(database);
  }
  Ddl ddl;
  ddl.database = database;
  ddl.sql = text;
  ddl.sql_mode = query.sql_mode;
  ddl.timestamp_us = int64_t{header.timestamp} * 1'000'000 + query.microseconds;
  if (client != nullptr) ddl.character_set_client = client->charset;
  if (const Collation* c = query.has_charset ? collation(query.collation_connection) : nullptr)
    ddl.collation_connection = c->name;
  if (const Collation* c = query.has_charset ? collation(query.collation_server) : nullptr)
    ddl.collation_server = c->name;
  if (const Collation* c = collation(query.default_collation_utf8mb4)) ddl.default_collation_utf8mb4 = c->name;
  ddl.time_zone = query.time_zone.empty()       ? std::string_view(settings_.default_time_zone)
                  : query.time_zone == "SYSTEM" ? std::string_view(settings_.system_time_zone)
                                                : query.time_zone;
  ddl.foreign_key_checks = query.has_flags2 && (query.flags2 & kNoForeignKeyChecks) != 0 ? 0 : 1;
  ddl.explicit_defaults_for_timestamp = query.explicit_defaults;
  SLUICE_TRY(begin_delivery());
  return exact.ok() ? handler_->on_ddl(ddl) : handler_->on_unreadable_ddl(ddl, exact.error());
}

Status EventStream::xa_prepare(const EventHeader& header, std::string_view body) {
  SLUICE_ASSIGN(XaPrepare prepare, parse_xa_prepare(body));
  if (!group_.open || !group_.xa) return invalid_event("XA PREPARE outside an XA transaction");
  if (prepare.one_phase) return commit(header);
  group_.xa = false;
  SLUICE_TRY(commit(header));  // of the group; the branch waits
  // The same identity again: the older one cannot be open any more.
  if (XaBranchPtr older = xa_.take(prepare.xid)) SLUICE_TRY(end_branch(*older));
  return handler_->on_prepared(xa_.prepare(std::move(prepare.xid), position()));
}

Status EventStream::end_branch(const XaBranch& branch) { return handler_->on_branch_end(branch, {file_, offset_, {}}); }

Status EventStream::xa_commit(const EventHeader& header, std::string_view sql) {
  if (!group_.open) SLUICE_TRY(open_group(header, {}));
  if (group_.xa && one_phase(sql)) return commit(header);
  SLUICE_ASSIGN(XaBranchPtr branch, branch_to_commit(sql));
  if (branch) {
    SLUICE_TRY(deliver_branch(*branch));
    SLUICE_TRY(end_branch(*branch));
  }
  return commit(header);
}

Result<XaBranchPtr> EventStream::branch_to_commit(std::string_view sql) {
  std::string xid = xid_from_sql(sql);
  XaBranchPtr branch = xa_.take(xid);
  if (branch || settings_.pass_unknown_branches || settings_.branches_only) return branch;
  if (settings_.find_branch) {
    SLUICE_ASSIGN(branch, settings_.find_branch(xid, {file_, settled_, gtids_}));
    // A reader that has to start again finds it at its handler.
    if (branch) SLUICE_TRY(handler_->on_prepared(branch));
  }
  if (branch) return branch;
  return Error(ErrorCode::POSITION_LOST, std::string(skip_comments(sql).substr(0, kShownText)) +
                                             " was prepared before the position where reading began, and the source's "
                                             "log no longer holds its XA PREPARE");
}

Status EventStream::xa_rollback(const EventHeader& header, std::string_view sql) {
  if (!group_.open) SLUICE_TRY(open_group(header, {}));
  if (XaBranchPtr branch = xa_.take(xid_from_sql(sql))) SLUICE_TRY(end_branch(*branch));
  return rollback();
}

Status EventStream::deliver_branch(const XaBranch& branch) {
  for (const XaRow& row : branch.rows) {
    SLUICE_TRY(begin_delivery());
    size_t columns = row.schema->columns.size();
    before_.resize(columns), after_.resize(columns);
    std::span<ValueView> before, after;
    if (row.op != RowOp::kInsert) {
      before = before_;
      SLUICE_TRY(RowView(row.before).decode(*row.schema, before));
    }
    if (row.op != RowOp::kDelete) {
      after = after_;
      SLUICE_TRY(RowView(row.after).decode(*row.schema, after));
    }
    ++group_.rows;
    SLUICE_TRY(handler_->on_row(row.schema, row.schema_id, row.op, row.flags, before, after));
  }
  return {};
}

}  // namespace sluice::mysql
