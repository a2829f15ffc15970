#include "core/secret.hpp"

#include <sodium.h>

namespace sluice {

Secret::Secret(std::string clear_text) : text_(std::move(clear_text)) {}
Secret::Secret(const Secret&) = default;
Secret::Secret(Secret&& other) noexcept : text_(other.text_) {
  // A copy and a wipe: a moved-from short string would keep its bytes.
  sodium_memzero(other.text_.data(), other.text_.size());
  other.text_.clear();
}
Secret& Secret::operator=(Secret other) noexcept {
  text_.swap(other.text_);
  return *this;
}
Secret::~Secret() { sodium_memzero(text_.data(), text_.size()); }

}  // namespace sluice
