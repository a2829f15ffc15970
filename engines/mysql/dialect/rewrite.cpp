// The same statement for the target.
#include <algorithm>

#include "core/ascii.hpp"
#include "engines/mysql/dialect/analysis.hpp"
#include "engines/mysql/quoting.hpp"

namespace sluice::mysql {
namespace {

bool is_system_database(std::string_view name) {
  for (std::string_view system : {"mysql", "sys", "performance_schema", "information_schema"})
    if (ascii::equal_ignoring_case(name, system)) return true;
  return false;
}

// Whether dropping the source's database takes only tables of the project along on the target.
bool is_whole_database(const TableMapping& mapping, const std::string& database) {
  bool whole = mapping.include_patterns().empty();
  for (const std::string& text : mapping.include_patterns()) {
    auto pattern = parse_table_pattern(text);
    if (pattern && pattern->table == "*" && matches_pattern(pattern->database, database)) whole = true;
  }
  for (const std::string& text : mapping.exclude_patterns()) {
    auto pattern = parse_table_pattern(text);
    if (pattern && matches_pattern(pattern->database, database)) whole = false;
  }
  std::string target = mapping.target_database_of(database);
  if (target != database && mapping.includes_database(target) && mapping.target_database_of(target) == target)
    return false;  // another source database lives in the same one
  for (const std::string& text : mapping.renames()) {
    size_t split = text.find('=');
    if (split == std::string::npos) continue;
    auto from = parse_table_pattern(text.substr(0, split));
    auto to = parse_table_pattern(text.substr(split + 1));
    if (!from || !to) continue;
    if (from->database != database && to->database == target) return false;
    if (from->database == database && to->database != target) return false;
  }
  return whole;
}

bool runs_together(char before, char after) {
  auto in_word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
           static_cast<unsigned char>(c) >= 0x80;
  };
  bool quotes = before == after && (before == '`' || before == '\'' || before == '"');
  return quotes || (in_word(before) && in_word(after));
}

std::string_view engine_name(const Analysis& analysis, ByteRange place) {
  std::string_view name = analysis.tokens.sql.substr(place.begin, place.end - place.begin);
  bool quoted = name.size() > 2 && (name.front() == '\'' || name.front() == '"' || name.front() == '`');
  return quoted ? name.substr(1, name.size() - 2) : name;
}

class Rewriter {
 public:
  Rewriter(const Analysis& analysis, const TableMapping& mapping, const DdlRewriteOptions& options)
      : a_(analysis), s_(analysis.statement), mapping_(mapping), options_(options) {}

  Result<std::string> run() {
    if (s_.kind == DdlKind::kPassedOver || s_.temporary) return std::string();
    edits_ = wrapper_edits(a_.tokens);
    SLUICE_ASSIGN(bool anything, rewrite());
    if (!anything) return std::string();
    for (const ByteRange& range : a_.removed) edits_.push_back({range, ""});
    if (a_.make_repeatable) edits_.push_back(*a_.make_repeatable);
    add_comment();
    return apply_edits(a_.tokens.sql, std::move(edits_));
  }

 private:
  // False when nothing is left for the target.
  Result<bool> rewrite() {
    switch (s_.kind) {
      case DdlKind::kCreateDatabase:
      case DdlKind::kAlterDatabase:
      case DdlKind::kDropDatabase:
        return database();
      case DdlKind::kDropTable:
      case DdlKind::kDropView:
      case DdlKind::kDropSequence:
        return drop_list();
      case DdlKind::kRenameTable:
        return rename_list();
      case DdlKind::kPassedOver:
      case DdlKind::kDataChange:
      case DdlKind::kTransaction:
      case DdlKind::kUnknown:
        return unsupported("the statement is not known as DDL: " + excerpt());
      default:
        return table_statement();
    }
  }

  std::string excerpt() const {
    constexpr size_t kLength = 200;
    std::string text(a_.tokens.sql.substr(0, kLength));
    return a_.tokens.sql.size() > kLength ? text + "…" : text;
  }
  Error unsupported(std::string cause, std::string object = {}) const {
    return Error(ErrorCode::UNSUPPORTED, std::move(cause), std::move(object));
  }

  Result<bool> database() {
    if (!mapping_.includes_database(s_.database)) return false;
    if (s_.kind == DdlKind::kDropDatabase && !is_whole_database(mapping_, s_.database))
      return unsupported("DROP DATABASE would take tables along that are not part of the project", s_.database);
    std::string name = quote_name(mapping_.target_database_of(s_.database));
    if (a_.database_name) {
      edits_.push_back({*a_.database_name, name});
    } else {
      edits_.push_back({{a_.database_insert_at, a_.database_insert_at}, " " + name});
    }
    return true;
  }

  Result<bool> drop_list() {
    std::string text;
    for (const DdlTable& t : s_.tables) {
      if (!mapping_.includes(t.source)) continue;
      if (!text.empty()) text += ", ";
      text += quote_table(mapping_.target_of(t.source));
    }
    edits_.push_back({a_.names_list, text});
    return !text.empty();
  }

  Result<bool> rename_list() {
    std::string text;
    for (const DdlTable& t : s_.tables) {
      SLUICE_TRY(check_border(t));
      if (!mapping_.includes(t.source)) continue;
      if (!text.empty()) text += ", ";
      text += quote_table(mapping_.target_of(t.source)) + " TO " + quote_table(mapping_.target_of(t.rename_to));
    }
    edits_.push_back({a_.names_list, text});
    return !text.empty();
  }

  Status check_border(const DdlTable& t) const {
    if (t.rename_to.table.empty() || mapping_.includes(t.source) == mapping_.includes(t.rename_to)) return {};
    return unsupported("RENAME to " + t.rename_to.to_string() + " crosses the border of the project's tables",
                       t.source.to_string());
  }

  Result<bool> table_statement() {
    size_t inside = 0;
    for (const DdlTable& t : s_.tables) {
      SLUICE_TRY(check_border(t));
      if (mapping_.includes(t.source)) ++inside;
    }
    if (inside == 0) return false;
    if (inside < s_.tables.size())
      return unsupported("one of the tables is not part of the project", s_.tables.back().source.to_string());
    if (!foreign_keys()) return false;
    for (const NameRef& ref : a_.names) SLUICE_TRY(name(ref));
    if (options_.force_innodb) SLUICE_TRY(engine_edits(edits_, a_));
    return true;
  }

  Status name(const NameRef& ref) {
    if (is_system_database(ref.name.database)) return {};
    bool own = ref.role == NameRole::kChanged || ref.role == NameRole::kRenameTo;
    if (!own && ref.role != NameRole::kParent && !mapping_.includes(ref.name))
      return unsupported("the statement reads " + ref.name.to_string() + ", which is not part of the project",
                         s_.tables.front().source.to_string());
    TableName to = mapping_.target_of(ref.name);
    bool aliased = ref.needs_alias && to.table != ref.name.table;
    std::string text = quote_table(to);
    if (aliased && ref.role == NameRole::kRead) text += " AS " + quote_name(ref.name.table);
    if (aliased && ref.role == NameRole::kQualifier) text = quote_name(ref.name.table);
    edits_.push_back({ref.place, std::move(text)});
    return {};
  }

  // Other engines take foreign keys in CREATE TABLE and forget them; the target's InnoDB would keep them.
  bool engine_ignores_keys() const {
    if (s_.kind != DdlKind::kCreateTable || a_.engines.empty()) return false;
    std::string_view engine = engine_name(a_, a_.engines.front());
    return !ascii::equal_ignoring_case(engine, "InnoDB") && !ascii::equal_ignoring_case(engine, "NDB") &&
           !ascii::equal_ignoring_case(engine, "NDBCLUSTER");
  }
  bool leaves_key_out(const Item& item) const {
    return options_.drop_foreign_keys || (item.parent && !mapping_.includes(*item.parent)) || engine_ignores_keys();
  }
  bool is_left_out(const Item& item) const {
    if (item.kind == ItemKind::kDropForeignKey) return options_.drop_foreign_keys;
    return item.kind == ItemKind::kForeignKey && leaves_key_out(item);
  }

  // False when no clause of an ALTER TABLE is left.
  bool foreign_keys() {
    for (const ItemList& list : a_.lists) {
      std::vector<bool> dropped;
      size_t left = 0;
      for (const Item& item : list.items) {
        dropped.push_back(is_left_out(item));
        if (!dropped.back() && item.kind != ItemKind::kAlgorithm) ++left;
        if (leaves_key_out(item))
          for (const ByteRange& range : item.references) edits_.push_back({range, ""});
      }
      if (left == 0) {
        // An ALTER that never did anything (ALTER TABLE t ALGORITHM=…) is left as it is.
        if (!list.is_definition && std::find(dropped.begin(), dropped.end(), true) != dropped.end()) return false;
      } else if (!list.is_definition) {
        for (size_t i = 0; i < list.items.size(); ++i)
          if (list.items[i].kind == ItemKind::kAlgorithm) dropped[i] = true;
      }
      drop_items(edits_, a_.tokens, list, dropped);
    }
    return true;
  }

  void add_comment() {
    if (options_.comment.empty()) return;
    std::string text = options_.comment;
    for (size_t at; (at = text.find("*/")) != std::string::npos;) text.insert(at + 1, " ");
    bool first = a_.comment_at == 0;
    text = first ? "/* " + text + " */ " : " /* " + text + " */";
    edits_.push_back({{a_.comment_at, a_.comment_at}, std::move(text)});
  }

  const Analysis& a_;
  const DdlStatement& s_;
  const TableMapping& mapping_;
  const DdlRewriteOptions& options_;
  std::vector<Edit> edits_;
};

}  // namespace

std::string apply_edits(std::string_view sql, std::vector<Edit> edits) {
  std::stable_sort(edits.begin(), edits.end(), [](const Edit& x, const Edit& y) {
    if (x.place.begin != y.place.begin) return x.place.begin < y.place.begin;
    return x.place.end > y.place.end;
  });
  std::string text;
  // Pieces that would run into one token when they touch (FROM t`x`) are kept apart.
  auto append = [&](std::string_view piece) {
    if (!text.empty() && !piece.empty() && runs_together(text.back(), piece.front())) text += ' ';
    text.append(piece);
  };
  size_t at = 0;
  for (const Edit& edit : edits) {
    bool insertion = edit.place.begin == edit.place.end;
    if (edit.place.begin < at && !(insertion && edit.place.begin == at)) continue;
    append(sql.substr(at, edit.place.begin - at));
    append(edit.text);
    at = edit.place.end;
  }
  append(sql.substr(at));
  return text;
}

std::vector<Edit> wrapper_edits(const TokenList& tokens) {
  std::vector<Edit> edits;
  for (const ByteRange& range : tokens.wrappers) edits.push_back({range, " "});
  return edits;
}

void drop_items(std::vector<Edit>& edits, const TokenList& tokens, const ItemList& list,
                const std::vector<bool>& dropped) {
  bool kept_before = false;
  for (size_t i = 0; i < list.items.size(); ++i) {
    const Item& item = list.items[i];
    kept_before = kept_before || !dropped[i];
    if (dropped[i] && item.first < item.last)
      edits.push_back({{tokens.tokens[item.first].begin, tokens.tokens[item.last - 1].end}, ""});
    // A comma stays when something is kept in front of it and the item behind it is kept.
    if (i + 1 < list.items.size() && !(kept_before && !dropped[i + 1])) {
      const Token& comma = tokens.tokens[item.last];
      edits.push_back({{comma.begin, comma.end}, ""});
    }
  }
}

Status engine_edits(std::vector<Edit>& edits, const Analysis& analysis) {
  if (!analysis.foreign_engine.empty())
    return Error(
        ErrorCode::UNSUPPORTED,
        "tables of engine " + analysis.foreign_engine + " hold no rows of their own and cannot be carried over",
        analysis.statement.tables.empty() ? "" : analysis.statement.tables.front().source.to_string());
  auto text = [&](ByteRange r) { return analysis.tokens.sql.substr(r.begin, r.end - r.begin); };
  for (const ByteRange& range : analysis.engines)
    if (!ascii::equal_ignoring_case(engine_name(analysis, range), "InnoDB")) edits.push_back({range, "InnoDB"});
  for (const ByteRange& range : analysis.row_formats) {
    std::string_view option = text(range);
    std::string_view format = option.substr(option.find_last_of(" =\t\r\n") + 1);
    for (std::string_view other : {"FIXED", "PAGE", "PAGED", "TOKUDB_DEFAULT"})
      if (ascii::equal_ignoring_case(format, other)) edits.push_back({range, ""});
  }
  return {};
}

Result<std::string> rewrite_ddl(std::string_view sql, const DdlStatement& statement, const TableMapping& mapping,
                                uint64_t sql_mode, const DdlRewriteOptions& options) {
  SLUICE_ASSIGN(Analysis analysis, analyse_ddl(sql, statement.default_database, sql_mode));
  return Rewriter(analysis, mapping, options).run();
}

}  // namespace sluice::mysql
