#include "engines/mysql/dialect/tokenizer.hpp"

#include <gtest/gtest.h>

namespace sluice::mysql {
namespace {

struct Case {
  std::string sql;
  uint64_t sql_mode;
  std::vector<std::string> texts;
};

TEST(Tokenizer, CutsTexts) {
  const Case cases[] = {
      {"a b", 0, {"a", "b"}},
      {"CREATE TABLE`a`.`b`(c int)", 0, {"CREATE", "TABLE", "`a`", ".", "`b`", "(", "c", "int", ")"}},
      {"`a``b`", 0, {"`a``b`"}},
      {"\"a\"\"b\"", kSqlModeAnsiQuotes, {"\"a\"\"b\""}},
      {"'it''s' 'a\\'b'", 0, {"'it''s'", "'a\\'b'"}},
      {"'a\\' b", kSqlModeNoBackslashEscapes, {"'a\\'", "b"}},
      {"\"a\\\"b\" c", 0, {"\"a\\\"b\"", "c"}},
      {"a -- comment ' \n b", 0, {"a", "b"}},
      {"a --", 0, {"a"}},
      {"a--b", 0, {"a", "-", "-", "b"}},
      {"a # ' \nb", 0, {"a", "b"}},
      {"a /* ' */ b", 0, {"a", "b"}},
      {"/*!50100 PARTITION BY */ x", 0, {"PARTITION", "BY", "x"}},
      {"/*!501001 a */", 0, {"a"}},
      {"/*! a */ b", 0, {"a", "b"}},
      {"/*M!100100 a /* inner */ b */ c", 0, {"a", "b", "c"}},
      {"/*!50100 a /*!50200 b */ c */ d", 0, {"a", "b", "c", "d"}},
      {"a */ b", 0, {"a", "*", "/", "b"}},
      {"x'00ff' X'aa' b'01' n'x' N'y' 0xFF 0b01 0xZZ",
       0,
       {"x'00ff'", "X'aa'", "b'01'", "n'x'", "N'y'", "0xFF", "0b01", "0xZZ"}},
      {"_utf8mb4'a' _utf8 'b'", 0, {"_utf8mb4", "'a'", "_utf8", "'b'"}},
      {"1 1.5 .5 1e5 1.5E-3 1a 2e", 0, {"1", "1.5", ".5", "1e5", "1.5E-3", "1a", "2e"}},
      {"db.1t db.5 db . t .t", 0, {"db", ".", "1t", "db", ".", "5", "db", ".", "t", ".", "t"}},
      {"@a @@b @`c`", 0, {"@", "a", "@", "@", "b", "@", "`c`"}},
      {"таблица $a _b", 0, {"таблица", "$a", "_b"}},
      {"", 0, {}},
      {"  \n\t", 0, {}},
  };
  for (const Case& c : cases) {
    auto list = tokenize(c.sql, c.sql_mode);
    ASSERT_TRUE(list.ok()) << c.sql;
    std::vector<std::string> texts;
    for (size_t i = 0; i + 1 < list->tokens.size(); ++i) texts.emplace_back(list->text(i));
    EXPECT_EQ(texts, c.texts) << c.sql;
  }
}

TEST(Tokenizer, TakesQuotesOffNames) {
  auto list = tokenize("`a``b` \"c\"\"d\" e", kSqlModeAnsiQuotes);
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->name(0), "a`b");
  EXPECT_EQ(list->name(1), "c\"d");
  EXPECT_EQ(list->name(2), "e");
}

TEST(Tokenizer, QuotesNamesOnlyUnderAnsiQuotes) {
  EXPECT_EQ(tokenize("\"a\"", 0)->tokens[0].kind, TokenKind::kString);
  EXPECT_EQ(tokenize("\"a\"", kSqlModeAnsiQuotes)->tokens[0].kind, TokenKind::kQuotedName);
}

TEST(Tokenizer, FindsMarksOfVersionedComments) {
  auto list = tokenize("a /*!50100 b */", 0);
  ASSERT_EQ(list->wrappers.size(), 2u);
  EXPECT_EQ(list->wrappers[0].begin, 2u);
  EXPECT_EQ(list->wrappers[0].end, 10u);
  EXPECT_EQ(list->wrappers[1].begin, 13u);
}

TEST(Tokenizer, RefusesWhatIsNeverClosed) {
  for (const char* sql : {"'a", "\"a", "`a", "/* a", "/*! a", "a'\\'", "x'0", "'a\\"})
    EXPECT_FALSE(tokenize(sql, 0).ok()) << sql;
}

TEST(Tokenizer, MatchesParentheses) {
  auto list = tokenize("(a (b) c) ) (", 0);
  EXPECT_EQ(list->closing[0], 6u);
  EXPECT_EQ(list->closing[2], 4u);
  EXPECT_EQ(list->closing[8], 9u);  // never closed: the end
}

}  // namespace
}  // namespace sluice::mysql
