// SchemaHistory: the definitions of the source's tables at the point that reading its log has reached. Used by the
// capturing thread.
//
// A definition read from the catalog is as new as the moment of reading, and the log may be older. So after every read
// the log is looked through, on a connection of its own, up to the source's end for statements that change the table;
// when there is one, the definition is not used (NOT_FOUND: the log's own metadata has to do). The log is looked
// through once: what was found in it is kept until reading has passed it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/endpoint.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/binlog/reader.hpp"
#include "engines/mysql/dialect/ddl.hpp"
#include "store/capture/column_types.hpp"

namespace sluice::mysql {
class Connection;
}

namespace sluice::store {

class SchemaHistory final : public mysql::SchemaSource {
 public:
  SchemaHistory(const Endpoint& source, const TableMapping& scope, std::shared_ptr<mysql::Stopper> stopper);
  ~SchemaHistory() override;

  // The definition that a table had at the resume position.
  void seed(const SchemaPtr& schema);
  // Definitions of the whole scope as of `start`, which nobody has used yet. False when a statement in the log since
  // `start` concerns the scope: take a newer start and try again.
  Result<bool> read_scope(const Position& start);
  // Where reading the log stands: called before table() can be.
  void at(const Position& position, const std::string& open_gtid);
  // A statement of the log: what it changes has to be read again. The rows are for the log to keep; restore() takes
  // them when capture starts again.
  std::vector<KeptRow> forget(const mysql::DdlStatement& statement, const Ddl& ddl);
  void restore(std::string_view name, std::string_view bytes) { types_.restore(name, bytes); }

  Result<SchemaPtr> table(const TableName& name) override;
  std::optional<ColumnType> type_of(const TableName& table, const std::string& column) override {
    return types_.type_of(table, column);
  }

 private:
  Status connect();
  Status read_rest_of_scope(const TableName& name);
  Result<bool> changes_ahead(const TableName& name) const;
  Status look_ahead();

  const Endpoint source_;
  const TableMapping& scope_;
  const std::shared_ptr<mysql::Stopper> stopper_;
  std::unique_ptr<mysql::Connection> connection_;
  std::optional<mysql::Stopper::Watch> watch_;  // of the connection
  std::map<TableName, SchemaPtr> tables_;
  ColumnTypes types_;
  bool scope_read_ = false;
  Position at_;
  std::string open_gtid_;
  struct Ahead {
    Position end;
    std::string gtid;
    mysql::DdlStatement statement;
  };
  std::vector<Ahead> ahead_;  // in log order
  Position looked_to_;
};

}  // namespace sluice::store
