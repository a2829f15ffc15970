#include "engines/mysql/binlog/image_decoder.hpp"

#include <arpa/inet.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "engines/mysql/binlog/bytes.hpp"
#include "engines/mysql/binlog/json.hpp"
#include "engines/mysql/binlog/values.hpp"

namespace sluice::mysql {

namespace {
constexpr size_t kBlockSize = 64 << 10;
constexpr size_t kKeptBytes = 4 << 20;
constexpr uint64_t kMaxValue = uint64_t{1} << 32;

template <class T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
uint32_t load3(const uint8_t* at) {
  return at[0] | static_cast<uint32_t>(at[1]) << 8 | static_cast<uint32_t>(at[2]) << 16;
}

uint64_t load_length(const uint8_t* at, unsigned bytes) {
  uint64_t value = 0;
  std::memcpy(&value, at, bytes);
  return value;
}

constexpr unsigned fraction_bytes(unsigned scale) { return (scale + 1) / 2; }
constexpr unsigned kMicrosPerUnit[4] = {0, 10000, 100, 1};  // by bytes of the fraction
}  // namespace

void Arena::reset() {
  if (blocks_.empty()) return;
  if (index_ > 0) {  // a row that needed much: keep a bounded amount for the next
    size_t kept = 0;
    size_t keep = 0;
    while (keep < blocks_.size() && (keep == 0 || kept + blocks_[keep].size <= kKeptBytes))
      kept += blocks_[keep++].size;
    blocks_.resize(keep);
  }
  index_ = 0;
  current_ = blocks_[0].bytes.get();
  capacity_ = blocks_[0].size;
  used_ = 0;
}

char* Arena::take_from_next(size_t size) {
  size_t next = current_ == nullptr ? 0 : index_ + 1;
  while (next < blocks_.size() && blocks_[next].size < size) ++next;
  if (next >= blocks_.size()) {
    size_t block = std::max(kBlockSize, size);
    blocks_.push_back({std::make_unique_for_overwrite<char[]>(block), block});
    next = blocks_.size() - 1;
  }
  index_ = next;
  current_ = blocks_[next].bytes.get();
  capacity_ = blocks_[next].size;
  used_ = size;
  return current_;
}

Status ImageDecoder::decode(std::span<const ColumnPlan> plans, const uint8_t* present, std::string_view* bytes,
                            std::span<ValueView> values) {
  size_t present_count = 0;
  for (size_t i = 0; i < plans.size(); ++i) present_count += present[i / 8] >> (i % 8) & 1;
  size_t null_size = (present_count + 7) / 8;
  if (bytes->size() < null_size) return invalid_event("a short row image");
  const auto* nulls = reinterpret_cast<const uint8_t*>(bytes->data());
  const uint8_t* at = nulls + null_size;
  const uint8_t* end = nulls + bytes->size();
  size_t bit = 0;
  for (size_t i = 0; i < plans.size(); ++i) {
    ValueView& value = values[i];
    value = ValueView::of_null(plans[i].physical);
    if ((present[i / 8] >> (i % 8) & 1) == 0) continue;
    bool null = (nulls[bit / 8] >> (bit % 8) & 1) != 0;
    ++bit;
    if (null) continue;
    value.null = false;
    at = decode_value(plans[i], at, end, &value);
    if (at == nullptr) return invalid_event("column " + std::to_string(i + 1) + " of a row image cannot be decoded");
  }
  bytes->remove_prefix(static_cast<size_t>(at - nulls));
  return {};
}

const uint8_t* ImageDecoder::decode_value(const ColumnPlan& plan, const uint8_t* at, const uint8_t* end,
                                          ValueView* value) {
  auto left = static_cast<size_t>(end - at);
  switch (plan.packing) {
    case Packing::kInt1:
      if (left < 1) return nullptr;
      value->i = load<int8_t>(at);
      return at + 1;
    case Packing::kInt2:
      if (left < 2) return nullptr;
      value->i = load<int16_t>(at);
      return at + 2;
    case Packing::kInt3: {
      if (left < 3) return nullptr;
      value->i = static_cast<int32_t>(load3(at) << 8) >> 8;
      return at + 3;
    }
    case Packing::kInt4:
      if (left < 4) return nullptr;
      value->i = load<int32_t>(at);
      return at + 4;
    case Packing::kInt8:
      if (left < 8) return nullptr;
      value->i = load<int64_t>(at);
      return at + 8;
    case Packing::kUInt1:
      if (left < 1) return nullptr;
      value->u = *at;
      return at + 1;
    case Packing::kUInt2:
      if (left < 2) return nullptr;
      value->u = load<uint16_t>(at);
      return at + 2;
    case Packing::kUInt3:
      if (left < 3) return nullptr;
      value->u = load3(at);
      return at + 3;
    case Packing::kUInt4:
      if (left < 4) return nullptr;
      value->u = load<uint32_t>(at);
      return at + 4;
    case Packing::kUInt8:
      if (left < 8) return nullptr;
      value->u = load<uint64_t>(at);
      return at + 8;
    case Packing::kFloat:
      if (left < 4) return nullptr;
      value->f = load<float>(at);
      return at + 4;
    case Packing::kDouble:
      if (left < 8) return nullptr;
      value->d = load<double>(at);
      return at + 8;
    case Packing::kYear:
      if (left < 1) return nullptr;
      value->u = *at == 0 ? 0 : 1900U + *at;
      return at + 1;
    case Packing::kBit:
      if (left < plan.length_bytes) return nullptr;
      value->u = values::big_endian(at, plan.length_bytes);
      return at + plan.length_bytes;
    case Packing::kEnumOrSet:
      if (left < plan.length_bytes) return nullptr;
      value->u = load_length(at, plan.length_bytes);
      return at + plan.length_bytes;
    default:
      return decode_written_out(plan, at, end, value);
  }
}

const uint8_t* ImageDecoder::decode_written_out(const ColumnPlan& plan, const uint8_t* at, const uint8_t* end,
                                                ValueView* value) {
  switch (plan.packing) {
    case Packing::kDecimal: {
      if (static_cast<size_t>(end - at) < plan.size) return nullptr;
      char* out = arena_.take(values::kMaxText);
      text(value, out, values::write_decimal(out, at, plan.precision, plan.scale));
      arena_.give_back(values::kMaxText - value->bytes.size());
      return at + plan.size;
    }
    case Packing::kDate:
    case Packing::kTimeOld:
    case Packing::kDatetimeOld:
    case Packing::kTimestampOld:
    case Packing::kTime2:
    case Packing::kDatetime2:
    case Packing::kTimestamp2: {
      const uint8_t* next = decode_time(plan, at, end, value);
      if (next != nullptr) arena_.give_back(values::kMaxText - value->bytes.size());
      return next;
    }
    default:
      return decode_bytes(plan, at, end, value);
  }
}

namespace {
// The fraction after a packed time: `bytes` big-endian bytes in units of 10^(-2*bytes) seconds.
unsigned micros_at(const uint8_t* at, unsigned bytes) {
  return static_cast<unsigned>(values::big_endian(at, bytes)) * kMicrosPerUnit[bytes];
}

char* write_time2(char* out, const uint8_t* at, unsigned scale) {
  unsigned bytes = fraction_bytes(scale);
  // Seconds and fraction are one number, offset by half of its range.
  auto packed = static_cast<int64_t>(values::big_endian(at, 3 + bytes)) - (int64_t{0x800000} << (8 * bytes));
  if (packed < 0) *out++ = '-', packed = -packed;
  auto whole = static_cast<unsigned>(packed >> (8 * bytes));
  auto fraction = static_cast<unsigned>(packed & ((int64_t{1} << (8 * bytes)) - 1));
  out = values::write_clock(out, whole >> 12 & 0x3ff, whole >> 6 & 63, whole & 63);
  return values::write_fraction(out, fraction * kMicrosPerUnit[bytes], scale);
}

char* write_datetime2(char* out, const uint8_t* at, unsigned scale) {
  uint64_t packed = values::big_endian(at, 5) - 0x8000000000ULL;
  values::Civil civil;
  auto year_month = static_cast<unsigned>(packed >> 22 & 0x1ffff);
  civil.year = year_month / 13, civil.month = year_month % 13;
  civil.day = packed >> 17 & 31, civil.hour = packed >> 12 & 31;
  civil.minute = packed >> 6 & 63, civil.second = packed & 63;
  return values::write_datetime(out, civil, micros_at(at + 5, fraction_bytes(scale)), scale);
}

char* write_timestamp(char* out, uint32_t seconds, unsigned micros, unsigned scale) {
  values::Civil civil;  // zero stands for the zero date, not for 1970
  if (seconds != 0 || micros != 0) civil = values::civil_from_unix(seconds);
  return values::write_datetime(out, civil, micros, scale);
}

char* write_old_time(char* out, int32_t packed) {
  if (packed < 0) *out++ = '-', packed = -packed;
  auto value = static_cast<unsigned>(packed);
  return values::write_clock(out, value / 10000, value / 100 % 100, value % 100);
}

char* write_old_datetime(char* out, uint64_t packed) {
  values::Civil civil;
  auto date = static_cast<unsigned>(packed / 1000000 % 100000000);
  auto clock = static_cast<unsigned>(packed % 1000000);
  civil.year = date / 10000, civil.month = date / 100 % 100, civil.day = date % 100;
  civil.hour = clock / 10000, civil.minute = clock / 100 % 100, civil.second = clock % 100;
  return values::write_datetime(out, civil, 0, 0);
}
}  // namespace

// Leaves kMaxText taken from the arena; the caller gives back what the text does not use.
const uint8_t* ImageDecoder::decode_time(const ColumnPlan& plan, const uint8_t* at, const uint8_t* end,
                                         ValueView* value) {
  auto left = static_cast<size_t>(end - at);
  unsigned fraction = fraction_bytes(plan.scale);
  size_t size = 0;
  switch (plan.packing) {
    case Packing::kDate:
    case Packing::kTimeOld:
      size = 3;
      break;
    case Packing::kDatetimeOld:
      size = 8;
      break;
    case Packing::kTimestampOld:
      size = 4;
      break;
    case Packing::kTime2:
      size = 3 + fraction;
      break;
    case Packing::kDatetime2:
      size = 5 + fraction;
      break;
    default:
      size = 4 + fraction;
      break;
  }
  if (left < size) return nullptr;
  char* out = arena_.take(values::kMaxText);
  char* stop = out;
  switch (plan.packing) {
    case Packing::kDate: {
      uint32_t packed = load3(at);
      stop = values::write_date(out, packed >> 9, packed >> 5 & 15, packed & 31);
      break;
    }
    case Packing::kTimeOld:
      stop = write_old_time(out, static_cast<int32_t>(load3(at) << 8) >> 8);
      break;
    case Packing::kDatetimeOld:
      stop = write_old_datetime(out, load<uint64_t>(at));
      break;
    case Packing::kTimestampOld:
      stop = write_timestamp(out, load<uint32_t>(at), 0, 0);
      break;
    case Packing::kTime2:
      stop = write_time2(out, at, plan.scale);
      break;
    case Packing::kDatetime2:
      stop = write_datetime2(out, at, plan.scale);
      break;
    default:
      stop = write_timestamp(out, static_cast<uint32_t>(values::big_endian(at, 4)), micros_at(at + 4, fraction),
                             plan.scale);
  }
  text(value, out, stop);
  return at + size;
}

namespace {
char* write_uuid(char* out, const uint8_t* bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = kHex[bytes[i] >> 4];
    *out++ = kHex[bytes[i] & 15];
  }
  return out;
}
}  // namespace

const uint8_t* ImageDecoder::decode_bytes(const ColumnPlan& plan, const uint8_t* at, const uint8_t* end,
                                          ValueView* value) {
  auto left = static_cast<size_t>(end - at);
  if (left < plan.length_bytes) return nullptr;
  uint64_t size = load_length(at, plan.length_bytes);
  at += plan.length_bytes;
  if (size > left - plan.length_bytes) return nullptr;
  const uint8_t* next = at + size;
  std::string_view stored(reinterpret_cast<const char*>(at), static_cast<size_t>(size));
  switch (plan.packing) {
    case Packing::kBytes:
      value->bytes = stored;
      return next;
    case Packing::kPaddedBytes: {
      if (size >= plan.size) return value->bytes = stored, size == plan.size ? next : nullptr;
      char* out = arena_.take(plan.size);
      std::memcpy(out, stored.data(), stored.size());
      std::memset(out + stored.size(), 0, plan.size - stored.size());
      value->bytes = {out, plan.size};
      return next;
    }
    case Packing::kUuid:
    case Packing::kInet4:
    case Packing::kInet6: {
      uint8_t full[16] = {};
      if (size > plan.size || plan.size > sizeof full) return nullptr;
      std::memcpy(full, stored.data(), stored.size());
      char* out = arena_.take(values::kMaxText);
      if (plan.packing == Packing::kUuid) {
        text(value, out, write_uuid(out, full));
      } else {
        inet_ntop(plan.packing == Packing::kInet4 ? AF_INET : AF_INET6, full, out, values::kMaxText);
        value->bytes = out;
      }
      return next;
    }
    case Packing::kJson: {
      json_.clear();
      if (!append_json_text(json_, stored).ok()) return nullptr;
      char* out = arena_.take(json_.size());
      std::memcpy(out, json_.data(), json_.size());
      value->bytes = {out, json_.size()};
      if (json_.capacity() > kKeptBytes) json_ = std::string();
      return next;
    }
    default:
      return decompress(stored, value) ? next : nullptr;
  }
}

// First byte: 0 = plain; else method in the upper bits, 0x08 raw deflate, low bits the size of the original length.
bool ImageDecoder::decompress(std::string_view stored, ValueView* value) {
  if (stored.empty()) return true;
  auto head = static_cast<uint8_t>(stored[0]);
  stored.remove_prefix(1);
  if (head == 0) {
    value->bytes = stored;
    return true;
  }
  size_t length_size = head & 0x07;
  if ((head & 0x80) == 0 || length_size == 0 || length_size > 4 || stored.size() < length_size) return false;
  uint64_t size = values::big_endian(reinterpret_cast<const uint8_t*>(stored.data()), length_size);
  stored.remove_prefix(length_size);
  // Deflate cannot shrink more than 1032 times: a greater length is a lie and must not cost memory.
  if (size >= kMaxValue || size > (stored.size() + 1) * 1040) return false;
  char* out = arena_.take(std::max<size_t>(static_cast<size_t>(size), 1));
  z_stream stream{};
  if (inflateInit2(&stream, (head & 0x08) != 0 ? -MAX_WBITS : MAX_WBITS) != Z_OK) return false;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(stored.data()));
  stream.avail_in = static_cast<uInt>(stored.size());
  stream.next_out = reinterpret_cast<Bytef*>(out);
  stream.avail_out = static_cast<uInt>(size);
  int status = inflate(&stream, Z_FINISH);
  bool complete = status == Z_STREAM_END && stream.total_out == size;
  inflateEnd(&stream);
  value->bytes = {out, static_cast<size_t>(size)};
  return complete;
}

}  // namespace sluice::mysql
