#include "engines/mysql/dialect/columns.hpp"

#include "engines/mysql/dialect/analysis.hpp"
#include "engines/mysql/dialect/fold.hpp"

namespace sluice::mysql {
namespace {

class Columns {
 public:
  explicit Columns(const Analysis& analysis) : tokens_(analysis.tokens) {}
  std::vector<ColumnNews> news;

  // `name type …`, unless it defines something else.
  void definition(TokenCursor c) {
    for (std::string_view other : {"CONSTRAINT", "FOREIGN", "PRIMARY", "UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL",
                                   "CHECK", "PERIOD", "PARTITION", "SYSTEM"})
      if (c.word(other)) return;
    if (!c.name()) return;
    size_t name = c.at();
    c.skip();
    if (c.name()) news.push_back({column(name), upper(tokens_.text(c.at())), {}});
  }

  void clause(const Item& item) {
    TokenCursor c(tokens_, item.first);
    if (c.take("ADD")) {
      c.take("COLUMN");
      skip_if(c, "NOT");
      c.op('(') ? definitions(c) : definition(c);
    } else if (c.take("MODIFY")) {
      c.take("COLUMN");
      skip_if(c, {});
      definition(c);
    } else if (c.take("CHANGE")) {
      c.take("COLUMN");
      skip_if(c, {});
      gone(c);
      definition(c);
    } else if (c.take("DROP")) {
      c.take("COLUMN");
      skip_if(c, {});
      gone(c);
    } else if (c.take("RENAME", "COLUMN")) {
      skip_if(c, {});
      std::string from = column(c.at());
      c.skip();
      if (c.take("TO") && c.name()) news.push_back({column(c.at()), {}, from});
    }
  }

 private:
  static std::string upper(std::string_view text) {
    std::string result(text);
    for (char& letter : result)
      if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 32);
    return result;
  }
  std::string column(size_t at) const { return fold_name(tokens_.name(at)); }
  void skip_if(TokenCursor& c, std::string_view negation) {
    if (!c.take("IF")) return;
    if (!negation.empty()) c.take(negation);
    c.take("EXISTS");
  }
  // The KEY of DROP KEY is taken for a column as well, which does no harm.
  void gone(TokenCursor& c) {
    if (!c.name()) return;
    news.push_back({column(c.at()), {}, {}});
    c.skip();
  }
  void definitions(TokenCursor c) {
    size_t end = tokens_.closing[c.at()];
    c.skip();
    while (c.at() < end) {
      definition(c);
      while (c.at() < end && !c.op(',')) c.op('(') ? c.skip_parentheses() : c.skip();
      c.take_op(',');
    }
  }

  const TokenList& tokens_;
};

}  // namespace

std::vector<ColumnNews> column_news(std::string_view sql, std::string_view default_database, uint64_t sql_mode) {
  auto analysis = analyse_ddl(sql, default_database, sql_mode);
  if (!analysis.ok()) return {};
  Columns columns(*analysis);
  bool alter = analysis->statement.kind == DdlKind::kAlterTable;
  for (const ItemList& list : analysis->lists) {
    if (list.is_definition == alter) continue;  // the parentheses of ADD (…) are read with their clause
    for (const Item& item : list.items)
      alter ? columns.clause(item) : columns.definition(TokenCursor(analysis->tokens, item.first));
  }
  return std::move(columns.news);
}

}  // namespace sluice::mysql
