#include "engines/mysql/binlog/inflate.hpp"

#include <zlib.h>
#include <zstd.h>

#include <memory>

#include "engines/mysql/binlog/bytes.hpp"
#include "engines/mysql/binlog/events.hpp"
#include "engines/mysql/binlog/values.hpp"

namespace sluice::mysql {

namespace {
constexpr uint64_t kMaxEvent = (uint64_t{1} << 30) + (uint64_t{1} << 20);  // servers allow packets of 1 GiB
constexpr size_t kPiece = 256 << 10;
}  // namespace

Status inflate_mariadb(std::string_view compressed, std::string* out) {
  if (compressed.empty()) return invalid_event("an empty compressed event");
  auto head = static_cast<uint8_t>(compressed[0]);
  size_t length_size = head & 0x07;
  if ((head & 0x80) == 0 || (head & 0x70) != 0 || length_size == 0 || length_size > 4 ||
      compressed.size() < 1 + length_size) {
    return invalid_event("an event compressed in an unknown way");
  }
  uint64_t size = values::big_endian(reinterpret_cast<const uint8_t*>(compressed.data()) + 1, length_size);
  compressed.remove_prefix(1 + length_size);
  // Deflate cannot shrink more than 1032 times: a greater length is a lie and must not cost memory.
  if (size > kMaxEvent || size > (compressed.size() + 1) * 1040)
    return invalid_event("a compressed event of a false size");
  out->resize(static_cast<size_t>(size));
  auto length = static_cast<uLongf>(size);
  int status = uncompress(reinterpret_cast<Bytef*>(out->data()), &length,
                          reinterpret_cast<const Bytef*>(compressed.data()), static_cast<uLong>(compressed.size()));
  if (status != Z_OK || length != size) return invalid_event("a compressed event is damaged");
  return {};
}

namespace {
// Cuts a growing piece of bytes into events.
class EventCutter {
 public:
  explicit EventCutter(const std::function<Status(std::string_view)>& visit) : visit_(visit) {}

  Status add(std::string_view piece) {
    buffer_.append(piece);
    size_t at = 0;
    while (buffer_.size() - at >= EventHeader::kSize) {
      uint32_t size = 0;
      std::memcpy(&size, buffer_.data() + at + 9, 4);
      if (size < EventHeader::kSize || size > kMaxEvent) return invalid_event("an event of a false size in a payload");
      if (buffer_.size() - at < size) break;
      SLUICE_TRY(visit_(std::string_view(buffer_).substr(at, size)));
      at += size;
    }
    buffer_.erase(0, at);
    return {};
  }
  Status finish() const { return buffer_.empty() ? Status() : Status(invalid_event("a payload ends inside an event")); }

 private:
  const std::function<Status(std::string_view)>& visit_;
  std::string buffer_;
};

Status decompress(std::string_view payload, EventCutter& cutter) {
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  std::string piece(kPiece, '\0');
  ZSTD_inBuffer in{payload.data(), payload.size(), 0};
  size_t wanted = 1;
  for (;;) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    size_t before = in.pos;
    wanted = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(wanted) != 0) return invalid_event("a transaction payload is damaged");
    SLUICE_TRY(cutter.add(std::string_view(piece.data(), out.pos)));
    if (in.pos == in.size && out.pos < out.size) break;
    if (in.pos == before && out.pos == 0) return invalid_event("a transaction payload is damaged");
  }
  return wanted == 0 ? Status() : Status(invalid_event("a transaction payload is cut short"));
}
}  // namespace

Status for_each_payload_event(std::string_view body, const std::function<Status(std::string_view event)>& visit) {
  Cursor cursor(body);
  uint64_t compression = 255;
  while (!cursor.done()) {
    uint64_t kind = cursor.lenenc();
    if (kind == 0) break;
    Cursor value(cursor.lenenc_bytes());
    if (kind == 2) compression = value.lenenc();
  }
  if (cursor.failed()) return invalid_event("a short transaction payload");
  EventCutter cutter(visit);
  if (compression == 255) {
    SLUICE_TRY(cutter.add(cursor.rest()));
  } else if (compression == 0) {
    SLUICE_TRY(decompress(cursor.rest(), cutter));
  } else {
    return Error(ErrorCode::UNSUPPORTED, "transaction payload compression " + std::to_string(compression));
  }
  return cutter.finish();
}

}  // namespace sluice::mysql
