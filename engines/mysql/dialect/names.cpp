// Names of tables inside queries and expressions.
#include <map>

#include "engines/mysql/dialect/analysis.hpp"

namespace sluice::mysql {
namespace {

// A query is walked token by token with one frame per open parenthesis, so depth costs memory and not stack.
class QueryWalk {
 public:
  QueryWalk(Analysis& analysis, size_t first, size_t last, std::string_view default_database)
      : analysis_(analysis),
        tokens_(analysis.tokens),
        cursor_(analysis.tokens, first),
        last_(last),
        default_database_(default_database) {}

  void run() {
    frames_.push_back({});
    while (cursor_.at() < last_ && !cursor_.end()) step();
    collect_qualifiers();
  }

 private:
  struct Frame {
    bool query = false;  // a SELECT was seen at this depth
    bool from = false;   // inside its FROM clause
    bool expect_table = false;
    bool in_with = false;  // between WITH and the query itself
  };
  Frame& frame() { return frames_.back(); }

  void step() {
    if (cursor_.op('(')) return open();
    if (cursor_.op(')')) {
      if (frames_.size() > 1) frames_.pop_back();
      frame().expect_table = false;
      return cursor_.skip();
    }
    if (cursor_.op(',')) {
      frame().expect_table = frame().from;
      return cursor_.skip();
    }
    if (frame().expect_table && cursor_.name()) return table();
    if (frame().in_with && cursor_.name() && !cursor_.word("SELECT") && !cursor_.word("VALUES")) return with_name();
    keyword();
  }

  void open() {
    Frame inner;
    // FROM (a JOIN b): a list of tables in parentheses.
    if (frame().expect_table) inner.from = inner.expect_table = true;
    frame().expect_table = false;
    frames_.push_back(inner);
    cursor_.skip();
  }

  void keyword() {
    Frame& f = frame();
    if (cursor_.word("SELECT")) {
      f = {.query = true};
    } else if (cursor_.word("WITH") && !f.from && !f.query) {
      f.in_with = true;
      if (cursor_.word_after(1, "RECURSIVE")) cursor_.skip();
    } else if (cursor_.word("FROM") && f.query && !f.from) {
      f.from = f.expect_table = true;
    } else if (f.from && (cursor_.word("JOIN") || cursor_.word("STRAIGHT_JOIN"))) {
      f.expect_table = true;
    } else if (f.from && ends_from()) {
      f.from = f.expect_table = false;
    }
    cursor_.skip();
  }

  bool ends_from() const {
    for (std::string_view w : {"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "WINDOW", "UNION", "EXCEPT", "INTERSECT",
                               "PROCEDURE", "INTO", "FETCH", "OFFSET"})
      if (cursor_.word(w)) return true;
    return false;
  }

  // name [(columns)] AS (query)
  void with_name() {
    common_.insert(tokens_.name(cursor_.at()));
    cursor_.skip();
    if (cursor_.op('(')) cursor_.skip_parentheses();
    cursor_.take("AS");
  }

  void table() {
    if (cursor_.word("LATERAL") || cursor_.word("DUAL") || cursor_.word("SELECT") || cursor_.word("VALUES")) {
      frame().expect_table = false;
      return keyword();
    }
    frame().expect_table = false;
    bool qualified = cursor_.op_after(1, '.');
    std::string plain = tokens_.name(cursor_.at());
    auto ref = take_name(cursor_, tokens_, default_database_, NameRole::kRead);
    if (!ref) return cursor_.skip();
    if (cursor_.op('(') || (!qualified && common_.count(plain) > 0)) return;  // JSON_TABLE(…), WITH
    if (cursor_.word("PARTITION") && cursor_.op_after(1, '(')) {
      cursor_.skip();
      cursor_.skip_parentheses();
    }
    ref->needs_alias = !alias_follows();
    read_.emplace(ref->name, ref->needs_alias);
    analysis_.statement.reads.push_back(ref->name);
    analysis_.names.push_back(std::move(*ref));
  }

  bool alias_follows() const {
    if (cursor_.at() >= last_ || !cursor_.name()) return false;
    for (std::string_view w :
         {"JOIN",   "INNER",  "CROSS", "LEFT",      "RIGHT",  "NATURAL", "STRAIGHT_JOIN", "ON",        "USING", "WHERE",
          "GROUP",  "HAVING", "ORDER", "LIMIT",     "WINDOW", "UNION",   "EXCEPT",        "INTERSECT", "USE",   "FORCE",
          "IGNORE", "FOR",    "INTO",  "PROCEDURE", "FETCH",  "OFFSET",  "WITH",          "LOCK"})
      if (cursor_.word(w)) return false;
    return true;
  }

  // database.table.column and database.table.*
  void collect_qualifiers() {
    std::set<size_t> taken;
    for (const NameRef& n : analysis_.names) taken.insert(n.place.begin);
    for (size_t i = cursor_first(); i + 4 < last_; ++i) {
      if (!tokens_.is_name(i) || !tokens_.is_operator(i + 1, '.') || !tokens_.is_name(i + 2) ||
          !tokens_.is_operator(i + 3, '.') || taken.count(tokens_.tokens[i].begin) > 0)
        continue;
      if (i > 0 && tokens_.is_operator(i - 1, '.')) continue;
      TableName name{tokens_.name(i), tokens_.name(i + 2)};
      auto known = read_.find(name);
      if (known == read_.end()) continue;
      NameRef ref{{tokens_.tokens[i].begin, tokens_.tokens[i + 2].end}, name, NameRole::kQualifier, known->second};
      analysis_.names.push_back(std::move(ref));
      i += 3;
    }
  }
  size_t cursor_first() const { return first_; }

  Analysis& analysis_;
  const TokenList& tokens_;
  TokenCursor cursor_;
  size_t first_ = cursor_.at();
  size_t last_;
  std::string_view default_database_;
  std::vector<Frame> frames_;
  std::set<std::string> common_;    // names of WITH
  std::map<TableName, bool> read_;  // tables of the query, and whether they stand without an alias
};

}  // namespace

std::optional<NameRef> take_name(TokenCursor& cursor, const TokenList& tokens, std::string_view default_database,
                                 NameRole role) {
  NameRef ref;
  ref.role = role;
  ref.place.begin = cursor.begin();
  if (cursor.op('.') && tokens.is_name(cursor.at() + 1)) cursor.skip();  // ".t" is t
  if (!cursor.name()) return std::nullopt;
  std::string first = tokens.name(cursor.at());
  cursor.skip();
  if (cursor.op('.') && tokens.is_name(cursor.at() + 1)) {
    cursor.skip();
    ref.name = {std::move(first), tokens.name(cursor.at())};
    cursor.skip();
  } else {
    ref.name = {std::string(default_database), std::move(first)};
  }
  ref.place.end = cursor.end_of_last();
  return ref;
}

void collect_query_names(Analysis& analysis, size_t first, size_t last, std::string_view default_database) {
  QueryWalk(analysis, first, last, default_database).run();
  collect_sequence_names(analysis, first, last, default_database);
}

void collect_sequence_names(Analysis& analysis, size_t first, size_t last, std::string_view default_database) {
  const TokenList& tokens = analysis.tokens;
  for (size_t i = first; i < last; ++i) {
    TokenCursor cursor(tokens, i);
    bool call = (cursor.word("NEXTVAL") || cursor.word("LASTVAL") || cursor.word("SETVAL")) && cursor.op_after(1, '(');
    bool phrase = (cursor.word("NEXT") || cursor.word("PREVIOUS")) && cursor.word_after(1, "VALUE") &&
                  cursor.word_after(2, "FOR");
    if (!call && !phrase) continue;
    cursor.move_to(i + (call ? 2 : 3));
    auto ref = take_name(cursor, tokens, default_database, NameRole::kSequence);
    if (!ref) continue;
    analysis.statement.reads.push_back(ref->name);
    analysis.names.push_back(std::move(*ref));
  }
}

}  // namespace sluice::mysql
