#include "engines/mysql/dialect/tokenizer.hpp"

namespace sluice::mysql {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_control_or_space(char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; }
bool is_identifier(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

class Scanner {
 public:
  Scanner(std::string_view sql, uint64_t sql_mode)
      : sql_(sql),
        ansi_quotes_((sql_mode & kSqlModeAnsiQuotes) != 0),
        backslash_((sql_mode & kSqlModeNoBackslashEscapes) == 0) {
    list_.sql = sql;
  }

  Result<TokenList> run() {
    while (true) {
      SLUICE_TRY(skip_blank());
      if (at_ >= sql_.size()) break;
      SLUICE_TRY(next_token());
    }
    list_.tokens.push_back({TokenKind::kEnd, sql_.size(), sql_.size()});
    match_parentheses();
    return std::move(list_);
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0'; }
  bool has(size_t ahead) const { return at_ + ahead < sql_.size(); }

  // White space, comments and the marks of versioned comments.
  Status skip_blank() {
    while (at_ < sql_.size()) {
      char c = peek();
      if (is_space(c) || c == '\0') {
        ++at_;
      } else if (c == '#' || (c == '-' && peek(1) == '-' && (!has(2) || is_control_or_space(peek(2))))) {
        while (at_ < sql_.size() && sql_[at_] != '\n') ++at_;
      } else if (c == '/' && peek(1) == '*') {
        SLUICE_TRY(skip_comment());
      } else if (c == '*' && peek(1) == '/' && open_wrappers_ > 0) {
        --open_wrappers_;
        list_.wrappers.push_back({at_, at_ + 2});
        at_ += 2;
      } else {
        break;
      }
    }
    if (at_ >= sql_.size() && open_wrappers_ > 0)
      return Error(ErrorCode::INVALID_ARGUMENT, "a versioned comment is not closed");
    return {};
  }

  Status skip_comment() {
    size_t mark = peek(2) == '!' ? 3 : peek(2) == 'M' && peek(3) == '!' ? 4 : 0;
    if (mark == 0) {
      size_t end = sql_.find("*/", at_ + 2);
      if (end == std::string_view::npos) return Error(ErrorCode::INVALID_ARGUMENT, "a comment is not closed");
      at_ = end + 2;
      return {};
    }
    size_t digits = 0;
    while (digits < 6 && is_digit(peek(mark + digits))) ++digits;
    if (digits < 5) digits = 0;  // "/*!4 …": the number belongs to the code
    list_.wrappers.push_back({at_, at_ + mark + digits});
    at_ += mark + digits;
    ++open_wrappers_;
    return {};
  }

  Status next_token() {
    size_t begin = at_;
    char c = peek();
    if (c == '`' || (c == '"' && ansi_quotes_)) return quoted(TokenKind::kQuotedName, begin, false);
    if (c == '\'' || c == '"') return quoted(TokenKind::kString, begin, backslash_);
    if (is_identifier(c) && after_dot(begin)) return word(begin);
    if (peek(1) == '\'' && std::string_view("xXbBnN").find(c) != std::string_view::npos) {
      ++at_;
      return quoted(TokenKind::kString, begin, backslash_);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)) && !after_name(begin))) return number(begin);
    if (is_identifier(c)) return word(begin);
    ++at_;
    push(TokenKind::kOperator, begin);
    return {};
  }

  // In a.1b and a.5 what follows the dot is a name.
  bool after_dot(size_t begin) const {
    if (list_.tokens.size() < 2 || begin == 0 || sql_[begin - 1] != '.') return false;
    const Token& dot = list_.tokens.back();
    const Token& before = list_.tokens[list_.tokens.size() - 2];
    return dot.kind == TokenKind::kOperator && dot.end == begin &&
           (before.kind == TokenKind::kWord || before.kind == TokenKind::kQuotedName);
  }
  bool after_name(size_t begin) const {
    if (list_.tokens.empty()) return false;
    const Token& last = list_.tokens.back();
    return last.end == begin && (last.kind == TokenKind::kWord || last.kind == TokenKind::kQuotedName);
  }

  Status quoted(TokenKind kind, size_t begin, bool backslash) {
    char quote = sql_[at_++];
    while (at_ < sql_.size()) {
      char c = sql_[at_];
      if (c == '\\' && backslash) {
        at_ += 2;
      } else if (c == quote && peek(1) == quote && has(1)) {
        at_ += 2;
      } else if (c == quote) {
        ++at_;
        push(kind, begin);
        return {};
      } else {
        ++at_;
      }
    }
    return Error(ErrorCode::INVALID_ARGUMENT, "a quote is not closed");
  }

  Status word(size_t begin) {
    while (at_ < sql_.size() && is_identifier(sql_[at_])) ++at_;
    push(TokenKind::kWord, begin);
    return {};
  }

  // Digits that run into letters are a name (1a), except for 1e5, 0x1f and 0b01.
  Status number(size_t begin) {
    if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'b')) {
      bool hex = peek(1) == 'x';
      size_t end = at_ + 2;
      while (end < sql_.size() && (hex ? is_hex(sql_[end]) : sql_[end] == '0' || sql_[end] == '1')) ++end;
      if (end > at_ + 2 && (end >= sql_.size() || !is_identifier(sql_[end]))) {
        at_ = end;
        push(TokenKind::kNumber, begin);
        return {};
      }
    }
    while (is_digit(peek())) ++at_;
    bool fraction = peek() == '.';
    if (fraction) {
      ++at_;
      while (is_digit(peek())) ++at_;
    }
    if (upper(peek()) == 'E') {
      size_t sign = peek(1) == '+' || peek(1) == '-' ? 2 : 1;
      if (is_digit(peek(sign))) {
        at_ += sign;
        while (is_digit(peek())) ++at_;
        push(TokenKind::kNumber, begin);
        return {};
      }
    }
    if (!fraction && at_ < sql_.size() && is_identifier(sql_[at_])) return word(begin);
    push(TokenKind::kNumber, begin);
    return {};
  }

  void push(TokenKind kind, size_t begin) {
    if (at_ > sql_.size()) at_ = sql_.size();
    list_.tokens.push_back({kind, begin, at_});
  }

  void match_parentheses() {
    size_t count = list_.tokens.size();
    list_.closing.assign(count, count - 1);
    std::vector<size_t> open;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (list_.is_operator(i, '(')) {
        open.push_back(i);
      } else if (list_.is_operator(i, ')') && !open.empty()) {
        list_.closing[open.back()] = i;
        open.pop_back();
      }
    }
  }

  std::string_view sql_;
  bool ansi_quotes_, backslash_;
  size_t at_ = 0;
  size_t open_wrappers_ = 0;
  TokenList list_;
};

}  // namespace

bool TokenList::is_word(size_t index, std::string_view upper_case) const {
  if (index >= tokens.size() || tokens[index].kind != TokenKind::kWord) return false;
  std::string_view t = text(index);
  if (t.size() != upper_case.size()) return false;
  for (size_t i = 0; i < t.size(); ++i)
    if (upper(t[i]) != upper_case[i]) return false;
  return true;
}

bool TokenList::is_operator(size_t index, char c) const {
  return index < tokens.size() && tokens[index].kind == TokenKind::kOperator && sql[tokens[index].begin] == c;
}

std::string TokenList::name(size_t index) const {
  std::string_view t = text(index);
  if (tokens[index].kind != TokenKind::kQuotedName || t.size() < 2) return std::string(t);
  char quote = t.front();
  std::string name;
  for (size_t i = 1; i + 1 < t.size(); ++i) {
    name += t[i];
    if (t[i] == quote) ++i;
  }
  return name;
}

Result<TokenList> tokenize(std::string_view sql, uint64_t sql_mode) { return Scanner(sql, sql_mode).run(); }

}  // namespace sluice::mysql
