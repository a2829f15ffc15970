#include "engines/mysql/column_types.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/ascii.hpp"

namespace sluice::mysql {
namespace {

struct TypeName {
  std::string_view name;
  ColumnType type;
};

using enum ColumnType;

constexpr std::array kTypes = std::to_array<TypeName>({
    {"tinyint", kTinyInt},
    {"smallint", kSmallInt},
    {"mediumint", kMediumInt},
    {"int", kInt},
    {"integer", kInt},
    {"bigint", kBigInt},
    {"float", kFloat},
    {"double", kDouble},
    {"real", kDouble},
    {"decimal", kDecimal},
    {"numeric", kDecimal},
    {"bit", kBit},
    {"year", kYear},
    {"date", kDate},
    {"time", kTime},
    {"datetime", kDatetime},
    {"timestamp", kTimestamp},
    {"char", kChar},
    {"varchar", kVarchar},
    {"tinytext", kText},
    {"text", kText},
    {"mediumtext", kText},
    {"longtext", kText},
    {"binary", kBinary},
    {"varbinary", kVarbinary},
    {"tinyblob", kBlob},
    {"blob", kBlob},
    {"mediumblob", kBlob},
    {"longblob", kBlob},
    {"enum", kEnum},
    {"set", kSet},
    {"json", kJson},
    {"geometry", kGeometry},
    {"point", kGeometry},
    {"linestring", kGeometry},
    {"polygon", kGeometry},
    {"multipoint", kGeometry},
    {"multilinestring", kGeometry},
    {"multipolygon", kGeometry},
    {"geometrycollection", kGeometry},
    {"geomcollection", kGeometry},
    {"uuid", kUuid},
    {"inet4", kInet4},
    {"inet6", kInet6},
    {"vector", kVector},
});

bool contains(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

uint32_t number(const std::optional<std::string>& text) {
  return text ? static_cast<uint32_t>(std::strtoull(text->c_str(), nullptr, 10)) : 0;
}

char unescaped(char c) {
  switch (c) {
    case '0':
      return '\0';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'Z':
      return '\x1a';
    default:
      return c;
  }
}

}  // namespace

std::vector<std::string> parse_labels(std::string_view text) {
  std::vector<std::string> labels;
  for (size_t i = text.find('\''); i < text.size(); i = text.find('\'', i)) {
    std::string& label = labels.emplace_back();
    for (++i; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) {
        label += unescaped(text[++i]);
      } else if (text[i] != '\'') {
        label += text[i];
      } else if (i + 1 < text.size() && text[i + 1] == '\'') {
        label += text[++i];
      } else {
        ++i;
        break;
      }
    }
  }
  return labels;
}

Result<Column> make_column(const ColumnText& text) {
  const auto known =
      std::find_if(kTypes.begin(), kTypes.end(),
                   [&, type = ascii::lower(text.data_type)](const TypeName& t) { return t.name == type; });
  if (known == kTypes.end()) return Error(ErrorCode::UNSUPPORTED, "column type " + text.data_type, text.name);
  Column column;
  column.name = text.name;
  column.type = known->type;
  column.sql_type = text.column_type;
  column.is_unsigned = contains(text.column_type, "unsigned") && column.type <= kDecimal;
  column.nullable = text.nullable == "YES";
  const std::string extra = ascii::lower(text.extra);
  // "VIRTUAL GENERATED", "STORED GENERATED" (both servers), "PERSISTENT" (old MariaDB). MySQL's "DEFAULT_GENERATED" is
  // an expression default.
  column.generated = contains(extra, "virtual") || contains(extra, "stored generated") || contains(extra, "persistent");
  column.is_virtual = contains(extra, "virtual");
  column.auto_increment = contains(extra, "auto_increment");
  column.on_update_now = contains(extra, "on update current_timestamp");
  column.invisible = contains(extra, "invisible");
  switch (column.type) {
    case kChar:
    case kVarchar:
      column.length = number(text.characters);
      break;
    case kBinary:
    case kVarbinary:
      column.length = number(text.octets);
      break;
    case kBit:
      column.length = number(text.precision);
      break;
    case kDecimal:
      column.length = number(text.precision);
      column.scale = static_cast<uint8_t>(number(text.scale));
      break;
    case kTime:
    case kDatetime:
    case kTimestamp:
      column.scale = static_cast<uint8_t>(number(text.fraction));
      break;
    default:
      break;
  }
  if (column.is_character() || column.type == kEnum || column.type == kSet) {
    column.charset = text.charset.value_or("");
    column.collation = text.collation.value_or("");
  }
  if (column.type == kEnum || column.type == kSet) column.labels = parse_labels(text.column_type);
  return column;
}

}  // namespace sluice::mysql
