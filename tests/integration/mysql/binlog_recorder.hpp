// What the tests of the binlog reader share: a handler that writes down what it is told and keeps the tables' rows, and
// the rows as a SELECT gives them.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engines/mysql/binlog/reader.hpp"
#include "engines/mysql/catalog.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/scan.hpp"

namespace sluice::mysql::binlog_testing {

inline constexpr std::chrono::seconds kPatience{60};

inline std::string text_of(const ValueView& value) {
  if (value.null) return "NULL";
  char text[40];
  switch (value.physical) {
    case Physical::kInt:
      return std::to_string(value.i);
    case Physical::kUInt:
      return std::to_string(value.u);
    case Physical::kFloat:
      std::snprintf(text, sizeof text, "%a", static_cast<double>(value.f));
      return text;
    case Physical::kDouble:
      std::snprintf(text, sizeof text, "%a", value.d);
      return text;
    case Physical::kBytes:
      return "'" + std::string(value.bytes) + "'";
  }
  return {};
}

inline std::string text_of(std::span<const ValueView> row) {
  std::string text;
  for (const ValueView& value : row) text += (text.empty() ? "" : "|") + text_of(value);
  return text;
}

class CatalogSource : public SchemaSource {
 public:
  explicit CatalogSource(const Endpoint& endpoint) {
    ConnectOptions options;
    options.purpose = Purpose::kCatalog;
    connection_ = std::move(Connection::open(endpoint, options)).value();
  }
  Result<SchemaPtr> table(const TableName& name) override {
    ++asked;
    SLUICE_ASSIGN(TableSchema schema, read_table(*connection_, name));
    return SchemaPtr(std::make_shared<const TableSchema>(std::move(schema)));
  }
  int asked = 0;

 private:
  std::unique_ptr<Connection> connection_;
};

class NoSource : public SchemaSource {
 public:
  Result<SchemaPtr> table(const TableName&) override { return Error(ErrorCode::NOT_FOUND, "nothing is known"); }
  std::optional<ColumnType> type_of(const TableName&, const std::string&) override { return type; }
  std::optional<ColumnType> type = ColumnType::kBinary;
};

// Writes down what it is told, and stops the reader when `until` is reached.
class Recorder : public BinlogHandler {
 public:
  explicit Recorder(Position until)
      : until_(std::move(until)), deadline_(std::chrono::steady_clock::now() + kPatience) {}

  Status on_begin(const Begin& begin) override {
    EXPECT_FALSE(open_);
    open_ = true;
    gtids.emplace_back(begin.gtid);
    return note("begin");
  }
  Status on_row(const SchemaPtr& schema, uint64_t id, RowOp op, uint16_t, std::span<const ValueView> before,
                std::span<const ValueView> after) override {
    EXPECT_TRUE(open_);
    EXPECT_EQ(schema->id(), id);
    schemas[schema->name] = schema;
    auto& table = tables[schema->name];
    ++rows;
    if (op != RowOp::kInsert) {
      auto found = table.find(text_of(before));
      EXPECT_TRUE(found != table.end()) << "no row " << text_of(before);
      if (found != table.end() && --found->second == 0) table.erase(found);
    }
    if (op != RowOp::kDelete) ++table[text_of(after)];
    if (!noting_rows) return {};
    const char* names[] = {"", "insert", "update", "delete"};
    return note(std::string(names[static_cast<int>(op)]) + " " + schema->name + " " + text_of(before) +
                (op == RowOp::kUpdate ? " -> " : "") + text_of(after));
  }
  Status on_ddl(const Ddl& ddl) override {
    EXPECT_TRUE(open_);
    zones.emplace_back(ddl.time_zone);
    return note("ddl " + std::string(ddl.sql));
  }
  Status on_commit(const Commit& commit) override {
    EXPECT_TRUE(open_);
    open_ = false;
    notes.emplace_back("commit");
    return reached(commit.position());
  }
  Status on_rollback() override {
    EXPECT_TRUE(open_);
    open_ = false;
    return note("rollback");
  }
  Status on_heartbeat(const Position& position) override {
    EXPECT_FALSE(open_);
    return reached(position);
  }
  Status on_idle() override {
    ++idle;
    if (std::chrono::steady_clock::now() < deadline_) return {};
    return Error(ErrorCode::TIMED_OUT, "not reached: " + until_.to_string() + ", at " + last.to_string());
  }
  bool wants(std::string_view database, std::string_view) override { return database == "t"; }

  std::vector<std::string> notes, gtids, zones;
  std::map<std::string, std::map<std::string, int>> tables;
  std::map<std::string, SchemaPtr> schemas;
  Position last;
  bool noting_rows = true;
  uint64_t rows = 0;
  int idle = 0;

 private:
  Status note(std::string text) {
    notes.push_back(std::move(text));
    return {};
  }
  Status reached(const Position& position) {
    EXPECT_TRUE(last.empty() || compare_in_log(last, position) <= 0)
        << last.to_string() << " then " << position.to_string();
    last = position;
    if (compare_in_log(last, until_) >= 0) return Error(ErrorCode::CANCELLED, "reached");
    return {};
  }
  Position until_;
  std::chrono::steady_clock::time_point deadline_;
  bool open_ = false;
};

inline BinlogOptions options() {
  BinlogOptions options;
  options.server_id = 4711;
  options.heartbeat_period = std::chrono::milliseconds(200);
  return options;
}

inline Status read_with(const Endpoint& endpoint, const Position& from, SchemaSource& source, Recorder& recorder) {
  SLUICE_ASSIGN(auto reader, BinlogReader::open(endpoint, from, options(), source));
  Status status = reader->read(recorder);
  if (status.error().code() == ErrorCode::CANCELLED && status.error().cause() == "reached") return {};
  return status;
}

inline std::map<std::string, int> select_rows(const Endpoint& endpoint, const TableSchema& schema) {
  auto connection = Connection::open(endpoint, {});
  std::map<std::string, int> rows;
  auto status = scan_chunk(**connection, schema, Chunk(), [&](std::span<const ValueView> row) {
    ++rows[text_of(row)];
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.error().to_string();
  return rows;
}

}  // namespace sluice::mysql::binlog_testing
