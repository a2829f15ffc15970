// How the columns of a definition are read from the log's images.
#include "engines/mysql/binlog/tables.hpp"
#include "engines/mysql/binlog/values.hpp"

namespace sluice::mysql {

namespace {
Packing integer_packing(ColumnType type, bool is_unsigned) {
  switch (type) {
    case ColumnType::kTinyInt:
      return is_unsigned ? Packing::kUInt1 : Packing::kInt1;
    case ColumnType::kSmallInt:
      return is_unsigned ? Packing::kUInt2 : Packing::kInt2;
    case ColumnType::kMediumInt:
      return is_unsigned ? Packing::kUInt3 : Packing::kInt3;
    case ColumnType::kInt:
      return is_unsigned ? Packing::kUInt4 : Packing::kInt4;
    default:
      return is_unsigned ? Packing::kUInt8 : Packing::kInt8;
  }
}

void plan_bytes(const MapColumn& logged, const Column& column, ColumnPlan* plan) {
  bool blob = wire::is_blob(logged.type) || logged.type == wire::kGeometry || logged.type == wire::kJson ||
              logged.type == wire::kVector;
  plan->length_bytes = static_cast<uint8_t>(blob ? logged.length : logged.length < 256 ? 1 : 2);
  if (logged.type == wire::kVarcharCompressed || logged.type == wire::kBlobCompressed) {
    plan->packing = Packing::kCompressedBytes;
  } else if (logged.type == wire::kJson) {
    plan->packing = Packing::kJson;
  } else if (column.type == ColumnType::kBinary) {
    plan->packing = Packing::kPaddedBytes;
    plan->size = column.length;
  } else if (column.type == ColumnType::kUuid || column.type == ColumnType::kInet6 ||
             column.type == ColumnType::kInet4) {
    plan->packing = column.type == ColumnType::kUuid    ? Packing::kUuid
                    : column.type == ColumnType::kInet6 ? Packing::kInet6
                                                        : Packing::kInet4;
    plan->size = logged.length;
  }
}

ColumnPlan plan_column(const MapColumn& logged, const Column& column) {
  ColumnPlan plan;
  plan.physical = column.physical();
  plan.may_be_absent = column.generated;
  switch (logged.type) {
    case wire::kTiny:
    case wire::kShort:
    case wire::kInt24:
    case wire::kLong:
    case wire::kLongLong:
      plan.packing = integer_packing(column.type, column.is_unsigned);
      break;
    case wire::kFloat:
      plan.packing = Packing::kFloat;
      break;
    case wire::kDouble:
      plan.packing = Packing::kDouble;
      break;
    case wire::kNewDecimal:
      plan.packing = Packing::kDecimal;
      plan.precision = logged.precision, plan.scale = logged.scale;
      plan.size = static_cast<uint32_t>(values::decimal_size(logged.precision, logged.scale));
      break;
    case wire::kBit:
      plan.packing = Packing::kBit;
      plan.length_bytes = static_cast<uint8_t>((logged.length + 7) / 8);
      break;
    case wire::kYear:
      plan.packing = Packing::kYear;
      break;
    case wire::kDate:
    case wire::kNewDate:
      plan.packing = Packing::kDate;
      break;
    case wire::kTime:
      plan.packing = Packing::kTimeOld;
      break;
    case wire::kDatetime:
      plan.packing = Packing::kDatetimeOld;
      break;
    case wire::kTimestamp:
      plan.packing = Packing::kTimestampOld;
      break;
    case wire::kTime2:
      plan.packing = Packing::kTime2, plan.scale = logged.scale;
      break;
    case wire::kDatetime2:
      plan.packing = Packing::kDatetime2, plan.scale = logged.scale;
      break;
    case wire::kTimestamp2:
      plan.packing = Packing::kTimestamp2, plan.scale = logged.scale;
      break;
    case wire::kEnum:
    case wire::kSet:
      plan.packing = Packing::kEnumOrSet;
      plan.length_bytes = static_cast<uint8_t>(logged.length);
      break;
    default:
      plan_bytes(logged, column, &plan);
      break;
  }
  return plan;
}
}  // namespace

Result<std::vector<ColumnPlan>> plan_columns(const TableMap& map, const TableSchema& schema) {
  std::vector<ColumnPlan> plans;
  plans.reserve(map.columns.size());
  for (size_t i = 0; i < map.columns.size(); ++i) {
    const Column& column = schema.columns[i];
    ColumnPlan plan = plan_column(map.columns[i], column);
    bool old_time = plan.packing == Packing::kTimeOld || plan.packing == Packing::kDatetimeOld ||
                    plan.packing == Packing::kTimestampOld;
    if (old_time && column.scale > 0) {
      return Error(ErrorCode::UNSUPPORTED, "column " + column.name +
                                               " keeps fractions of seconds in the old format; rebuild the table with "
                                               "mysql56_temporal_format=ON (ALTER TABLE … FORCE)");
    }
    plans.push_back(plan);
  }
  return plans;
}

}  // namespace sluice::mysql
