#include "engines/mysql/dialect/create_table.hpp"

#include <algorithm>

#include "engines/mysql/dialect/analysis.hpp"
#include "engines/mysql/quoting.hpp"

namespace sluice::mysql {
namespace {

// The name of "[CONSTRAINT] `x` FOREIGN KEY …" and "KEY `x` (…)"; empty when there is none.
std::string item_name(const TokenList& tokens, const Item& item) {
  for (size_t i = item.first; i < item.last && !tokens.is_operator(i, '('); ++i)
    if (tokens.tokens[i].kind == TokenKind::kQuotedName) return tokens.name(i);
  return {};
}

std::string_view item_text(const TokenList& tokens, const Item& item) {
  size_t begin = tokens.tokens[item.first].begin;
  return tokens.sql.substr(begin, tokens.tokens[item.last - 1].end - begin);
}

// An AUTO_INCREMENT column must be the first of some key from the beginning.
bool serves_auto_increment(const TokenList& tokens, const ItemList& list, const Item& index) {
  size_t open = index.first;
  while (open < index.last && !tokens.is_operator(open, '(')) ++open;
  if (open + 1 >= index.last || !tokens.is_name(open + 1)) return false;
  std::string column = tokens.name(open + 1);
  for (const Item& item : list.items) {
    if (item.kind != ItemKind::kColumn || tokens.name(item.first) != column) continue;
    for (size_t i = item.first; i < item.last; ++i)
      if (tokens.is_word(i, "AUTO_INCREMENT")) return true;
  }
  return false;
}

// A table with several of them takes them one by one only, each time with all its rows.
bool is_fulltext(const TokenList& tokens, const Item& index) { return tokens.is_word(index.first, "FULLTEXT"); }

// The item's text with the names inside it replaced.
std::string mapped_text(const Analysis& a, const Item& item, const TableMapping& mapping) {
  size_t begin = a.tokens.tokens[item.first].begin, end = a.tokens.tokens[item.last - 1].end;
  std::vector<Edit> edits;
  for (const NameRef& ref : a.names) {
    if (ref.place.begin < begin || ref.place.end > end) continue;
    TableName to = mapping.target_of(ref.name);
    edits.push_back({{ref.place.begin - begin, ref.place.end - begin}, quote_table(to)});
  }
  return apply_edits(item_text(a.tokens, item), std::move(edits));
}

}  // namespace

Result<CreateTableParts> split_create_table(std::string_view show_create, const TableName& source,
                                            const TableMapping& mapping, const SplitOptions& options) {
  SLUICE_ASSIGN(Analysis a, analyse_ddl(show_create, source.database, options.sql_mode));
  if (a.statement.kind != DdlKind::kCreateTable || a.lists.empty() || a.lists.front().items.empty())
    return Error(ErrorCode::UNSUPPORTED, "the server's definition is not that of a table", source.to_string());
  CreateTableParts parts;
  const ItemList& list = a.lists.front();
  std::vector<Edit> edits = wrapper_edits(a.tokens);
  std::vector<bool> dropped;
  for (const Item& item : list.items) {
    bool index = options.defer_indexes && item.kind == ItemKind::kIndex && !is_fulltext(a.tokens, item) &&
                 !serves_auto_increment(a.tokens, list, item);
    if (index) parts.deferred_indexes.push_back({item_name(a.tokens, item), std::string(item_text(a.tokens, item))});
    if (item.kind == ItemKind::kForeignKey && item.parent)
      parts.foreign_keys.push_back(
          {item_name(a.tokens, item), mapped_text(a, item, mapping), *item.parent, mapping.includes(*item.parent)});
    dropped.push_back(index || item.kind == ItemKind::kForeignKey);
  }
  drop_items(edits, a.tokens, list, dropped);
  for (const NameRef& ref : a.names) {
    if (ref.role == NameRole::kParent) continue;
    TableName name = ref.role == NameRole::kChanged ? source : ref.name;
    if (!mapping.includes(name))
      return Error(ErrorCode::UNSUPPORTED, "a default uses " + name.to_string() + ", which is not part of the project",
                   source.to_string());
    std::string text = quote_table(mapping.target_of(name));
    if (ref.role == NameRole::kChanged && options.if_not_exists) text = "IF NOT EXISTS " + text;
    edits.push_back({ref.place, std::move(text)});
  }
  for (const ByteRange& range : a.removed) edits.push_back({range, ""});
  if (Status status = engine_edits(edits, a); !status.ok()) return status.error().with_object(source.to_string());
  parts.create = apply_edits(show_create, std::move(edits));
  return parts;
}

std::string without_counter(std::string_view show_create) {
  std::string text(show_create);
  constexpr std::string_view kOptions = "\n) ENGINE=", kCounter = " AUTO_INCREMENT=";
  const size_t options = text.rfind(kOptions);  // a line break inside of a comment is shown as \n
  if (options == std::string::npos) return text;
  const size_t begin = text.find(' ', options + kOptions.size());
  if (begin == std::string::npos || text.compare(begin, kCounter.size(), kCounter) != 0) return text;
  text.erase(begin, std::min(text.find_first_not_of("0123456789", begin + kCounter.size()), text.size()) - begin);
  return text;
}

Result<std::string> rewrite_view(std::string_view show_create, const TableName& source, const TableMapping& mapping,
                                 bool without_definer, std::vector<TableName>* reads) {
  SLUICE_ASSIGN(DdlStatement statement, parse_ddl(show_create, source.database, 0));
  if (statement.kind != DdlKind::kCreateView)
    return Error(ErrorCode::UNSUPPORTED, "the server's definition is not that of a view", source.to_string());
  if (reads != nullptr) *reads = statement.reads;
  SLUICE_ASSIGN(std::string text, rewrite_ddl(show_create, statement, mapping, 0, {}));
  SLUICE_ASSIGN(TokenList tokens, tokenize(text, 0));
  std::vector<Edit> edits;
  TokenCursor cursor(tokens, 0);
  while (without_definer && !cursor.end() && !cursor.word("VIEW")) {
    size_t begin = cursor.begin();
    bool definer = cursor.word("DEFINER") && cursor.op_after(1, '=');
    if (!definer) {
      cursor.skip();
      continue;
    }
    for (int word = 0; word < 3; ++word) cursor.skip();  // DEFINER = user
    if (cursor.op('(')) cursor.skip_parentheses();
    if (cursor.take_op('@')) cursor.skip();
    edits.push_back({{begin, cursor.end_of_last()}, ""});
  }
  return apply_edits(text, std::move(edits));
}

}  // namespace sluice::mysql
