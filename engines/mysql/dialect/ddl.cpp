// Recognising statements: what kind, which tables and databases.
#include "engines/mysql/dialect/ddl.hpp"

#include <initializer_list>

#include "engines/mysql/dialect/analysis.hpp"

namespace sluice::mysql {
namespace {

class Parser {
 public:
  Parser(Analysis& analysis, std::string_view default_database)
      : a_(analysis), s_(analysis.statement), c_(analysis.tokens, 0), database_(default_database) {}

  void run() {
    while (c_.take_op(';')) {
    }
    if (c_.end()) return pass_over();  // only comments: an event that the server could not express
    skip_set_statement();
    a_.comment_at = 0;
    verb_ = {c_.begin(), a_.tokens.tokens[c_.at()].end};
    if (c_.take("CREATE")) return create();
    if (c_.take("ALTER")) return alter();
    if (c_.take("DROP")) return drop();
    if (c_.take("RENAME")) return rename();
    if (c_.take("TRUNCATE")) return truncate();
    other();
  }

 private:
  void pass_over() { s_.kind = DdlKind::kPassedOver; }
  bool any(std::initializer_list<std::string_view> words) const {
    for (std::string_view w : words)
      if (c_.word(w)) return true;
    return false;
  }

  // SET STATEMENT variable = value, … FOR statement
  void skip_set_statement() {
    if (!c_.word("SET") || !c_.word_after(1, "STATEMENT")) return;
    while (!c_.end() && !c_.word("FOR")) c_.op('(') ? c_.skip_parentheses() : c_.skip();
    c_.take("FOR");
  }

  void other() {
    if (any({"INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "SELECT", "WITH", "DO", "CALL", "MERGE"})) {
      s_.kind = DdlKind::kDataChange;
    } else if (any({"BEGIN", "COMMIT", "XA"}) || (c_.word("START") && c_.word_after(1, "TRANSACTION"))) {
      s_.kind = DdlKind::kTransaction;
    } else if (c_.word("ROLLBACK")) {
      // ROLLBACK TO undoes part of what was logged before it: no reader may take it for the end of the transaction.
      c_.skip();
      c_.take("WORK");
      s_.kind = c_.word("TO") ? DdlKind::kUnknown : DdlKind::kTransaction;
    } else if (any({"GRANT",    "REVOKE", "SET",      "USE",      "SAVEPOINT", "RELEASE",    "FLUSH",    "ANALYZE",
                    "OPTIMIZE", "REPAIR", "CHECK",    "CHECKSUM", "INSTALL",   "UNINSTALL",  "KILL",     "SHOW",
                    "HANDLER",  "LOCK",   "UNLOCK",   "PREPARE",  "EXECUTE",   "DEALLOCATE", "RESET",    "PURGE",
                    "CHANGE",   "START",  "STOP",     "CACHE",    "HELP",      "EXPLAIN",    "DESCRIBE", "DESC",
                    "BACKUP",   "BINLOG", "SHUTDOWN", "SIGNAL",   "CLONE",     "RESTART"})) {
      pass_over();
    } else {
      s_.kind = DdlKind::kUnknown;
    }
  }

  // Objects that are recognised and not carried over.
  bool foreign_object() const {
    return any({"USER", "ROLE", "SERVER", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE", "TABLESPACE",
                "LOGFILE", "UNDO", "RESOURCE", "REFERENCE", "INSTANCE", "LIBRARY", "PREPARE", "AGGREGATE"});
  }

  // Words between CREATE or ALTER and the kind of object.
  void modifiers() {
    while (!c_.end()) {
      if (c_.take("OR", "REPLACE")) {
        s_.or_replace = true;
      } else if (c_.take("TEMPORARY")) {
        s_.temporary = true;
      } else if (c_.word("ALGORITHM") || c_.word("DEFINER")) {
        c_.skip();
        c_.take_op('=');
        c_.skip();  // UNDEFINED, the user …
        if (c_.op('(')) c_.skip_parentheses();
        if (c_.take_op('@')) c_.skip();
      } else if (c_.take("SQL", "SECURITY")) {
        c_.skip();
      } else if (c_.take("IGNORE")) {
        ignore_ = true;
      } else if (any({"ONLINE", "OFFLINE", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"})) {
        c_.skip();
      } else {
        break;
      }
    }
  }

  void if_not_exists() {
    if (c_.take("IF", "NOT")) {
      c_.take("EXISTS");
      s_.if_not_exists = true;
    }
  }
  void if_exists() {
    if (c_.take("IF", "EXISTS")) s_.if_exists = true;
  }
  void wait() {
    size_t begin = c_.begin();
    if (c_.take("WAIT")) {
      c_.skip();
    } else if (!c_.take("NOWAIT")) {
      return;
    }
    a_.removed.push_back({begin, c_.end_of_last()});
  }
  bool changed() {
    auto ref = take_name(c_, a_.tokens, database_, NameRole::kChanged);
    if (!ref) {
      s_.kind = DdlKind::kUnknown;
      return false;
    }
    s_.tables.push_back({ref->name, {}, ref->place.begin, ref->place.end});
    a_.names.push_back(std::move(*ref));
    return true;
  }

  void create() {
    modifiers();
    if (c_.take("TABLE")) {
      s_.kind = DdlKind::kCreateTable;
      if_not_exists();
      if (changed()) analyse_create_body(a_, c_, database_);
    } else if (c_.take("INDEX")) {
      s_.kind = DdlKind::kCreateIndex;
      if_not_exists();
      index_on();
    } else if (c_.take("DATABASE") || c_.take("SCHEMA")) {
      s_.kind = DdlKind::kCreateDatabase;
      if_not_exists();
      database(true);
    } else if (c_.take("VIEW")) {
      view(DdlKind::kCreateView, verb_);
    } else if (c_.take("SEQUENCE")) {
      s_.kind = DdlKind::kCreateSequence;
      if_not_exists();
      if (changed()) options();
    } else if (foreign_object()) {
      pass_over();
    }
  }

  void alter() {
    modifiers();
    if (c_.take("TABLE")) {
      s_.kind = DdlKind::kAlterTable;
      if_exists();
      if (!changed()) return;
      wait();
      analyse_alter_clauses(a_, c_, database_);
      if (ignore_ && adds_unique_key() && !s_.needs_copy) {
        s_.needs_copy = true;
        s_.needs_copy_reason = "which of several equal rows ALTER IGNORE keeps depends on their order";
      }
    } else if (c_.take("DATABASE") || c_.take("SCHEMA")) {
      s_.kind = DdlKind::kAlterDatabase;
      database(false);
    } else if (c_.take("VIEW")) {
      view(DdlKind::kAlterView, verb_);
    } else if (c_.take("SEQUENCE")) {
      s_.kind = DdlKind::kAlterSequence;
      if_exists();
      if (changed()) options();
    } else if (foreign_object()) {
      pass_over();
    }
  }

  bool adds_unique_key() const {
    for (size_t i = c_.at(); i < a_.tokens.tokens.size(); ++i)
      if (a_.tokens.is_word(i, "UNIQUE") || a_.tokens.is_word(i, "PRIMARY")) return true;
    return false;
  }

  void options() { analyse_options(a_, c_); }

  void index_on() {
    while (!c_.end() && !c_.word("ON")) c_.skip();
    if (!c_.take("ON") || !changed()) {
      s_.kind = DdlKind::kUnknown;
      return;
    }
    if (c_.op('(')) c_.skip_parentheses();
    for (; !c_.end(); c_.skip()) wait();
  }

  // `verb` is CREATE or ALTER.
  void view(DdlKind kind, ByteRange verb) {
    s_.kind = kind;
    if_not_exists();
    if (!changed()) return;
    if (!s_.or_replace && !s_.if_not_exists) a_.make_repeatable = Edit{verb, "CREATE OR REPLACE"};
    if (c_.op('(')) c_.skip_parentheses();
    c_.take("AS");
    collect_query_names(a_, c_.at(), a_.tokens.tokens.size() - 1, database_);
  }

  // ALTER DATABASE may leave the name out; then an option follows at once.
  bool at_database_option() const {
    if (c_.end() || !c_.name()) return true;
    if (any({"DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "COMMENT", "ENCRYPTION"}))
      return c_.op_after(1, '=') || c_.word_after(1, "CHARACTER") || c_.word_after(1, "SET") ||
             a_.tokens.is_name(c_.at() + 1) || a_.tokens.tokens[c_.at() + 1].kind == TokenKind::kString;
    return c_.word("READ") && c_.word_after(1, "ONLY");
  }
  void database(bool required) {
    if (!required && at_database_option()) {
      s_.database = database_;
      a_.database_insert_at = c_.end_of_last();
      return;
    }
    if (!c_.name()) {
      s_.kind = DdlKind::kUnknown;
      return;
    }
    s_.database = a_.tokens.name(c_.at());
    a_.database_name = ByteRange{c_.begin(), 0};
    c_.skip();
    a_.database_name->end = c_.end_of_last();
  }

  void drop() {
    if (c_.take("TEMPORARY")) s_.temporary = true;
    if (c_.take("TABLE") || c_.take("TABLES")) return drop_list(DdlKind::kDropTable);
    if (c_.take("VIEW")) return drop_list(DdlKind::kDropView);
    if (c_.take("SEQUENCE")) return drop_list(DdlKind::kDropSequence);
    if (c_.take("DATABASE") || c_.take("SCHEMA")) {
      s_.kind = DdlKind::kDropDatabase;
      if_exists();
      return database(true);
    }
    while (any({"ONLINE", "OFFLINE"})) c_.skip();
    if (c_.take("INDEX")) {
      s_.kind = DdlKind::kDropIndex;
      if_exists();
      return index_on();
    }
    if (c_.word("SPATIAL") || foreign_object()) pass_over();
  }

  void drop_list(DdlKind kind) {
    s_.kind = kind;
    if_exists();
    size_t behind_verb = c_.end_of_last();
    // The server writes the log's DROP TABLE anew and keeps a comment only here.
    if (kind == DdlKind::kDropTable) a_.comment_at = behind_verb;
    a_.names_list.begin = c_.begin();
    do {
      if (!changed()) return;
    } while (c_.take_op(','));
    // Of several names some may have been missing: the statement failed, and is logged because it dropped the others.
    if (!s_.if_exists && (kind == DdlKind::kDropView || s_.tables.size() > 1))
      a_.make_repeatable = Edit{{behind_verb, behind_verb}, " IF EXISTS"};
    a_.names_list.end = c_.end_of_last();
    wait();
    if (!c_.take("RESTRICT")) c_.take("CASCADE");
    expect_end();
  }

  // Nothing that was not understood may follow a list of names.
  void expect_end() {
    while (c_.take_op(';')) {
    }
    if (!c_.end()) s_.kind = DdlKind::kUnknown;
  }

  void rename() {
    if (!c_.take("TABLE") && !c_.take("TABLES")) {
      if (foreign_object()) pass_over();
      return;
    }
    s_.kind = DdlKind::kRenameTable;
    if_exists();
    a_.names_list.begin = c_.begin();
    do {
      if (!changed()) return;
      wait();
      auto to = c_.take("TO") ? take_name(c_, a_.tokens, database_, NameRole::kRenameTo) : std::nullopt;
      if (!to) {
        s_.kind = DdlKind::kUnknown;
        return;
      }
      s_.tables.back().rename_to = to->name;
      a_.names.push_back(std::move(*to));
    } while (c_.take_op(','));
    a_.names_list.end = c_.end_of_last();
    expect_end();
  }

  void truncate() {
    c_.take("TABLE");
    s_.kind = DdlKind::kTruncateTable;
    if (!changed()) return;
    wait();
    expect_end();
  }

  Analysis& a_;
  DdlStatement& s_;
  TokenCursor c_;
  std::string_view database_;
  ByteRange verb_;
  bool ignore_ = false;
};

// A statement in front of more text behind a ";" is more than one statement.
bool is_single(const TokenList& tokens) {
  bool separated = false;
  for (size_t i = 0; i + 1 < tokens.tokens.size(); ++i) {
    if (tokens.is_operator(i, ';')) {
      separated = i > 0 || separated;
    } else if (separated) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string_view ddl_type_name(DdlKind kind) {
  switch (kind) {
    case DdlKind::kCreateTable:
    case DdlKind::kCreateTableLike:
    case DdlKind::kCreateTableSelect:
      return "CREATE_TABLE";
    case DdlKind::kAlterTable:
      return "ALTER_TABLE";
    case DdlKind::kDropTable:
      return "DROP_TABLE";
    case DdlKind::kRenameTable:
      return "RENAME_TABLE";
    case DdlKind::kTruncateTable:
      return "TRUNCATE_TABLE";
    case DdlKind::kCreateIndex:
      return "CREATE_INDEX";
    case DdlKind::kDropIndex:
      return "DROP_INDEX";
    default:
      return {};
  }
}

Result<Analysis> analyse_ddl(std::string_view sql, std::string_view default_database, uint64_t sql_mode) {
  Analysis analysis;
  SLUICE_ASSIGN(analysis.tokens, tokenize(sql, sql_mode));
  analysis.statement.default_database = default_database;
  Parser(analysis, default_database).run();
  DdlStatement& s = analysis.statement;
  bool changes = !s.tables.empty() || !s.database.empty();
  if (changes && !is_single(analysis.tokens)) s.kind = DdlKind::kUnknown;
  return analysis;
}

Result<DdlStatement> parse_ddl(std::string_view sql, std::string_view default_database, uint64_t sql_mode) {
  SLUICE_ASSIGN(Analysis analysis, analyse_ddl(sql, default_database, sql_mode));
  return std::move(analysis.statement);
}

}  // namespace sluice::mysql
