// TABLE_MAP and ROWS events.
#include "engines/mysql/binlog/bytes.hpp"
#include "engines/mysql/binlog/inflate.hpp"
#include "engines/mysql/binlog/stream.hpp"

namespace sluice::mysql {

namespace {
constexpr uint64_t kDummyTable = 0xffffff;
constexpr uint16_t kStatementEnd = 1, kNoForeignKeyChecks = 2, kRelaxedUnique = 4, kCascadesLogged = 0x10;

struct RowsKind {
  RowOp op;
  bool version2, compressed;
};

RowsKind kind_of(uint8_t type) {
  switch (type) {
    case event::kWriteRowsV1:
      return {RowOp::kInsert, false, false};
    case event::kUpdateRowsV1:
      return {RowOp::kUpdate, false, false};
    case event::kDeleteRowsV1:
      return {RowOp::kDelete, false, false};
    case event::kWriteRows:
      return {RowOp::kInsert, true, false};
    case event::kUpdateRows:
    case event::kPartialUpdateRows:
      return {RowOp::kUpdate, true, false};
    case event::kDeleteRows:
      return {RowOp::kDelete, true, false};
    case event::kMariaWriteCompressed:
      return {RowOp::kInsert, false, true};
    case event::kMariaUpdateCompressed:
      return {RowOp::kUpdate, false, true};
    case event::kMariaDeleteCompressed:
      return {RowOp::kDelete, false, true};
    case event::kMariaWriteCompressedV2:
      return {RowOp::kInsert, true, true};
    case event::kMariaUpdateCompressedV2:
      return {RowOp::kUpdate, true, true};
    default:
      return {RowOp::kDelete, true, true};
  }
}

uint16_t record_flags(uint16_t flags) {
  return static_cast<uint16_t>(((flags & kNoForeignKeyChecks) != 0 ? kRowsNoForeignKeyChecks : 0) |
                               ((flags & kRelaxedUnique) != 0 ? kRowsNoUniqueChecks : 0) |
                               ((flags & kCascadesLogged) != 0 ? kRowsCascadesLogged : 0));
}

bool bit(const uint8_t* bits, size_t index) { return (bits[index / 8] >> (index % 8) & 1) != 0; }

// Every column is in the image, or is one that the database computes.
bool is_full(const std::vector<ColumnPlan>& plans, const uint8_t* present) {
  for (size_t i = 0; i < plans.size(); ++i) {
    if (!bit(present, i) && !plans[i].may_be_absent) return false;
  }
  return true;
}

Error not_full(const Table& table) {
  return Error(ErrorCode::BINLOG_FORMAT, "a row image without all columns: set binlog_row_image=FULL on the source",
               table.schema->qualified_name());
}
}  // namespace

Status EventStream::table_map(std::string_view body) {
  if (!group_.open)
    return invalid_event("a table map outside a transaction: the position is not at a transaction's border");
  if (passed_over()) return {};
  auto table = tables_.map(body, table_id_size(event::kTableMap), format_.mariadb, *handler_);
  return table.ok() ? Status() : Status(table.error());
}

Status EventStream::rows(const EventHeader& header, std::string_view body) {
  RowsKind kind = kind_of(header.type);
  Cursor cursor(body);
  uint64_t id = cursor.fixed(table_id_size(header.type));
  uint16_t flags = cursor.u16();
  if (kind.version2) {
    uint16_t extra = cursor.u16();
    if (extra < 2) return invalid_event("a bad ROWS event");
    cursor.skip(extra - 2U);
  }
  if (cursor.failed()) return invalid_event("a short ROWS event");
  Status status;
  if (id != kDummyTable) {
    if (!group_.open) return invalid_event("rows outside a transaction: the position is not at a transaction's border");
    if (passed_over()) return {};
    Table* table = tables_.find(id);
    if (table == nullptr) return invalid_event("rows of a table that was not mapped before");
    if (table->wanted) {
      if (header.type == event::kPartialUpdateRows) {
        return Error(ErrorCode::BINLOG_FORMAT,
                     "JSON values are logged in part: set binlog_row_value_options='' on the source",
                     table->schema->qualified_name());
      }
      uint64_t columns = cursor.lenenc();
      std::string_view before = cursor.bytes((columns + 7) / 8);
      std::string_view after = kind.op == RowOp::kUpdate ? cursor.bytes((columns + 7) / 8) : before;
      if (cursor.failed() || columns == 0) return invalid_event("a short ROWS event");
      if (columns != table->plans.size()) {
        return Error(ErrorCode::SCHEMA_MISMATCH, "rows of " + std::to_string(columns) + " columns",
                     table->schema->qualified_name());
      }
      std::string_view images = cursor.rest();
      if (kind.compressed) {
        SLUICE_TRY(inflate_mariadb(images, &inflated_));
        images = inflated_;
      }
      auto bits = [](std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); };
      status = decode_rows(*table, kind.op, record_flags(flags), bits(before), bits(after), images);
    }
  }
  if ((flags & kStatementEnd) != 0) tables_.end_statement();
  return status;
}

// An UPDATE's after image may leave out what did not change: that is what the before image has.
Status EventStream::decode_rows(Table& table, RowOp op, uint16_t flags, const uint8_t* before, const uint8_t* after,
                                std::string_view images) {
  size_t columns = table.plans.size();
  before_.resize(columns), after_.resize(columns);
  if (!is_full(table.plans, op == RowOp::kInsert ? after : before)) return not_full(table);
  bool complete = op != RowOp::kUpdate || is_full(table.plans, after);
  std::span<ValueView> first, second;
  if (op != RowOp::kInsert) first = before_;
  if (op != RowOp::kDelete) second = after_;
  while (!images.empty()) {
    size_t left = images.size();
    decoder_.reset();
    if (op != RowOp::kInsert) SLUICE_TRY(decoder_.decode(table.plans, before, &images, first));
    if (op != RowOp::kDelete) SLUICE_TRY(decoder_.decode(table.plans, after, &images, second));
    if (images.size() == left) return invalid_event("a row image without bytes");
    if (!complete) {
      for (size_t i = 0; i < columns; ++i) {
        if (!bit(after, i)) after_[i] = before_[i];
      }
    }
    SLUICE_TRY(deliver_row(table, op, flags, first, second));
  }
  return {};
}

Status EventStream::deliver_row(const Table& table, RowOp op, uint16_t flags, std::span<const ValueView> before,
                                std::span<const ValueView> after) {
  ++group_.rows;
  if (group_.xa) return xa_.add(table.schema, table.schema_id, op, flags, before, after);
  if (!group_.delivered) SLUICE_TRY(begin_delivery());
  return handler_->on_row(table.schema, table.schema_id, op, flags, before, after);
}

}  // namespace sluice::mysql
