#include "core/error.hpp"

#include <array>

namespace sluice {
namespace {

constexpr auto kCatalogue = std::to_array<ErrorInfo>({
#define SLUICE_ERROR(id, retryable, message, action) {#id, retryable, message, action},
#include "core/errors.def"
#undef SLUICE_ERROR
});

}  // namespace

const ErrorInfo& error_info(ErrorCode code) {
  auto index = static_cast<size_t>(code);
  return kCatalogue[index < kCatalogue.size() ? index : 0];
}

std::optional<ErrorCode> error_code_from_id(std::string_view id) {
  for (size_t index = 0; index < kCatalogue.size(); ++index)
    if (kCatalogue[index].id == id) return static_cast<ErrorCode>(index);
  return std::nullopt;
}

Error::Error(ErrorCode code, std::string cause, std::string object, std::string position)
    : body_(std::make_shared<const Body>(Body{code, std::move(cause), std::move(object), std::move(position)})) {}

Error Error::with_object(std::string object) const {
  return body_->object.empty() ? Error(body_->code, body_->cause, std::move(object), body_->position) : *this;
}

Error Error::with_position(std::string position) const {
  return body_->position.empty() ? Error(body_->code, body_->cause, body_->object, std::move(position)) : *this;
}

Error Error::prefixed(std::string_view context) const {
  return Error(body_->code, std::string(context) + ": " + body_->cause, body_->object, body_->position);
}

std::string Error::to_string() const {
  const ErrorInfo& info = error_info(body_->code);
  std::string text(info.id);
  if (!body_->object.empty()) text.append(" ").append(body_->object);
  if (!body_->position.empty()) text.append(" at ").append(body_->position);
  text.append(": ").append(info.message);
  if (!body_->cause.empty()) text.append(": ").append(body_->cause);
  return text;
}

}  // namespace sluice
