#include "agents/components/precheck/grants.hpp"

#include <algorithm>

#include "engines/mysql/dialect/tokenizer.hpp"

namespace sluice::agents::precheck {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return result;
}

// Names that servers changed; grants are kept under the new ones.
std::string modern(const std::string& privilege) {
  if (privilege == "REPLICATION CLIENT") return "BINLOG MONITOR";
  if (privilege == "ALL") return "ALL PRIVILEGES";
  return privilege;
}

}  // namespace

bool matches_grant_pattern(const std::string& pattern, const std::string& name) {
  size_t p = 0, n = 0, star = std::string::npos, resume = 0;
  while (n < name.size()) {
    bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
    if (p < pattern.size() && !escaped && pattern[p] == '%') {
      star = ++p;
      resume = n;
    } else if (p < pattern.size() && ((!escaped && pattern[p] == '_') || pattern[escaped ? p + 1 : p] == name[n])) {
      p += escaped ? 2 : 1;
      ++n;
    } else if (star != std::string::npos) {
      p = star;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

Grants Grants::parse(const std::vector<std::string>& lines) {
  Grants grants;
  for (const std::string& line : lines) {
    auto tokens = mysql::tokenize(line, 0);
    if (!tokens.ok() || !tokens->is_word(0, "GRANT")) continue;
    Level level;
    std::string words;
    auto finish = [&] {
      if (!words.empty()) level.privileges.insert(modern(words));
      words.clear();
    };
    size_t at = 1;
    for (; !tokens->is_word(at, "ON") && tokens->tokens[at].kind != mysql::TokenKind::kEnd; ++at) {
      if (tokens->is_operator(at, ',')) {
        finish();
      } else if (tokens->is_operator(at, '(')) {  // columns only: not enough for any need of ours
        at = tokens->closing[at];
        words.clear();
        if (tokens->tokens[at].kind == mysql::TokenKind::kEnd) break;
      } else {
        words += (words.empty() ? "" : " ") + upper(tokens->text(at));
      }
    }
    finish();
    if (!tokens->is_word(at, "ON") || tokens->is_word(at + 1, "PROCEDURE") || tokens->is_word(at + 1, "FUNCTION") ||
        tokens->is_word(at + 1, "PACKAGE") || level.privileges.count("PROXY") > 0)
      continue;
    if (tokens->is_word(at + 1, "TABLE")) ++at;
    if (at + 3 >= tokens->tokens.size() || !tokens->is_operator(at + 2, '.')) continue;
    level.database = tokens->name(at + 1);
    level.table = tokens->name(at + 3);
    grants.levels_.push_back(std::move(level));
  }
  return grants;
}

bool Grants::Level::allows(const std::string& privilege) const {
  return privileges.count("ALL PRIVILEGES") > 0 || privileges.count(modern(privilege)) > 0;
}

bool Grants::global(const std::string& privilege) const {
  return std::any_of(levels_.begin(), levels_.end(), [&](const Level& level) {
    return level.database == "*" && level.table == "*" && level.allows(privilege);
  });
}

bool Grants::database(const std::string& privilege, const std::string& name) const {
  return global(privilege) || std::any_of(levels_.begin(), levels_.end(), [&](const Level& level) {
           return level.database != "*" && level.table == "*" && level.allows(privilege) &&
                  matches_grant_pattern(level.database, name);
         });
}

bool Grants::table(const std::string& privilege, const TableName& table) const {
  return database(privilege, table.database) || std::any_of(levels_.begin(), levels_.end(), [&](const Level& level) {
           return level.database == table.database && level.table == table.table && level.allows(privilege);
         });
}

}  // namespace sluice::agents::precheck
