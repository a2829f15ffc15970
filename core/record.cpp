#include "core/record.hpp"

#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "core/wire.hpp"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "the layout is little-endian and read in place");

constexpr uint32_t kMagic = 0x31424C53;  // "SLB1"
constexpr uint16_t kVersion = 1;
constexpr size_t kHeaderSize = 32;
constexpr size_t kRecordHeaderSize = 5;
constexpr size_t kRowsHeaderSize = 8 + 1 + 2 + 4;

Error damaged(std::string_view what) { return Error(ErrorCode::CORRUPTED, "record batch: " + std::string(what)); }

template <class T>
T load(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

bool read(wire::Reader& in, Begin& r) { return in.text(r.gtid) && in.i64(r.commit_time_us) && in.u32(r.server_id); }

bool read(wire::Reader& in, Ddl& r) {
  return in.text(r.database) && in.text(r.sql) && in.u64(r.sql_mode) && in.i64(r.timestamp_us) &&
         in.text(r.character_set_client) && in.text(r.collation_connection) && in.text(r.collation_server) &&
         in.text(r.default_collation_utf8mb4) && in.text(r.time_zone) && in.u8(r.foreign_key_checks) &&
         in.u8(r.explicit_defaults_for_timestamp);
}

bool read(wire::Reader& in, Commit& r) {
  return in.text(r.gtid) && in.text(r.file) && in.u64(r.offset) && in.text(r.gtids) && in.i64(r.commit_time_us) &&
         in.u64(r.row_count);
}

bool read(wire::Reader& in, Heartbeat& r) {
  return in.text(r.file) && in.u64(r.offset) && in.text(r.gtids) && in.i64(r.source_time_us) && in.text(r.end_file) &&
         in.u64(r.end_offset);
}

bool read(wire::Reader& in, Rows& r) {
  uint8_t op = 0;
  if (!in.u64(r.schema_id) || !in.u8(op) || !in.u16(r.flags) || !in.u32(r.row_count) || op < 1 || op > 3) return false;
  r.op = static_cast<RowOp>(op);
  return in.bytes(in.rest().size(), r.images);
}

template <class T>
Status visit_as(std::string_view data, const std::function<Status(const RecordView&)>& visit) {
  T record;
  wire::Reader in(data);
  if (!read(in, record) || !in.at_end()) return damaged("record ends early");
  return visit(RecordView(record));
}

size_t image_size(const TableSchema& schema, std::span<const ValueView> values) {
  size_t size = (schema.columns.size() + 7) / 8;
  for (const ValueView& value : values) {
    if (value.null) continue;
    if (value.physical == Physical::kBytes)
      size += 4 + value.bytes.size();
    else
      size += value.physical == Physical::kFloat ? 4 : 8;
  }
  return size;
}

void write_image(const TableSchema& schema, std::span<const ValueView> values, std::string& out) {
  const size_t bitmap_size = (schema.columns.size() + 7) / 8;
  const size_t start = out.size();
  out.resize(start + image_size(schema, values));
  char* const bitmap = out.data() + start;
  char* at = bitmap + bitmap_size;
  std::memset(bitmap, 0, bitmap_size);
  for (size_t index = 0; index < values.size(); ++index) {
    const ValueView& value = values[index];
    if (value.null) {
      bitmap[index / 8] = static_cast<char>(bitmap[index / 8] | (1 << (index % 8)));
      continue;
    }
    switch (value.physical) {
      case Physical::kBytes: {
        const auto size = static_cast<uint32_t>(value.bytes.size());
        std::memcpy(at, &size, 4);
        if (size != 0) std::memcpy(at + 4, value.bytes.data(), size);
        at += 4 + size;
        break;
      }
      case Physical::kFloat:
        std::memcpy(at, &value.f, 4), at += 4;
        break;
      default:
        std::memcpy(at, &value.u, 8), at += 8;
    }
  }
}

}  // namespace

bool ValueView::operator==(const ValueView& other) const {
  if (null || other.null) return null == other.null;
  if (physical != other.physical) return false;
  switch (physical) {
    case Physical::kBytes:
      return bytes == other.bytes;
    case Physical::kFloat:
      return std::bit_cast<uint32_t>(f) == std::bit_cast<uint32_t>(other.f);
    default:
      return u == other.u;
  }
}

Status RowView::decode(const TableSchema& schema, std::span<ValueView> values) const {
  const size_t columns = schema.columns.size();
  const size_t bitmap_size = (columns + 7) / 8;
  if (values.size() != columns || image_.size() < bitmap_size) return damaged("row does not fit its table definition");
  const char* at = image_.data() + bitmap_size;
  const char* const end = image_.data() + image_.size();
  for (size_t index = 0; index < columns; ++index) {
    ValueView& value = values[index];
    value.physical = schema.columns[index].physical();
    value.null = image_[index / 8] >> (index % 8) & 1;
    value.u = 0;
    value.bytes = {};
    if (value.null) continue;
    const size_t fixed = value.physical == Physical::kFloat || value.physical == Physical::kBytes ? 4 : 8;
    if (static_cast<size_t>(end - at) < fixed) return damaged("row ends early");
    if (value.physical == Physical::kBytes) {
      uint32_t size;
      std::memcpy(&size, at, 4);
      if (static_cast<size_t>(end - at) - 4 < size) return damaged("value ends early");
      value.bytes = {at + 4, size};
      at += 4 + size;
    } else if (value.physical == Physical::kFloat) {
      std::memcpy(&value.f, at, 4), at += 4;
    } else {
      std::memcpy(&value.u, at, 8), at += 8;
    }
  }
  return at == end ? Status() : damaged("row is longer than its table definition");
}

Status Rows::for_each(const std::function<Status(RowView before, RowView after)>& visit) const {
  wire::Reader in(images);
  for (uint32_t row = 0; row < row_count; ++row) {
    std::string_view first, second;
    if (!in.text(first) || (op == RowOp::kUpdate && !in.text(second))) return damaged("rows end early");
    if (op == RowOp::kUpdate)
      SLUICE_TRY(visit(RowView(first), RowView(second)));
    else
      SLUICE_TRY(op == RowOp::kInsert ? visit(RowView(), RowView(first)) : visit(RowView(first), RowView()));
  }
  return in.at_end() ? Status() : damaged("rows are longer than their count");
}

Result<Batch> Batch::open(std::string bytes) {
  if (bytes.size() < kHeaderSize || load<uint32_t>(bytes, 0) != kMagic) return damaged("no header");
  if (load<uint16_t>(bytes, 4) != kVersion) return damaged("unknown version");
  const std::string_view body = std::string_view(bytes).substr(kHeaderSize);
  if (load<uint32_t>(bytes, 12) != body.size()) return damaged("wrong length");
  if (load<uint64_t>(bytes, 16) != XXH3_64bits(body.data(), body.size())) return damaged("wrong checksum");
  return Batch(std::move(bytes));
}

uint32_t Batch::record_count() const { return load<uint32_t>(*bytes_, 8); }
uint32_t Batch::row_count() const { return load<uint32_t>(*bytes_, 24); }

Status Batch::for_each(const std::function<Status(const RecordView&)>& visit) const {
  wire::Reader in(std::string_view(*bytes_).substr(kHeaderSize));
  while (!in.at_end()) {
    uint8_t kind = 0;
    std::string_view data;
    if (!in.u8(kind) || !in.text(data)) return damaged("record header");
    switch (static_cast<RecordKind>(kind)) {
      case RecordKind::kBegin:
        SLUICE_TRY(visit_as<Begin>(data, visit));
        break;
      case RecordKind::kRows:
        SLUICE_TRY(visit_as<Rows>(data, visit));
        break;
      case RecordKind::kDdl:
        SLUICE_TRY(visit_as<Ddl>(data, visit));
        break;
      case RecordKind::kCommit:
        SLUICE_TRY(visit_as<Commit>(data, visit));
        break;
      case RecordKind::kHeartbeat:
        SLUICE_TRY(visit_as<Heartbeat>(data, visit));
        break;
      default:
        return damaged("unknown record kind");
    }
  }
  return {};
}

size_t BatchBuilder::begin_record(RecordKind kind) {
  close_rows();
  if (body_.empty()) body_.resize(kHeaderSize);
  const size_t start = body_.size();
  wire::append(body_, static_cast<uint8_t>(kind));
  wire::append(body_, uint32_t{0});
  ++record_count_;
  return start;
}

void BatchBuilder::end_record(size_t start) {
  wire::store(body_, start + 1, static_cast<uint32_t>(body_.size() - start - kRecordHeaderSize));
}

namespace {
void put_text(std::string& out, std::string_view text) {
  wire::append(out, static_cast<uint32_t>(text.size()));
  out.append(text);
}
}  // namespace

void BatchBuilder::add(const Begin& r) {
  const size_t start = begin_record(RecordKind::kBegin);
  put_text(body_, r.gtid);
  wire::append(body_, r.commit_time_us);
  wire::append(body_, r.server_id);
  end_record(start);
}

void BatchBuilder::add(const Ddl& r) {
  const size_t start = begin_record(RecordKind::kDdl);
  put_text(body_, r.database);
  put_text(body_, r.sql);
  wire::append(body_, r.sql_mode);
  wire::append(body_, r.timestamp_us);
  for (std::string_view text :
       {r.character_set_client, r.collation_connection, r.collation_server, r.default_collation_utf8mb4, r.time_zone})
    put_text(body_, text);
  wire::append(body_, r.foreign_key_checks);
  wire::append(body_, r.explicit_defaults_for_timestamp);
  end_record(start);
}

void BatchBuilder::add(const Commit& r) {
  const size_t start = begin_record(RecordKind::kCommit);
  put_text(body_, r.gtid);
  put_text(body_, r.file);
  wire::append(body_, r.offset);
  put_text(body_, r.gtids);
  wire::append(body_, r.commit_time_us);
  wire::append(body_, r.row_count);
  end_record(start);
}

void BatchBuilder::add(const Heartbeat& r) {
  const size_t start = begin_record(RecordKind::kHeartbeat);
  put_text(body_, r.file);
  wire::append(body_, r.offset);
  put_text(body_, r.gtids);
  wire::append(body_, r.source_time_us);
  put_text(body_, r.end_file);
  wire::append(body_, r.end_offset);
  end_record(start);
}

void BatchBuilder::open_rows(uint64_t schema_id, RowOp op, uint16_t flags) {
  if (open_ && open_->schema_id == schema_id && open_->op == op && open_->flags == flags) return;
  const size_t start = begin_record(RecordKind::kRows);
  wire::append(body_, schema_id);
  wire::append(body_, static_cast<uint8_t>(op));
  wire::append(body_, flags);
  wire::append(body_, uint32_t{0});
  open_ = OpenRows{schema_id, op, flags, start, 0};
  if (std::find(schema_ids_.begin(), schema_ids_.end(), schema_id) == schema_ids_.end())
    schema_ids_.push_back(schema_id);
}

void BatchBuilder::close_rows() {
  if (!open_) return;
  wire::store(body_, open_->start + kRecordHeaderSize + kRowsHeaderSize - 4, open_->rows);
  end_record(open_->start);
  open_.reset();
}

void BatchBuilder::append_image(const TableSchema& schema, std::span<const ValueView> values) {
  const size_t at = body_.size();
  wire::append(body_, uint32_t{0});
  write_image(schema, values, body_);
  wire::store(body_, at, static_cast<uint32_t>(body_.size() - at - 4));
}

void BatchBuilder::append_image(std::string_view image) { put_text(body_, image); }

void BatchBuilder::add_row(const TableSchema& schema, uint64_t schema_id, RowOp op, uint16_t flags,
                           std::span<const ValueView> before, std::span<const ValueView> after) {
  open_rows(schema_id, op, flags);
  if (op != RowOp::kInsert) append_image(schema, before);
  if (op != RowOp::kDelete) append_image(schema, after);
  ++open_->rows;
  ++row_count_;
}

void BatchBuilder::add_row(uint64_t schema_id, RowOp op, uint16_t flags, RowView before, RowView after) {
  open_rows(schema_id, op, flags);
  if (op != RowOp::kInsert) append_image(before.bytes());
  if (op != RowOp::kDelete) append_image(after.bytes());
  ++open_->rows;
  ++row_count_;
}

size_t BatchBuilder::size() const { return std::max(body_.size(), kHeaderSize); }

std::string BatchBuilder::finish() {
  close_rows();
  if (body_.empty()) body_.resize(kHeaderSize);
  const char* body = body_.data() + kHeaderSize;
  const size_t body_size = body_.size() - kHeaderSize;
  std::memset(body_.data(), 0, kHeaderSize);
  wire::store(body_, 0, kMagic);
  wire::store(body_, 4, kVersion);
  wire::store(body_, 8, record_count_);
  wire::store(body_, 12, static_cast<uint32_t>(body_size));
  wire::store(body_, 16, static_cast<uint64_t>(XXH3_64bits(body, body_size)));
  wire::store(body_, 24, row_count_);
  std::string out = std::move(body_);
  body_.clear();
  schema_ids_.clear();
  record_count_ = row_count_ = 0;
  return out;
}

std::string encode_row(const TableSchema& schema, std::span<const ValueView> values) {
  std::string out;
  write_image(schema, values, out);
  return out;
}

}  // namespace sluice
