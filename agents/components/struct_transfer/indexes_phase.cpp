// Phase INDEXES: the indexes that phase TABLES has left out, added to tables that are filled, before the log is
// followed.
//
// They come from the text of which the table was created: the source may have others by now, and its changes come
// through the log. A table that was copied anew since has all of its indexes.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "agents/components/struct_transfer/session.hpp"
#include "core/log.hpp"
#include "engines/mysql/dialect/create_table.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::struct_transfer {
namespace {

using database::TableRow;

constexpr std::string_view kLog = "struct_transfer";
constexpr size_t kTablesAtOnce = 4;  // each sorts in memory and temporary files of the server
constexpr std::chrono::milliseconds kLookForStop{200};

const Key* find_key(const TableSchema& schema, const std::string& name) {
  auto found = std::find_if(schema.keys.begin(), schema.keys.end(), [&](const Key& key) { return key.name == name; });
  return found == schema.keys.end() ? nullptr : &*found;
}

std::vector<std::pair<std::string, uint32_t>> parts_of(const TableSchema& schema, const Key& key) {
  std::vector<std::pair<std::string, uint32_t>> parts;
  for (const KeyPart& part : key.parts)
    parts.emplace_back(part.column < schema.columns.size() ? schema.columns[part.column].name : std::string(),
                       part.prefix_length);
  return parts;
}

// The target must end with the source's indexes, no more and no less.
Status compare_indexes(const TableSchema& source, const TableSchema& target, const TableName& name) {
  for (const Key& key : source.keys) {
    const Key* found = find_key(target, key.name);
    if (found == nullptr || found->unique != key.unique || parts_of(source, key) != parts_of(target, *found))
      return Error(ErrorCode::UNSUPPORTED, "the target has not got the index " + key.name + " as the source has it",
                   name.to_string());
  }
  for (const Key& key : target.keys)
    if (find_key(source, key.name) == nullptr)
      return Error(ErrorCode::UNSUPPORTED, "the target has an index that the source has not: " + key.name,
                   name.to_string());
  return {};
}

// The statement that gives a table what it lacks; empty when that is nothing.
Result<std::string> missing(const Session& s, const TableRow& row, const TableSchema& target) {
  mysql::SplitOptions options;
  options.defer_indexes = true;
  SLUICE_ASSIGN(auto parts, mysql::split_create_table(row.created_from, row.source, s.mapping, options));
  std::string clauses;
  for (const mysql::IndexDefinition& index : parts.deferred_indexes)
    if (find_key(target, index.name) == nullptr) clauses += (clauses.empty() ? "ADD " : ", ADD ") + index.text;
  return clauses.empty() ? clauses : "ALTER TABLE " + mysql::quote_table(row.target) + " " + clauses;
}

// Tables whose indexes are to be added, by several threads: the server sorts the rows of one table in one thread. A
// stop interrupts the statements, which the server then takes back.
class Additions {
 public:
  explicit Additions(Session& session) : session_(session) {}

  void add(const TableRow& row, std::string statement) { tables_.push_back({&row, std::move(statement)}); }

  Status run() {
    const size_t workers = std::min(kTablesAtOnce, tables_.size());
    std::vector<std::unique_ptr<mysql::Connection>> connections(workers);
    for (auto& connection : connections) {
      SLUICE_ASSIGN(connection, session_.open_ddl());
    }
    std::vector<std::jthread> threads;
    for (const auto& connection : connections)
      threads.emplace_back([this, worker = connection.get()] { end(work(*worker)); });
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kLookForStop, [&] { return ended_ == workers; })) {
      if (!session_.stop_desired()) continue;
      for (const auto& connection : connections)  // one that has ended meanwhile is unknown to the server
        (void)session_.ddl->exec("KILL QUERY " + std::to_string(connection->id()));
    }
    return failure_;
  }

 private:
  struct Table {
    const TableRow* row;
    std::string statement;
  };

  Status work(mysql::Connection& connection) {
    for (size_t i = next_++; i < tables_.size() && !failed_ && !session_.stop_desired(); i = next_++) {
      const auto& [row, statement] = tables_[i];
      log::info(kLog, "adds indexes", {{"table", row->target.to_string()}});
      const auto added = session_.exec_on(connection, statement, row->target.to_string());
      if (!added.ok() && added.error().code() == ErrorCode::CANCELLED && session_.stop_desired()) return {};
      SLUICE_TRY(added);
      session_.report(row->source, row->target, "INDEXED");
    }
    return {};
  }

  void end(Status status) {
    std::lock_guard lock(mutex_);
    ++ended_;
    if (!status.ok()) failed_ = true;
    if (!status.ok() && failure_.ok()) failure_ = std::move(status);
    changed_.notify_all();
  }

  Session& session_;
  std::vector<Table> tables_;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t ended_ = 0;
  Status failure_;  // the first
};

}  // namespace

Status add_indexes(Session& s) {
  SLUICE_ASSIGN(auto rows, database::read_tables(*s.meta, s.owner));
  std::erase_if(rows, [](const TableRow& row) { return row.created_from.empty(); });  // not ours to change
  std::vector<TableName> targets;
  for (const TableRow& row : rows) targets.push_back(row.target);
  SLUICE_ASSIGN(auto before, s.target_schemas(targets));
  Additions additions(s);
  for (const TableRow& row : rows) {
    auto target = before.find(s.folded(row.target));
    if (target == before.end()) continue;  // gone from the source before it was copied
    SLUICE_ASSIGN(std::string statement, missing(s, row, target->second));
    if (statement.empty())
      s.report(row.source, row.target, "INDEXED");
    else
      additions.add(row, std::move(statement));
  }
  SLUICE_TRY(additions.run());
  if (s.stop_desired()) return {};
  SLUICE_ASSIGN(auto after, s.target_schemas(targets));
  for (const TableRow& row : rows) {
    auto target = after.find(s.folded(row.target));
    if (target == after.end()) continue;
    SLUICE_ASSIGN(const TableSchema source, TableSchema::decode(row.definition));
    SLUICE_TRY(compare_indexes(source, target->second, row.target));
  }
  return {};
}

}  // namespace sluice::agents::struct_transfer
