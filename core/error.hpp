// Error: what went wrong, on which object, at which position, why, and what the operator can do.
//
// The codes, their messages, whether a retry can help and the operator's action are data (errors.def). An Error is a
// small immutable handle: copying is cheap, any thread may read it. It never carries a secret: callers pass texts that
// are free of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

enum class ErrorCode : uint16_t {
#define SLUICE_ERROR(id, retryable, message, action) id,
#include "core/errors.def"
#undef SLUICE_ERROR
};

struct ErrorInfo {
  std::string_view id;       // "TARGET_NOT_EMPTY"
  bool retryable;            // the same work may succeed when tried again
  std::string_view message;  // one line, lower case
  std::string_view action;   // what the operator can do
};

const ErrorInfo& error_info(ErrorCode code);
std::optional<ErrorCode> error_code_from_id(std::string_view id);

class Error {
 public:
  Error(ErrorCode code, std::string cause, std::string object = {}, std::string position = {});

  ErrorCode code() const { return body_->code; }
  std::string_view id() const { return error_info(code()).id; }
  bool retryable() const { return error_info(code()).retryable; }
  std::string_view action() const { return error_info(code()).action; }
  const std::string& cause() const { return body_->cause; }
  const std::string& object() const { return body_->object; }
  const std::string& position() const { return body_->position; }

  // A copy that names the object or position, unless one is named already (the innermost name is the most exact).
  Error with_object(std::string object) const;
  Error with_position(std::string position) const;
  // A copy whose cause is "context: cause".
  Error prefixed(std::string_view context) const;

  // "CODE object at position: message: cause", for logs and terminals.
  std::string to_string() const;

 private:
  struct Body {
    ErrorCode code;
    std::string cause, object, position;
  };
  std::shared_ptr<const Body> body_;
};

}  // namespace sluice
