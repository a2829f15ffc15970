// What the parser of this folder finds in a DDL statement, with the places of everything that a rewriter may have to
// change. Internal to the folder: others use ddl.hpp and create_table.hpp. Offsets are bytes of the statement.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engines/mysql/dialect/ddl.hpp"
#include "engines/mysql/dialect/tokenizer.hpp"

namespace sluice::mysql {

inline constexpr size_t kNowhere = static_cast<size_t>(-1);

enum class NameRole : uint8_t {
  kChanged,    // a table that the statement changes
  kRenameTo,   // the new name of one
  kLike,       // CREATE TABLE … LIKE
  kParent,     // REFERENCES
  kRead,       // after FROM or JOIN
  kSequence,   // nextval(…), NEXT VALUE FOR …
  kQualifier,  // database.table in front of a column
};

struct NameRef {
  ByteRange place;
  TableName name;  // qualified with the default database
  NameRole role = NameRole::kChanged;
  bool needs_alias = false;  // kRead without one: other parts of the query use its plain name
};

enum class ItemKind : uint8_t {
  kOther,
  kColumn,
  kPrimaryOrUnique,
  kIndex,       // not unique, FULLTEXT and SPATIAL included
  kForeignKey,  // [CONSTRAINT x] FOREIGN KEY …, with or without ADD
  kDropForeignKey,
  kAlgorithm,  // ALGORITHM=…, LOCK=…
};

// An item of a comma-separated list: a definition of CREATE TABLE, a clause of ALTER TABLE.
struct Item {
  size_t first = 0, last = 0;  // tokens [first, last)
  ItemKind kind = ItemKind::kOther;
  std::vector<ByteRange> references;  // REFERENCES clauses of a column
  std::optional<TableName> parent;    // of a foreign key
};
// The comma behind item i is token items[i].last.
struct ItemList {
  std::vector<Item> items;
  bool is_definition = false;  // in parentheses; else clauses of ALTER TABLE
};

// A replacement of a byte range.
struct Edit {
  ByteRange place;
  std::string text;
};

struct Analysis {
  TokenList tokens;
  DdlStatement statement;
  std::vector<NameRef> names;
  std::vector<ItemList> lists;
  std::vector<ByteRange> removed;      // never sent to a target: WAIT, START TRANSACTION, DATA DIRECTORY
  std::vector<ByteRange> engines;      // values of ENGINE
  std::vector<ByteRange> row_formats;  // whole ROW_FORMAT options
  std::string foreign_engine;  // first engine that holds no rows of its own; the statement cannot be carried over
  ByteRange names_list;        // DROP and RENAME: from the first name to the end of the last
  std::optional<ByteRange> database_name;
  size_t database_insert_at = kNowhere;  // ALTER DATABASE without a name
  size_t comment_at = 0;
  std::optional<Edit> make_repeatable;  // of views: a statement that may find its work done already
};

Result<Analysis> analyse_ddl(std::string_view sql, std::string_view default_database, uint64_t sql_mode);

// Reads tokens one after another. Never moves behind kEnd.
class TokenCursor {
 public:
  TokenCursor(const TokenList& list, size_t at) : list_(list), at_(at) {}
  size_t at() const { return at_; }
  void move_to(size_t index) { at_ = index; }
  bool end() const { return list_.tokens[at_].kind == TokenKind::kEnd; }
  void skip() {
    if (!end()) ++at_;
  }
  bool word(std::string_view w) const { return list_.is_word(at_, w); }
  bool word_after(size_t ahead, std::string_view w) const { return list_.is_word(at_ + ahead, w); }
  bool op(char c) const { return list_.is_operator(at_, c); }
  bool op_after(size_t ahead, char c) const { return list_.is_operator(at_ + ahead, c); }
  bool take(std::string_view w) { return word(w) && (++at_, true); }
  bool take(std::string_view a, std::string_view b) { return word(a) && word_after(1, b) && (at_ += 2, true); }
  bool take_op(char c) { return op(c) && (++at_, true); }
  bool name() const { return list_.is_name(at_); }
  size_t begin() const { return list_.tokens[at_].begin; }
  size_t end_of_last() const { return at_ == 0 ? 0 : list_.tokens[at_ - 1].end; }
  // Behind the parenthesis that closes the one at the cursor.
  void skip_parentheses() {
    at_ = list_.closing[at_];
    skip();
  }

 private:
  const TokenList& list_;
  size_t at_;
};

// Adds the names in a query (the body of a view, CREATE TABLE … SELECT) within tokens [first, last).
void collect_query_names(Analysis& analysis, size_t first, size_t last, std::string_view default_database);
// Adds names of sequences in expressions within tokens [first, last).
void collect_sequence_names(Analysis& analysis, size_t first, size_t last, std::string_view default_database);
// A possibly qualified name at the cursor.
std::optional<NameRef> take_name(TokenCursor& cursor, const TokenList& tokens, std::string_view default_database,
                                 NameRole role);
// CREATE TABLE behind its name; ALTER TABLE behind its name.
void analyse_create_body(Analysis& analysis, TokenCursor& cursor, std::string_view default_database);
void analyse_options(Analysis& analysis, TokenCursor& cursor);  // of a sequence: to the end of the statement
void analyse_alter_clauses(Analysis& analysis, TokenCursor& cursor, std::string_view default_database);

// Ranges inside another one are dropped.
std::string apply_edits(std::string_view sql, std::vector<Edit> edits);
std::vector<Edit> wrapper_edits(const TokenList& tokens);
// Edits that take items out of a list, commas included; `dropped` has one flag per item.
void drop_items(std::vector<Edit>& edits, const TokenList& tokens, const ItemList& list,
                const std::vector<bool>& dropped);
// Engine and row format of tables, for a target whose tables are all transactional.
Status engine_edits(std::vector<Edit>& edits, const Analysis& analysis);

}  // namespace sluice::mysql
