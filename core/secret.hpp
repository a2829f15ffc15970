// Secret: a text that cannot be printed by accident. It has no operator<<, no formatter and no implicit conversion;
// its memory is wiped when it ends. Where the clear text is needed (a client library's call, the pipe to a child),
// reveal() makes that visible in the code.
// A value of its owner: no thread may change it while another one reads.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string clear_text);
  Secret(const Secret&);
  Secret(Secret&&) noexcept;
  Secret& operator=(Secret other) noexcept;
  ~Secret();

  const std::string& reveal() const { return text_; }
  bool empty() const { return text_.empty(); }
  bool operator==(const Secret&) const = default;

 private:
  std::string text_;
};

}  // namespace sluice
