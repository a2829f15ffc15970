// Tokenizer: cuts a statement of the MySQL family into tokens that keep their byte offsets, so that a rewriter can
// replace pieces and leave the rest of the text as it was. Pure function; linear time; any bytes are accepted.
//
// The content of versioned comments (/*!50100 … */, /*M!100100 … */) counts as code: a server that skips such a comment
// also takes its exclamation mark out of the text that it logs, so what still stands in a log was executed. The marks
// themselves are reported as `wrappers`; a text without them does the same on a server of any version.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace sluice::mysql {

// Bits of sql_mode, as the servers keep and log them.
inline constexpr uint64_t kSqlModeAnsiQuotes = 1ULL << 2;
inline constexpr uint64_t kSqlModeNoBackslashEscapes = 1ULL << 20;

enum class TokenKind : uint8_t {
  kWord,        // keyword or plain identifier
  kQuotedName,  // `a`, or "a" under ANSI_QUOTES
  kString,      // 'a', "a", x'00', b'0', n'a'
  kNumber,      // 1, 1.5e3, .5, 0x1f, 0b1
  kOperator,    // one byte: ( ) , . ; = @ …
  kEnd,         // behind the last token
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t begin = 0, end = 0;  // bytes of the statement
};

struct ByteRange {
  size_t begin = 0, end = 0;
};

struct TokenList {
  std::string_view sql;             // what was tokenized; the caller keeps it alive
  std::vector<Token> tokens;        // the last one is kEnd
  std::vector<ByteRange> wrappers;  // "/*!50100" and "*/" of versioned comments
  std::vector<size_t> closing;      // per token: for "(" the index of its ")", or of kEnd when there is none

  std::string_view text(size_t index) const {
    const Token& t = tokens[index];
    return sql.substr(t.begin, t.end - t.begin);
  }
  bool is_word(size_t index, std::string_view upper_case) const;  // a plain word, letters in any case
  bool is_operator(size_t index, char c) const;
  bool is_name(size_t index) const {
    return tokens[index].kind == TokenKind::kWord || tokens[index].kind == TokenKind::kQuotedName;
  }
  std::string name(size_t index) const;  // of a word or quoted name, without its quotes
};

// INVALID_ARGUMENT when a quote or comment is never closed.
Result<TokenList> tokenize(std::string_view sql, uint64_t sql_mode);

}  // namespace sluice::mysql
