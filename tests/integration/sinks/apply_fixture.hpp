// What the tests of the appliers share: a target server with bookkeeping, definitions written by hand, and transactions
// built row by row.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "sinks/database/apply/applier.hpp"
#include "sinks/database/apply/scheduler.hpp"
#include "sinks/database/apply/watermark.hpp"
#include "tests/support/mariadb.hpp"

namespace sluice::database {

inline Column int_column(std::string name, bool nullable = false) {
  Column column;
  column.name = std::move(name);
  column.type = ColumnType::kBigInt;
  column.nullable = nullable;
  return column;
}

inline Column text_column(std::string name, std::string collation = "utf8mb4_general_ci") {
  Column column;
  column.name = std::move(name);
  column.type = ColumnType::kVarchar;
  column.length = 100;
  column.charset = "utf8mb4";
  column.collation = std::move(collation);
  return column;
}

inline SchemaPtr schema_of(std::string name, std::vector<Column> columns, std::vector<std::vector<uint32_t>> unique) {
  TableSchema schema;
  schema.database = "d";
  schema.name = std::move(name);
  schema.columns = std::move(columns);
  for (size_t i = 0; i < unique.size(); ++i) {
    Key key;
    key.name = i == 0 ? "PRIMARY" : "u" + std::to_string(i);
    key.unique = true;
    key.primary = i == 0;
    for (uint32_t column : unique[i]) key.parts.push_back({column, 0});
    schema.keys.push_back(key);
  }
  return std::make_shared<const TableSchema>(std::move(schema));
}

// A cell of a test row: a number, a text or nothing.
struct Datum {
  std::optional<int64_t> number;
  std::optional<std::string> text;
  Datum() = default;
  Datum(int64_t n) : number(n) {}               // NOLINT: rows are written as lists of plain values
  Datum(int n) : number(n) {}                   // NOLINT
  Datum(const char* t) : text(t) {}             // NOLINT
  Datum(std::string t) : text(std::move(t)) {}  // NOLINT
};
using Row = std::vector<Datum>;

class TransactionMaker {
 public:
  explicit TransactionMaker(uint64_t number) : transaction_(std::make_shared<Transaction>()) {
    transaction_->id = "0-1-" + std::to_string(number);
    transaction_->end = {"binlog.000001", number * 100, ""};
    transaction_->commit_time_us = 1'700'000'000'000'000;
    transaction_->number = number;
  }
  RowMode mode;

  TransactionMaker& insert(const TablePlanPtr& plan, const Row& after) { return add(plan, RowOp::kInsert, {}, after); }
  TransactionMaker& update(const TablePlanPtr& plan, const Row& before, const Row& after) {
    return add(plan, RowOp::kUpdate, before, after);
  }
  TransactionMaker& remove(const TablePlanPtr& plan, const Row& before) {
    return add(plan, RowOp::kDelete, before, {});
  }
  TransactionMaker& add(const TablePlanPtr& plan, RowOp op, const Row& before, const Row& after) {
    const RowView old_image = image(*plan->event, before), new_image = image(*plan->event, after);
    transaction_->bytes += old_image.bytes().size() + new_image.bytes().size();
    EXPECT_TRUE(add_row(*transaction_, plan, op, mode, old_image, new_image).ok());
    return *this;
  }
  TransactionPtr done() { return transaction_; }

 private:
  RowView image(const TableSchema& schema, const Row& row) {
    if (row.empty()) return {};
    std::vector<ValueView> values;
    for (size_t i = 0; i < row.size(); ++i) {
      const Physical physical = schema.columns[i].physical();
      if (row[i].number)
        values.push_back(ValueView::of_int(*row[i].number));
      else if (row[i].text)
        values.push_back(ValueView::of_bytes(*row[i].text));
      else
        values.push_back(ValueView::of_null(physical));
    }
    auto bytes = std::make_shared<const std::string>(encode_row(schema, values));
    transaction_->pins.push_back(bytes);
    return RowView(*bytes);
  }
  std::shared_ptr<Transaction> transaction_;
};

inline TablePlanPtr plan_of(const SchemaPtr& schema, std::vector<ForeignKey> own = {},
                            std::vector<std::pair<TableName, ForeignKey>> children = {},
                            std::vector<TableName> barrier = {}) {
  auto plan = make_plan({schema, schema, std::move(own), std::move(children), std::move(barrier)});
  EXPECT_TRUE(plan.ok());
  return *plan;
}

// A target and its appliers, driven by one thread.
class Target {
 public:
  explicit Target(testing::MariaDbServer& server) : server_(server) {
    options.target = server.endpoint();
    options.owner = {"p", "p.incr", 1, "sluice"};
    options.lease = Lease::unlimited();
  }
  Status open(uint32_t appliers) {
    mysql::ConnectOptions connect;
    SLUICE_ASSIGN(auto connection, mysql::Connection::open(options.target, connect));
    SLUICE_TRY(create_bookkeeping(*connection, "sluice"));
    SLUICE_TRY(take_over(options.target, options.owner));
    SLUICE_ASSIGN(auto control, open_registered(options.target, connect, options.owner, *options.lease));
    SLUICE_ASSIGN(const auto rows, read_checkpoints(*control, options.owner, true));
    recovered = recover(rows);
    watermark = Watermark(recovered.start, recovered.known);
    std::vector<CheckpointRow> fresh;
    for (uint32_t i = 0; i < appliers; ++i)
      fresh.push_back({i, options.owner.epoch, recovered.next_seq, recovered.start, watermark.applied_by(i)});
    SLUICE_TRY(rewrite_checkpoints(*control, options.owner, fresh));
    this->appliers.clear();
    for (uint32_t i = 0; i < appliers; ++i) {
      SLUICE_ASSIGN(auto applier, Applier::open(options, i, recovered.next_seq));
      this->appliers.push_back(std::move(applier));
    }
    return {};
  }
  Group group_of(TransactionGroup transactions, uint32_t applier) {
    Group group;
    group.low_watermark = watermark.low();
    group.applied = watermark.applied_by(applier);
    for (const auto& t : transactions) group.applied.push_back(t->id);
    group.transactions = std::move(transactions);
    return group;
  }
  Result<GroupResult> apply(TransactionGroup transactions, uint32_t applier = 0) {
    return appliers[applier]->apply(group_of(std::move(transactions), applier));
  }
  // All of them, merged as the scheduler allows, over all appliers in turn.
  Status apply_all(const std::vector<TransactionPtr>& all) {
    size_t next = 0;
    uint32_t applier = 0;
    while (next < all.size() || !scheduler.empty()) {
      for (; next < all.size() && watermark.span() < 50; ++next) {
        if (watermark.is_known(all[next]->id) || compare_in_log(all[next]->end, watermark.low()) <= 0) {
          if (watermark.is_known(all[next]->id)) watermark.add_known(all[next]->id, all[next]->end, 1);
          continue;
        }
        const uint64_t number = watermark.add(all[next]->id, all[next]->end, all[next]->commit_time_us);
        numbers[all[next].get()] = number;
        scheduler.add(all[next]);
      }
      TransactionGroup group = scheduler.next_group(appliers.size());
      if (group.empty()) return scheduler.empty() ? Status{} : Status(Error(ErrorCode::INTERNAL, "stuck"));
      auto done = apply(group, applier);
      if (!done.ok()) return done.error();
      conflicts.insert(conflicts.end(), done->conflicts.begin(), done->conflicts.end());
      for (const auto& t : group) watermark.applied(numbers[t.get()], applier);
      scheduler.committed(group);
      applier = (applier + 1) % static_cast<uint32_t>(appliers.size());
    }
    return {};
  }
  std::string rows(const std::string& query) {
    std::string text;
    for (const auto& row : server_.query(query)) {
      for (const auto& cell : row) text += cell.value_or("NULL") + ",";
      if (!text.empty()) text.back() = ';';
    }
    return text;
  }

  ApplyOptions options;
  Recovered recovered;
  Watermark watermark;
  Scheduler scheduler{GroupLimits{16, 40, 100'000}};
  std::map<const Transaction*, uint64_t> numbers;
  std::vector<std::unique_ptr<Applier>> appliers;
  std::vector<std::string> conflicts;

 private:
  testing::MariaDbServer& server_;
};

}  // namespace sluice::database
