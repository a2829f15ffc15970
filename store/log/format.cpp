#include "store/log/format.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::store {
namespace {

class Writer {
 public:
  Writer& u64(uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) out_.push_back(static_cast<char>(value >> shift));
    return *this;
  }
  Writer& i64(int64_t value) { return u64(static_cast<uint64_t>(value)); }
  Writer& text(std::string_view value) {
    u64(value.size());
    out_.append(value);
    return *this;
  }
  Writer& position(const Position& value) { return text(value.file).u64(value.offset).text(value.gtids); }
  Writer& last(const LastTransaction& value) { return position(value.before).position(value.end).u64(value.digest); }
  std::string finish() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads what Writer wrote. After damage every read returns zeros and done() fails.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  uint64_t u64() {
    if (bytes_.size() < 8) return damaged(), 0;
    uint64_t value = 0;
    for (int byte = 7; byte >= 0; --byte) value = value << 8 | static_cast<uint8_t>(bytes_[byte]);
    bytes_.remove_prefix(8);
    return value;
  }
  int64_t i64() { return static_cast<int64_t>(u64()); }
  std::string text() {
    uint64_t size = u64();
    if (size > bytes_.size()) return damaged(), std::string();
    std::string value(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return value;
  }
  Position position() {
    Position value;
    value.file = text();
    value.offset = u64();
    value.gtids = text();
    return value;
  }
  LastTransaction last() {
    LastTransaction value;
    value.before = position();
    value.end = position();
    value.digest = u64();
    return value;
  }
  size_t left() const { return bytes_.size(); }
  Status done(std::string_view what) const {
    if (ok_ && bytes_.empty()) return {};
    return Error(ErrorCode::CORRUPTED, "a row of the Store's log does not decode", std::string(what));
  }

 private:
  void damaged() {
    ok_ = false;
    bytes_ = {};
  }
  std::string_view bytes_;
  bool ok_ = true;
};

void append_big_endian(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

}  // namespace

std::string BlockInfo::encode() const {
  Writer out;
  out.u64(incarnation).u64(sequence).u64(transaction_sequence).u64(complete ? 1 : 0).position(end);
  out.i64(first_commit_us).i64(last_commit_us).i64(max_commit_us).i64(written_us).u64(bytes).u64(rows);
  out.u64(schema_ids.size());
  for (uint64_t id : schema_ids) out.u64(id);
  return out.finish();
}

Result<BlockInfo> BlockInfo::decode(std::string_view text) {
  Reader in(text);
  BlockInfo info;
  info.incarnation = in.u64();
  info.sequence = in.u64();
  info.transaction_sequence = in.u64();
  info.complete = in.u64() != 0;
  info.end = in.position();
  info.first_commit_us = in.i64();
  info.last_commit_us = in.i64();
  info.max_commit_us = in.i64();
  info.written_us = in.i64();
  info.bytes = in.u64();
  info.rows = static_cast<uint32_t>(in.u64());
  uint64_t count = in.u64();
  if (count > in.left() / 8)
    return Error(ErrorCode::CORRUPTED, "a row of the Store's log does not decode", "block index");
  for (uint64_t index = 0; index < count; ++index) info.schema_ids.push_back(in.u64());
  SLUICE_TRY(in.done("block index"));
  return info;
}

std::string Incarnation::encode_front() const {
  return Writer().u64(first).position(begin).i64(begin_time_us).finish();
}

std::string Incarnation::encode_back() const {
  return Writer().u64(id).u64(visible).position(end).last(last).i64(max_commit_us).finish();
}

Result<Incarnation> Incarnation::decode(std::string_view front, std::string_view back) {
  Incarnation row;
  Reader in_front(front);
  row.first = in_front.u64();
  row.begin = in_front.position();
  row.begin_time_us = in_front.i64();
  SLUICE_TRY(in_front.done("front of an incarnation"));
  Reader in_back(back);
  row.id = in_back.u64();
  row.visible = in_back.u64();
  row.end = in_back.position();
  row.last = in_back.last();
  row.max_commit_us = in_back.i64();
  SLUICE_TRY(in_back.done("back of an incarnation"));
  return row;
}

std::string ReaderRow::encode() const { return Writer().text(name).u64(epoch).position(durable).finish(); }

Result<ReaderRow> ReaderRow::decode(std::string_view bytes) {
  Reader in(bytes);
  ReaderRow row;
  row.name = in.text();
  row.epoch = in.u64();
  row.durable = in.position();
  SLUICE_TRY(in.done("reader"));
  return row;
}

std::string StartRow::encode() const { return Writer().position(position).i64(time_us).finish(); }

Result<StartRow> StartRow::decode(std::string_view bytes) {
  Reader in(bytes);
  StartRow row;
  row.position = in.position();
  row.time_us = in.i64();
  SLUICE_TRY(in.done("start"));
  return row;
}

std::string encode_branch(const mysql::XaBranch& branch) {
  std::vector<SchemaPtr> schemas;
  std::vector<size_t> schema_of;
  for (const mysql::XaRow& row : branch.rows) {
    auto known = std::find_if(schemas.rbegin(), schemas.rend(),
                              [&](const SchemaPtr& schema) { return schema->id() == row.schema_id; });
    schema_of.push_back(static_cast<size_t>(schemas.rend() - known));
    if (known == schemas.rend()) schemas.push_back(row.schema), schema_of.back() = schemas.size();
  }
  Writer out;
  out.text(branch.xid).position(branch.prepared).u64(branch.bytes).u64(schemas.size());
  for (const SchemaPtr& schema : schemas) out.text(schema->encode());
  out.u64(branch.rows.size());
  for (size_t index = 0; index < branch.rows.size(); ++index) {
    const mysql::XaRow& row = branch.rows[index];
    out.u64(schema_of[index]).u64(static_cast<uint64_t>(row.op)).u64(row.flags).text(row.before).text(row.after);
  }
  return out.finish();
}

Result<mysql::XaBranch> decode_branch(std::string_view bytes) {
  const Error damaged(ErrorCode::CORRUPTED, "a row of the Store's log does not decode", "XA branch");
  Reader in(bytes);
  mysql::XaBranch branch;
  branch.xid = in.text();
  branch.prepared = in.position();
  branch.bytes = in.u64();
  std::vector<SchemaPtr> schemas;
  for (uint64_t count = in.u64(); count > 0 && in.left() > 0; --count) {
    SLUICE_ASSIGN(auto schema, TableSchema::decode(in.text()));
    schemas.push_back(std::make_shared<const TableSchema>(std::move(schema)));
  }
  for (uint64_t count = in.u64(); count > 0; --count) {
    mysql::XaRow row;
    uint64_t schema = in.u64();
    row.op = static_cast<RowOp>(in.u64());
    row.flags = static_cast<uint16_t>(in.u64());
    row.before = in.text();
    row.after = in.text();
    if (schema == 0 || schema > schemas.size()) return damaged;
    row.schema = schemas[schema - 1];
    row.schema_id = row.schema->id();
    branch.rows.push_back(std::move(row));
  }
  SLUICE_TRY(in.done("XA branch"));
  return branch;
}

std::string block_key(uint64_t incarnation, uint64_t sequence) {
  std::string key;
  append_big_endian(key, incarnation);
  append_big_endian(key, sequence);
  return key;
}

std::string front_key(uint64_t incarnation) {
  std::string key = "f";
  append_big_endian(key, incarnation);
  return key;
}

std::string back_key(uint64_t incarnation) {
  std::string key = "b";
  append_big_endian(key, incarnation);
  return key;
}

std::string schema_key(uint64_t id) {
  std::string key;
  append_big_endian(key, id);
  return key;
}

}  // namespace sluice::store
