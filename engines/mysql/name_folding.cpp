#include "engines/mysql/name_folding.hpp"

#include "engines/mysql/dialect/fold.hpp"

namespace sluice::mysql {

Result<NameFolding> NameFolding::of(Connection& connection) {
  SLUICE_ASSIGN(const std::string mode, connection.query_value("SELECT @@global.lower_case_table_names"));
  if (mode == "0") return NameFolding(Mode::kAsWritten);
  return NameFolding(mode == "2" ? Mode::kIgnoresCase : Mode::kLowerCase);
}

TableName NameFolding::key(TableName name) const {
  if (mode_ == Mode::kAsWritten) return name;
  return {fold_name(name.database), fold_name(name.table)};
}

}  // namespace sluice::mysql
