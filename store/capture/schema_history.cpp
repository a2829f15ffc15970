#include "store/capture/schema_history.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/positions.hpp"
#include "store/ddl_scope.hpp"

namespace sluice::store {
namespace {

// Reads statements only, up to a position.
class DdlLook final : public mysql::BinlogHandler {
 public:
  using Found = std::function<void(const Position& end, const std::string& gtid, const mysql::DdlStatement&)>;
  DdlLook(Position to, Found found) : to_(std::move(to)), found_(std::move(found)) {}
  bool done() const { return done_; }

  Status on_begin(const Begin& begin) override {
    gtid_ = std::string(begin.gtid);
    statements_.clear();
    return {};
  }
  Status on_row(const SchemaPtr&, uint64_t, RowOp, uint16_t, std::span<const ValueView>,
                std::span<const ValueView>) override {
    return {};
  }
  Status on_ddl(const Ddl& ddl) override {
    auto statement = mysql::parse_ddl(ddl.sql, ddl.database, ddl.sql_mode);
    statements_.push_back(statement.ok() ? std::move(statement).value() : mysql::DdlStatement());
    return {};
  }
  Status on_unreadable_ddl(const Ddl& ddl, const Error&) override { return on_ddl(ddl); }
  Status on_commit(const Commit& commit) override {
    if (compare_in_log(commit.position(), to_) > 0) return stop();
    for (auto& statement : statements_) found_(commit.position(), gtid_, statement);
    statements_.clear();
    return compare_in_log(commit.position(), to_) >= 0 ? stop() : Status();
  }
  Status on_rollback() override { return statements_.clear(), Status(); }
  Status on_heartbeat(const Position& position) override {
    return compare_in_log(position, to_) >= 0 ? stop() : Status();
  }
  Status on_idle() override { return {}; }
  bool wants(std::string_view, std::string_view) override { return false; }

 private:
  Status stop() {
    done_ = true;
    return Error(ErrorCode::CANCELLED, "looked far enough");
  }
  const Position to_;
  const Found found_;
  bool done_ = false;
  std::string gtid_;
  std::vector<mysql::DdlStatement> statements_;
};

class NoSchemas final : public mysql::SchemaSource {
  Result<SchemaPtr> table(const TableName& name) override {
    return Error(ErrorCode::NOT_FOUND, "no rows are read here", name.to_string());
  }
};

}  // namespace

SchemaHistory::SchemaHistory(const Endpoint& source, const TableMapping& scope, std::shared_ptr<mysql::Stopper> stopper)
    : source_(source), scope_(scope), stopper_(std::move(stopper)) {}
SchemaHistory::~SchemaHistory() = default;

void SchemaHistory::seed(const SchemaPtr& schema) { tables_[{schema->database, schema->name}] = schema; }

void SchemaHistory::at(const Position& position, const std::string& open_gtid) {
  at_ = position;
  open_gtid_ = open_gtid;
}

Status SchemaHistory::connect() {
  if (connection_ && connection_->alive()) return {};
  mysql::ConnectOptions options;
  options.purpose = mysql::Purpose::kCatalog;
  options.application = "sluice store";
  SLUICE_ASSIGN(connection_, mysql::Connection::open(source_, options));
  watch_.emplace(*stopper_, *connection_);
  return {};
}

// Looks through the log from where that ended last, or from where reading stands, to the source's end.
Status SchemaHistory::look_ahead() {
  SLUICE_ASSIGN(auto end, mysql::end_position(*connection_));
  Position from = compare_in_log(looked_to_, at_) < 0 ? at_ : looked_to_;
  std::erase_if(ahead_, [&](const Ahead& one) { return compare_in_log(one.end, at_) <= 0; });
  if (compare_in_log(from, end) >= 0) return {};
  DdlLook look(end, [&](const Position& position, const std::string& gtid, const mysql::DdlStatement& statement) {
    if (ddl_in_scope(statement, scope_)) ahead_.push_back({position, gtid, statement});
  });
  NoSchemas none;
  mysql::BinlogOptions options;
  options.server_id = mysql::random_server_id();
  options.heartbeat_period = std::chrono::milliseconds(100);
  options.pass_unknown_branches = true;
  options.stopper = stopper_;
  SLUICE_ASSIGN(auto reader, mysql::BinlogReader::open(source_, from, options, none));
  auto status = reader->read(look);
  if (!look.done()) return status;
  looked_to_ = end;
  return {};
}

Result<bool> SchemaHistory::changes_ahead(const TableName& name) const {
  for (auto& one : ahead_)
    if (compare_in_log(one.end, at_) > 0 && (one.gtid.empty() || one.gtid != open_gtid_) &&
        covers(tables_changed_by(one.statement), name))
      return true;
  return false;
}

Result<bool> SchemaHistory::read_scope(const Position& start) {
  tables_.clear();
  ahead_.clear();
  looked_to_ = {};
  at(start, {});
  SLUICE_TRY(read_rest_of_scope({}));
  return ahead_.empty();
}

// Reads every table of the scope that is not known yet, at most once: thousands of tables in a few queries.
Status SchemaHistory::read_rest_of_scope(const TableName& name) {
  SLUICE_TRY(connect());
  std::vector<TableName> missing;
  if (scope_read_) {
    missing.push_back(name);
  } else {
    SLUICE_ASSIGN(auto listed, mysql::list_tables(*connection_, scope_));
    for (auto& table : listed)
      if (table.type != "VIEW" && !tables_.contains(table.name)) missing.push_back(table.name);
  }
  SLUICE_ASSIGN(auto read, mysql::read_tables(*connection_, missing));
  SLUICE_TRY(look_ahead());
  for (auto& [table, schema] : read) {
    SLUICE_ASSIGN(bool changed, changes_ahead(table));
    if (!changed) tables_[table] = std::make_shared<const TableSchema>(std::move(schema));
  }
  scope_read_ = true;
  return {};
}

Result<SchemaPtr> SchemaHistory::table(const TableName& name) {
  auto known = tables_.find(name);
  if (known != tables_.end()) return known->second;
  SLUICE_ASSIGN(bool changed, changes_ahead(name));
  if (!changed) {
    auto status = read_rest_of_scope(name);
    if (!status.ok()) {
      watch_.reset();
      connection_.reset();
      return status.error();
    }
    known = tables_.find(name);
    if (known != tables_.end()) return known->second;
  }
  log::info("store.capture", "the log's own metadata describes the table", {{"table", name.to_string()}});
  return Error(ErrorCode::NOT_FOUND, "the catalog's definition is newer than the log, or the table is gone",
               name.to_string(), at_.to_string());
}

std::vector<KeptRow> SchemaHistory::forget(const mysql::DdlStatement& statement, const Ddl& ddl) {
  auto changed = tables_changed_by(statement);
  std::erase_if(tables_, [&](const auto& entry) {
    bool gone = covers(changed, entry.first);
    if (gone) types_.know(*entry.second);
    return gone;
  });
  return types_.apply(statement, ddl);
}

}  // namespace sluice::store
