// Result<T>: a value or an Error. Status: success or an Error. No exception crosses a folder or actor border.
//
//   SLUICE_TRY(write_all(fd, bytes));                     // returns the Error from the enclosing function
//   SLUICE_ASSIGN(auto table, catalog.table("a", "b"));   // the same, else declares and moves the value
#pragma once

#include <cassert>
#include <optional>
#include <utility>
#include <variant>

#include "core/error.hpp"

namespace sluice {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return content_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return assert(ok()), *std::get_if<0>(&content_); }
  const T& value() const& { return assert(ok()), *std::get_if<0>(&content_); }
  T&& value() && { return assert(ok()), std::move(*std::get_if<0>(&content_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const { return assert(!ok()), *std::get_if<1>(&content_); }

 private:
  std::variant<T, Error> content_;
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return assert(!ok()), *error_; }

 private:
  std::optional<Error> error_;
};

#define SLUICE_CONCAT_(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_(a, b)
#define SLUICE_TRY(expression)                                                                \
  do {                                                                                        \
    if (auto sluice_status = (expression); !sluice_status.ok()) return sluice_status.error(); \
  } while (false)
#define SLUICE_ASSIGN(declaration, expression) \
  SLUICE_ASSIGN_(SLUICE_CONCAT(sluice_result_, __LINE__), declaration, expression)
#define SLUICE_ASSIGN_(result, declaration, expression) \
  auto result = (expression);                           \
  if (!result.ok()) return result.error();              \
  declaration = std::move(result).value()

}  // namespace sluice
