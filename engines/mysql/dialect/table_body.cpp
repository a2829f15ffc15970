// What stands behind the table name in CREATE TABLE and ALTER TABLE.
#include <algorithm>

#include "engines/mysql/dialect/analysis.hpp"

namespace sluice::mysql {
namespace {

std::string upper_case(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return result;
}

// Engines whose tables hold no rows of their own, or whose rows are somewhere else.
bool is_foreign_engine(const std::string& engine) {
  for (std::string_view e :
       {"BLACKHOLE", "MERGE", "MRG_MYISAM", "FEDERATED", "FEDERATEDX", "CONNECT", "SPIDER", "S3", "SPHINX", "OQGRAPH"})
    if (engine == e) return true;
  return false;
}

// An option "NAME [=] value" at the cursor, when its name is there; the place of the value.
std::optional<ByteRange> take_value(TokenCursor& cursor, const TokenList& tokens) {
  cursor.take_op('=');
  if (cursor.end()) return std::nullopt;
  size_t at = cursor.at();
  cursor.skip();
  return ByteRange{tokens.tokens[at].begin, tokens.tokens[at].end};
}

void note_engine(Analysis& a, ByteRange value) {
  std::string name = upper_case(a.tokens.sql.substr(value.begin, value.end - value.begin));
  std::erase_if(name, [](char c) { return c == '`' || c == '\'' || c == '"'; });
  if (is_foreign_engine(name)) a.foreign_engine = name;
  a.engines.push_back(value);
}

// One storage option at the cursor; false when there is none. In partition definitions and table options alike. The
// cursor must be where an option may stand: tables have columns, keys and partitions of the same names.
bool take_storage_option(Analysis& a, TokenCursor& cursor) {
  size_t begin = cursor.begin();
  if (cursor.word("ENGINE") && (cursor.op_after(1, '=') || a.tokens.is_name(cursor.at() + 1) ||
                                a.tokens.tokens[cursor.at() + 1].kind == TokenKind::kString)) {
    cursor.skip();
    if (auto value = take_value(cursor, a.tokens)) note_engine(a, *value);
    return true;
  }
  if (cursor.take("ROW_FORMAT")) {
    take_value(cursor, a.tokens);
    a.row_formats.push_back({begin, cursor.end_of_last()});
    return true;
  }
  if (cursor.take("DATA", "DIRECTORY") || cursor.take("INDEX", "DIRECTORY")) {
    take_value(cursor, a.tokens);
    a.removed.push_back({begin, cursor.end_of_last()});
    return true;
  }
  if (cursor.take("TABLESPACE")) {  // its value may be called as an option
    take_value(cursor, a.tokens);
    return true;
  }
  return false;
}

// A storage option, or the next piece of another one: parentheses and what stands behind "=" as a whole.
void take_option(Analysis& a, TokenCursor& cursor) {
  if (take_storage_option(a, cursor)) return;
  if (!cursor.op('(')) {
    cursor.skip();
    if (!cursor.take_op('=')) return;
  }
  cursor.op('(') ? cursor.skip_parentheses() : cursor.skip();
}

bool begins_partition(const TokenList& tokens, size_t at) {
  return (tokens.is_word(at, "PARTITION") || tokens.is_word(at, "SUBPARTITION")) && !tokens.is_word(at + 1, "BY");
}

// Storage options of partition definitions in tokens [first, last). They stand in parentheses that begin with
// PARTITION, unless a single definition begins at `first`; other parentheses hold expressions and values. Without
// recursion: hostile texts nest deeply.
void scan_partitions(Analysis& a, size_t first, size_t last) {
  TokenCursor cursor(a.tokens, first);
  bool inside = a.tokens.is_word(first, "TO");
  while (cursor.at() < last && !cursor.end()) {
    if (cursor.op('(')) {
      if (!begins_partition(a.tokens, cursor.at() + 1)) {
        cursor.skip_parentheses();
        continue;
      }
      inside = true;
      cursor.skip();
    }
    if (begins_partition(a.tokens, cursor.at())) {
      cursor.skip();
      cursor.skip();  // the partition's name
    } else if (!inside || !take_storage_option(a, cursor)) {
      cursor.skip();
    }
  }
}

// From REFERENCES to the end of its actions.
ByteRange take_references(Analysis& a, TokenCursor& cursor, std::string_view default_database, Item& item) {
  ByteRange range{cursor.begin(), 0};
  cursor.skip();
  if (auto ref = take_name(cursor, a.tokens, default_database, NameRole::kParent)) {
    item.parent = ref->name;
    a.statement.reads.push_back(ref->name);
    a.names.push_back(std::move(*ref));
  }
  if (cursor.op('(')) cursor.skip_parentheses();
  while (true) {
    if (cursor.take("MATCH")) {
      cursor.skip();
    } else if (cursor.word("ON") && (cursor.word_after(1, "DELETE") || cursor.word_after(1, "UPDATE"))) {
      cursor.skip();
      cursor.skip();
      if (!cursor.take("SET", "NULL") && !cursor.take("SET", "DEFAULT") && !cursor.take("NO", "ACTION")) cursor.skip();
    } else {
      break;
    }
  }
  range.end = cursor.end_of_last();
  return range;
}

ItemKind kind_of_definition(TokenCursor cursor) {
  if (cursor.take("CONSTRAINT")) {
    if (!cursor.word("FOREIGN") && !cursor.word("PRIMARY") && !cursor.word("UNIQUE") && !cursor.word("CHECK"))
      cursor.skip();
    if (cursor.word("CHECK")) return ItemKind::kOther;
  }
  if (cursor.word("FOREIGN") && cursor.word_after(1, "KEY")) return ItemKind::kForeignKey;
  if (cursor.word("PRIMARY") || cursor.word("UNIQUE")) return ItemKind::kPrimaryOrUnique;
  if (cursor.word("KEY") || cursor.word("INDEX") || cursor.word("FULLTEXT") || cursor.word("SPATIAL") ||
      (cursor.word("VECTOR") && (cursor.word_after(1, "KEY") || cursor.word_after(1, "INDEX"))))
    return ItemKind::kIndex;
  if (cursor.word("CHECK") || (cursor.word("PERIOD") && cursor.word_after(1, "FOR")) || cursor.word("PARTITION"))
    return ItemKind::kOther;
  return cursor.name() ? ItemKind::kColumn : ItemKind::kOther;
}

// References and sequences inside one definition, tokens [first, item.last). Keys and referenced tables may be called
// as the functions of sequences are, so these are looked for in columns only.
void scan_definition(Analysis& a, Item& item, size_t first, std::string_view default_database) {
  TokenCursor cursor(a.tokens, first);
  size_t expressions = first;
  const auto collect = [&](size_t end) {
    if (item.kind == ItemKind::kColumn) collect_sequence_names(a, expressions, end, default_database);
  };
  while (cursor.at() < item.last && !cursor.end()) {
    if (cursor.op('(')) {
      cursor.skip_parentheses();
    } else if (cursor.word("REFERENCES") && cursor.at() > first) {
      collect(cursor.at());
      ByteRange range = take_references(a, cursor, default_database, item);
      if (item.kind == ItemKind::kColumn) item.references.push_back(range);
      expressions = cursor.at();
    } else {
      cursor.skip();
    }
  }
  collect(item.last);
}

// The items of a comma-separated list in tokens [first, last), with their places only.
ItemList split_items(const TokenList& tokens, size_t first, size_t last) {
  ItemList list;
  size_t start = first;
  for (size_t i = first; i <= last; ++i) {
    if (i < last && tokens.is_operator(i, '(')) {
      i = std::min(tokens.closing[i], last);
      if (i < last) continue;
    }
    if (i >= last || tokens.is_operator(i, ',')) {
      list.items.push_back({start, std::min(i, last)});
      start = i + 1;
    }
  }
  return list;
}

void analyse_definitions(Analysis& a, size_t first, size_t last, std::string_view default_database) {
  ItemList list = split_items(a.tokens, first, last);
  list.is_definition = true;
  for (Item& item : list.items) {
    item.kind = kind_of_definition(TokenCursor(a.tokens, item.first));
    scan_definition(a, item, item.first, default_database);
  }
  a.lists.push_back(std::move(list));
}

bool begins_query(const TokenCursor& cursor) {
  if (cursor.word("SELECT") || cursor.word("VALUES")) return true;
  return cursor.word("WITH") && !cursor.word_after(1, "SYSTEM") && !cursor.op_after(1, '=');
}

bool begins_query_in_parentheses(TokenCursor cursor) {
  while (cursor.take_op('(')) {
  }
  return begins_query(cursor);
}

void need_copy(Analysis& a, std::string reason) {
  if (a.statement.needs_copy) return;
  a.statement.needs_copy = true;
  a.statement.needs_copy_reason = std::move(reason);
}

// A default whose value differs from call to call, or depends on the session.
bool has_volatile_default(const TokenList& tokens, size_t first, size_t last) {
  bool in_default = false;
  for (size_t i = first; i < last; ++i) {
    if (tokens.is_word(i, "DEFAULT")) in_default = true;
    if (!in_default) continue;
    if (tokens.is_operator(i, '@') && (tokens.is_operator(i + 1, '@') || tokens.is_name(i + 1))) return true;
    if (tokens.is_word(i, "NEXT") && tokens.is_word(i + 1, "VALUE")) return true;
    if (!tokens.is_operator(i + 1, '(')) {
      if (tokens.is_word(i, "CURRENT_USER") || tokens.is_word(i, "CURRENT_ROLE")) return true;
      continue;
    }
    for (std::string_view f :
         {"UUID",         "UUID_SHORT",   "SYS_GUID",    "RAND",           "RANDOM_BYTES",  "SYSDATE",
          "NEXTVAL",      "SETVAL",       "LASTVAL",     "LAST_INSERT_ID", "CONNECTION_ID", "USER",
          "CURRENT_USER", "SESSION_USER", "SYSTEM_USER", "CURRENT_ROLE",   "VERSION",       "FOUND_ROWS",
          "ROW_COUNT",    "LOAD_FILE",    "GET_LOCK",    "RELEASE_LOCK",   "UUID_V4",       "UUID_V7",
          "UUIDV4",       "UUIDV7"})
      if (tokens.is_word(i, f)) return true;
  }
  return false;
}

bool contains_word(const TokenList& tokens, size_t first, size_t last, std::string_view word) {
  for (size_t i = first; i < last; ++i)
    if (tokens.is_word(i, word)) return true;
  return false;
}

// ADD [COLUMN] …, MODIFY …, CHANGE …
void analyse_column_clause(Analysis& a, Item& item, TokenCursor cursor, bool adds, std::string_view default_database) {
  const TokenList& tokens = a.tokens;
  if (adds && contains_word(tokens, cursor.at(), item.last, "AUTO_INCREMENT"))
    need_copy(a, "numbers given by an added AUTO_INCREMENT column depend on the order of rows");
  if (!adds && contains_word(tokens, cursor.at(), item.last, "AUTO_INCREMENT") &&
      (contains_word(tokens, cursor.at(), item.last, "KEY") || contains_word(tokens, cursor.at(), item.last, "UNIQUE")))
    need_copy(a, "numbers given by a column that becomes AUTO_INCREMENT depend on the order of rows");
  if (has_volatile_default(tokens, cursor.at(), item.last))
    need_copy(a, "the default of a column is not determined by the log");
  cursor.take("COLUMN");
  if (cursor.take("IF", "NOT")) cursor.take("EXISTS");
  cursor.take("IF", "EXISTS");
  if (adds && cursor.op('(')) {
    size_t open = cursor.at();
    return analyse_definitions(a, open + 1, std::min(tokens.closing[open], item.last), default_database);
  }
  item.kind = adds ? kind_of_definition(cursor) : ItemKind::kColumn;
  scan_definition(a, item, cursor.at(), default_database);
}

void add_changed(Analysis& a, TokenCursor& cursor, std::string_view default_database, std::string reason) {
  auto ref = take_name(cursor, a.tokens, default_database, NameRole::kChanged);
  if (!ref) return;
  a.statement.tables.push_back({ref->name, {}, ref->place.begin, ref->place.end});
  a.names.push_back(std::move(*ref));
  need_copy(a, std::move(reason));
}

void rename_clause(Analysis& a, TokenCursor& cursor, std::string_view default_database) {
  if (cursor.word("COLUMN") || ((cursor.word("INDEX") || cursor.word("KEY")) && a.tokens.is_name(cursor.at() + 1)))
    return;
  if (!cursor.take("TO") && !cursor.take("AS")) cursor.take_op('=');
  if (auto ref = take_name(cursor, a.tokens, default_database, NameRole::kRenameTo)) {
    if (!a.statement.tables.empty()) a.statement.tables.front().rename_to = ref->name;
    a.names.push_back(std::move(*ref));
  }
}

// Clauses that move rows between a partition and another table.
bool exchange_clause(Analysis& a, Item& item, TokenCursor cursor, std::string_view default_database) {
  if (cursor.word("EXCHANGE") && cursor.word_after(1, "PARTITION")) {
    while (cursor.at() < item.last && !cursor.take("WITH", "TABLE")) cursor.skip();
    add_changed(a, cursor, default_database, "EXCHANGE PARTITION brings rows along");
    return true;
  }
  if (cursor.take("CONVERT", "TABLE")) {
    add_changed(a, cursor, default_database, "CONVERT TABLE brings rows along");
    scan_partitions(a, cursor.at(), item.last);  // TO PARTITION …
    return true;
  }
  if (cursor.take("CONVERT", "PARTITION")) {
    while (cursor.at() < item.last && !cursor.take("TO", "TABLE")) cursor.skip();
    add_changed(a, cursor, default_database, "CONVERT PARTITION brings rows along");
    return true;
  }
  if ((cursor.word("DISCARD") || cursor.word("IMPORT")) &&
      contains_word(a.tokens, item.first, item.last, "TABLESPACE")) {
    need_copy(a, "a tablespace is exchanged outside the log");
    return true;
  }
  return false;
}

void analyse_clause(Analysis& a, Item& item, std::string_view default_database) {
  TokenCursor cursor(a.tokens, item.first);
  if (exchange_clause(a, item, cursor, default_database)) return;
  if (cursor.take("ADD")) {
    if (cursor.word("PARTITION")) return scan_partitions(a, cursor.at() + 1, item.last);
    analyse_column_clause(a, item, cursor, true, default_database);
  } else if (cursor.take("MODIFY")) {
    analyse_column_clause(a, item, cursor, false, default_database);
  } else if (cursor.take("CHANGE")) {
    cursor.take("COLUMN");
    cursor.take("IF", "EXISTS");
    a.statement.renamed_columns.push_back(a.tokens.name(cursor.at()));
    cursor.skip();  // the old name
    analyse_column_clause(a, item, cursor, false, default_database);
  } else if (cursor.take("ALTER")) {  // a column's default, an index's or constraint's use: existing rows stay
    collect_sequence_names(a, cursor.at(), item.last, default_database);
  } else if (cursor.take("DROP")) {
    if (cursor.word("FOREIGN") && cursor.word_after(1, "KEY")) item.kind = ItemKind::kDropForeignKey;
    if (cursor.word("CONSTRAINT")) a.statement.changes_foreign_keys = true;  // perhaps: the text does not tell
  } else if (cursor.take("RENAME")) {
    if (TokenCursor column = cursor; column.take("COLUMN")) {
      column.take("IF", "EXISTS");
      a.statement.renamed_columns.push_back(a.tokens.name(column.at()));
    }
    rename_clause(a, cursor, default_database);
  } else if ((cursor.word("ALGORITHM") || cursor.word("LOCK")) && item.last - item.first <= 3) {
    item.kind = ItemKind::kAlgorithm;
  } else if (cursor.word("PARTITION")) {
    return scan_partitions(a, cursor.at(), item.last);
  } else {  // table options, which need no commas between them
    while (cursor.at() < item.last && !cursor.end()) {
      if (cursor.word("PARTITION") && cursor.word_after(1, "BY")) break;
      take_option(a, cursor);
    }
    return scan_partitions(a, cursor.at(), item.last);
  }
  // "ALTER TABLE t ADD c INT PARTITION BY …" has no comma in front of PARTITION BY.
  for (size_t i = item.first; i < item.last; ++i) {
    if (a.tokens.is_operator(i, '(')) i = a.tokens.closing[i];
    if (a.tokens.is_word(i, "PARTITION") && a.tokens.is_word(i + 1, "BY")) return scan_partitions(a, i, item.last);
  }
}

// Clauses with commas of their own, which reach to the end of the statement: their lists hold names of columns and
// partitions, which may be called as a clause or an option.
enum class Reach : uint8_t { kItem, kColumns, kPartitions };

Reach reach_of(const TokenCursor& cursor) {
  if (cursor.word("ORDER") && cursor.word_after(1, "BY")) return Reach::kColumns;
  if (!cursor.word_after(1, "PARTITION")) return Reach::kItem;
  for (std::string_view w : {"REORGANIZE", "DROP", "TRUNCATE", "REBUILD", "OPTIMIZE", "ANALYZE", "CHECK", "REPAIR"})
    if (cursor.word(w)) return Reach::kPartitions;
  return Reach::kItem;
}

}  // namespace

void analyse_create_body(Analysis& a, TokenCursor& cursor, std::string_view default_database) {
  auto like = [&] {
    if (auto ref = take_name(cursor, a.tokens, default_database, NameRole::kLike)) {
      a.statement.reads.push_back(ref->name);
      a.names.push_back(std::move(*ref));
    }
    a.statement.kind = DdlKind::kCreateTableLike;
  };
  if (cursor.take("LIKE")) return like();
  if (cursor.op('(') && cursor.word_after(1, "LIKE")) {
    cursor.skip();
    cursor.skip();
    return like();
  }
  if (cursor.op('(') && !begins_query_in_parentheses(cursor)) {
    analyse_definitions(a, cursor.at() + 1, a.tokens.closing[cursor.at()], default_database);
    cursor.skip_parentheses();
  }
  while (!cursor.end()) {
    if (begins_query(cursor) || (cursor.op('(') && begins_query_in_parentheses(cursor))) {
      a.statement.kind = DdlKind::kCreateTableSelect;
      need_copy(a, "rows of CREATE TABLE … SELECT are not determined by the statement");
      return collect_query_names(a, cursor.at(), a.tokens.tokens.size() - 1, default_database);
    }
    size_t begin = cursor.begin();
    if (cursor.take("START", "TRANSACTION")) {  // logged by MySQL for CREATE TABLE … SELECT
      a.removed.push_back({begin, cursor.end_of_last()});
    } else if (cursor.word("PARTITION") && cursor.word_after(1, "BY")) {
      size_t first = cursor.at();
      while (!cursor.end() && !begins_query(cursor) && !cursor.word("START")) {
        if (cursor.op('(')) {
          if (begins_query_in_parentheses(cursor)) break;
          cursor.skip_parentheses();
        } else {
          cursor.skip();
        }
      }
      scan_partitions(a, first, cursor.at());
    } else {
      take_option(a, cursor);
    }
  }
}

void analyse_options(Analysis& a, TokenCursor& cursor) {
  while (!cursor.end()) take_option(a, cursor);
}

void analyse_alter_clauses(Analysis& a, TokenCursor& cursor, std::string_view default_database) {
  ItemList list = split_items(a.tokens, cursor.at(), a.tokens.tokens.size() - 1);
  Reach reach = Reach::kItem;
  for (Item& item : list.items) {
    if (reach == Reach::kItem) reach = reach_of(TokenCursor(a.tokens, item.first));
    if (reach == Reach::kItem) analyse_clause(a, item, default_database);
    if (reach == Reach::kPartitions) scan_partitions(a, item.first, item.last);
  }
  a.lists.push_back(std::move(list));
  for (const ItemList& items : a.lists)
    for (const Item& item : items.items)
      if (item.kind == ItemKind::kForeignKey || item.kind == ItemKind::kDropForeignKey || !item.references.empty())
        a.statement.changes_foreign_keys = true;
}

}  // namespace sluice::mysql
