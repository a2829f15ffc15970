// Any bytes as a statement: parsing and rewriting must neither crash nor hang, whatever sql_mode says.
#include "core/table_mapping.hpp"
#include "engines/mysql/dialect/create_table.hpp"
#include "engines/mysql/dialect/ddl.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  static const TableMapping mapping = TableMapping::create({"a.*"}, {}, {"a.*=b.*", "a.t=c.u"}).value();
  if (size == 0) return 0;
  uint64_t sql_mode = (data[0] & 1 ? 4 : 0) | (data[0] & 2 ? 1ULL << 20 : 0);
  std::string_view sql(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto statement = mysql::parse_ddl(sql, "a", sql_mode);
  if (!statement.ok()) return 0;
  mysql::DdlRewriteOptions options{"project log:4", (data[0] & 4) != 0, (data[0] & 8) != 0};
  auto text = mysql::rewrite_ddl(sql, *statement, mapping, sql_mode, options);
  // What was rewritten is still a statement that the parser reads.
  if (text.ok() && !text->empty()) {
    auto again = mysql::parse_ddl(*text, "b", sql_mode);
    if (!again.ok() || again->kind == mysql::DdlKind::kUnknown) __builtin_trap();
  }
  (void)mysql::split_create_table(sql, {"a", "t"}, mapping, {}).ok();
  (void)mysql::rewrite_view(sql, {"a", "v"}, mapping, true).ok();
  return 0;
}
