#include "engines/mysql/binlog/json.hpp"

#include <charconv>
#include <cmath>

#include "engines/mysql/binlog/bytes.hpp"
#include "engines/mysql/binlog/values.hpp"

namespace sluice::mysql {

namespace {

constexpr unsigned kMaxDepth = 110;  // the server's own limit is 100

class JsonPrinter {
 public:
  JsonPrinter(std::string& out, size_t document_size) : out_(out), nodes_left_(document_size + 1) {}

  // Every value takes at least a byte of the document, so a document that refers to one place often is not valid.
  bool value(uint8_t type, std::string_view data, unsigned depth) {
    if (depth > kMaxDepth || nodes_left_-- == 0) return false;
    switch (type) {
      case 0:
        return container(data, true, 2, depth);
      case 1:
        return container(data, true, 4, depth);
      case 2:
        return container(data, false, 2, depth);
      case 3:
        return container(data, false, 4, depth);
      case 4:
        return literal(data);
      case 5:
        return integer<int16_t>(data);
      case 6:
        return integer<uint16_t>(data);
      case 7:
        return integer<int32_t>(data);
      case 8:
        return integer<uint32_t>(data);
      case 9:
        return integer<int64_t>(data);
      case 10:
        return integer<uint64_t>(data);
      case 11:
        return number(data);
      case 12: {
        std::string_view text;
        return sized(data, &text) && charge(text.size()) && (quote(text), true);
      }
      case 15:
        return opaque(data);
      default:
        return false;
    }
  }

 private:
  bool charge(size_t bytes) {
    if (bytes > nodes_left_) return false;
    nodes_left_ -= bytes;
    return true;
  }

  bool literal(std::string_view data) {
    if (data.empty() || static_cast<uint8_t>(data[0]) > 2) return false;
    out_ += data[0] == 0 ? "null" : data[0] == 1 ? "true" : "false";
    return true;
  }

  template <class N>
  bool integer(std::string_view data) {
    N value;
    if (data.size() < sizeof value) return false;
    std::memcpy(&value, data.data(), sizeof value);
    out_ += std::to_string(value);
    return true;
  }

  // As the server prints: shortest form that reads back, with ".0" for whole numbers, e20 without a plus sign.
  bool number(std::string_view data) {
    double value = 0;
    if (data.size() < 8) return false;
    std::memcpy(&value, data.data(), 8);
    if (!std::isfinite(value)) return false;
    char text[64];
    double size = std::fabs(value);
    bool plain = size == 0 || (size >= 1e-5 && size < 1e15);
    auto end = std::to_chars(text, text + sizeof text, value,
                             plain ? std::chars_format::fixed : std::chars_format::scientific);
    std::string_view written(text, static_cast<size_t>(end.ptr - text));
    if (plain) {
      out_ += written;
      if (written.find('.') == std::string_view::npos) out_ += ".0";
      return true;
    }
    size_t e = written.find('e');
    out_ += written.substr(0, e + 1);
    if (written[e + 1] == '-') out_ += '-';
    size_t digits = e + 2;
    while (digits + 1 < written.size() && written[digits] == '0') ++digits;
    out_ += written.substr(digits);
    return true;
  }

  // Length in groups of seven bits, then the bytes.
  static bool sized(std::string_view data, std::string_view* text) {
    uint64_t size = 0;
    for (unsigned i = 0; i < 5 && i < data.size(); ++i) {
      auto byte = static_cast<uint8_t>(data[i]);
      size |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
      if ((byte & 0x80) == 0) {
        if (size > data.size() - i - 1) return false;
        *text = data.substr(i + 1, static_cast<size_t>(size));
        return true;
      }
    }
    return false;
  }

  void quote(std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out_ += '"';
    for (char c : text) {
      switch (c) {
        case '"':
          out_ += "\\\"";
          break;
        case '\\':
          out_ += "\\\\";
          break;
        case '\b':
          out_ += "\\b";
          break;
        case '\f':
          out_ += "\\f";
          break;
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        default:
          if (static_cast<uint8_t>(c) < 0x20) {
            out_ += "\\u00";
            out_ += kHex[static_cast<uint8_t>(c) >> 4];
            out_ += kHex[static_cast<uint8_t>(c) & 15];
          } else {
            out_ += c;
          }
      }
    }
    out_ += '"';
  }

  bool opaque(std::string_view data) {
    if (data.empty()) return false;
    auto type = static_cast<uint8_t>(data[0]);
    std::string_view body;
    if (!sized(data.substr(1), &body) || !charge(body.size())) return false;
    char text[values::kMaxText];
    if (type == 246) {
      if (body.size() < 2) return false;
      auto precision = static_cast<uint8_t>(body[0]), scale = static_cast<uint8_t>(body[1]);
      if (precision == 0 || precision > 65 || scale > 38 || scale > precision ||
          body.size() - 2 != values::decimal_size(precision, scale)) {
        return false;
      }
      out_.append(text,
                  values::write_decimal(text, reinterpret_cast<const uint8_t*>(body.data()) + 2, precision, scale));
      return true;
    }
    if (type == 10 || type == 11 || type == 12 || type == 7) {
      int64_t packed = 0;
      if (body.size() != 8) return false;
      std::memcpy(&packed, body.data(), 8);
      char* end =
          type == 11 ? values::write_packed_time(text, packed, 6) : values::write_packed_datetime(text, packed, 6);
      if (type == 10) end = text + 10;
      out_ += '"';
      out_.append(text, end);
      out_ += '"';
      return true;
    }
    base64(type, body);
    return true;
  }

  void base64(uint8_t type, std::string_view body) {
    static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out_ += "\"base64:type" + std::to_string(type) + ":";
    for (size_t i = 0; i < body.size(); i += 3) {
      uint32_t word = 0;
      size_t left = std::min<size_t>(3, body.size() - i);
      for (size_t k = 0; k < 3; ++k) word = word << 8 | (k < left ? static_cast<uint8_t>(body[i + k]) : 0U);
      for (size_t k = 0; k < 4; ++k) out_ += k <= left ? kAlphabet[word >> (18 - 6 * k) & 63] : '=';
    }
    out_ += '"';
  }

  static uint64_t offset_at(std::string_view data, size_t at, size_t width) {
    uint64_t value = 0;
    std::memcpy(&value, data.data() + at, width);
    return value;
  }

  // Whether the value of this type stands in its entry instead of at an offset.
  static bool inlined(uint8_t type, size_t width) {
    return type == 4 || type == 5 || type == 6 || (width == 4 && (type == 7 || type == 8));
  }

  bool container(std::string_view data, bool object, size_t width, unsigned depth) {
    if (data.size() < 2 * width) return false;
    uint64_t count = offset_at(data, 0, width), size = offset_at(data, width, width);
    size_t key_entry = object ? width + 2 : 0, value_entry = 1 + width;
    if (size > data.size() || 2 * width + count * (key_entry + value_entry) > size) return false;
    data = data.substr(0, static_cast<size_t>(size));
    out_ += object ? '{' : '[';
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_ += ", ";
      if (object) {
        size_t entry = 2 * width + i * key_entry;
        uint64_t at = offset_at(data, entry, width), length = offset_at(data, entry + width, 2);
        if (at > size || length > size - at || !charge(static_cast<size_t>(length))) return false;
        quote(data.substr(static_cast<size_t>(at), static_cast<size_t>(length)));
        out_ += ": ";
      }
      size_t entry = 2 * width + static_cast<size_t>(count) * key_entry + i * value_entry;
      auto type = static_cast<uint8_t>(data[entry]);
      uint64_t at = inlined(type, width) ? entry + 1 : offset_at(data, entry + 1, width);
      if (at >= size || !value(type, data.substr(static_cast<size_t>(at)), depth + 1)) return false;
    }
    out_ += object ? '}' : ']';
    return true;
  }

  std::string& out_;
  size_t nodes_left_;
};

}  // namespace

Status append_json_text(std::string& out, std::string_view binary) {
  if (binary.empty()) {
    out += "null";
    return {};
  }
  JsonPrinter printer(out, binary.size());
  if (printer.value(static_cast<uint8_t>(binary[0]), binary.substr(1), 0)) return {};
  return invalid_event("a JSON value cannot be decoded");
}

}  // namespace sluice::mysql
