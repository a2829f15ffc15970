// Cutting a SHOW CREATE TABLE text into what is created first and what is added later (exactness.md section 3): foreign
// keys come after the last window is closed, non-unique indexes may be deferred. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/table_mapping.hpp"

namespace sluice::mysql {

struct IndexDefinition {
  std::string name;
  std::string text;  // "KEY `k` (`a`)", as it stands in CREATE TABLE
};

struct ForeignKeyDefinition {
  std::string name;
  std::string text;  // "CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `b`.`p` (`id`) ON DELETE CASCADE", parent mapped
  TableName parent;  // source name
  bool in_scope = false;  // the parent is part of the project
};

struct CreateTableParts {
  std::string create;  // for the target: mapped, qualified, InnoDB, without what follows
  std::vector<IndexDefinition> deferred_indexes;
  std::vector<ForeignKeyDefinition> foreign_keys;
};

struct SplitOptions {
  bool defer_indexes = false;  // those that may be made later: neither unique, nor FULLTEXT, nor an AUTO_INCREMENT's
  bool if_not_exists = false;
  uint64_t sql_mode = 0;  // the one under which the text was made
};

// `show_create` is the server's text for `source`. UNSUPPORTED for engines that hold no rows, and for defaults that
// use a sequence outside the scope.
Result<CreateTableParts> split_create_table(std::string_view show_create, const TableName& source,
                                            const TableMapping& mapping, const SplitOptions& options);

// The text without its table's AUTO_INCREMENT value, which changes with every row: for comparing definitions.
std::string without_counter(std::string_view show_create);

// The server's text of a view (SHOW CREATE VIEW) for the target, as CREATE OR REPLACE; `reads` gets the source names of
// what it reads. `without_definer`: the migrating user becomes the definer.
Result<std::string> rewrite_view(std::string_view show_create, const TableName& source, const TableMapping& mapping,
                                 bool without_definer, std::vector<TableName>* reads = nullptr);

}  // namespace sluice::mysql
