// Writing and reading little-endian numbers and length-prefixed texts. A Reader never reads outside its bytes: each
// call returns false when they end. For core's own encodings.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::wire {

template <class T>
void append(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

template <class T>
void store(std::string& out, size_t at, T value) {
  std::memcpy(out.data() + at, &value, sizeof(T));
}

class Writer {
 public:
  void u8(uint8_t v) { append(out_, v); }
  void u16(uint16_t v) { append(out_, v); }
  void u32(uint32_t v) { append(out_, v); }
  void u64(uint64_t v) { append(out_, v); }
  void i64(int64_t v) { append(out_, v); }
  void text(std::string_view v) { u32(static_cast<uint32_t>(v.size())), out_.append(v); }
  void texts(const std::vector<std::string>& list) {
    u32(static_cast<uint32_t>(list.size()));
    for (const std::string& item : list) text(item);
  }
  std::string take() && { return std::move(out_); }
  const std::string& bytes() const { return out_; }

 private:
  std::string out_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool u8(uint8_t& v) { return number(v); }
  bool u16(uint16_t& v) { return number(v); }
  bool u32(uint32_t& v) { return number(v); }
  bool u64(uint64_t& v) { return number(v); }
  bool i64(int64_t& v) { return number(v); }
  bool bytes(size_t size, std::string_view& v) {
    if (rest_.size() < size) return false;
    v = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  bool text(std::string_view& v) {
    uint32_t size = 0;
    return u32(size) && bytes(size, v);
  }
  bool text(std::string& v) {
    std::string_view view;
    if (!text(view)) return false;
    v.assign(view);
    return true;
  }
  bool texts(std::vector<std::string>& list, size_t count_max) {
    uint32_t count = 0;
    if (!u32(count) || count > count_max || count > rest_.size()) return false;
    list.resize(count);
    for (std::string& item : list)
      if (!text(item)) return false;
    return true;
  }
  bool at_end() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  template <class T>
  bool number(T& v) {
    if (rest_.size() < sizeof(T)) return false;
    std::memcpy(&v, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return true;
  }
  std::string_view rest_;
};

}  // namespace sluice::wire
