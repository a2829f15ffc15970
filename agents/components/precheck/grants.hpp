// Grants: what a user may do, from SHOW GRANTS. Plain value; internal to the folder.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/table_mapping.hpp"

namespace sluice::agents::precheck {

class Grants {
 public:
  // Lines of SHOW GRANTS. Lines that grant roles or proxies are passed over.
  static Grants parse(const std::vector<std::string>& lines);

  // Privileges by the servers' names in upper case ("SELECT", "REPLICATION SLAVE").
  bool global(const std::string& privilege) const;
  bool database(const std::string& privilege, const std::string& database) const;  // by this level or a higher one
  bool table(const std::string& privilege, const TableName& table) const;

 private:
  struct Level {
    std::set<std::string> privileges;
    std::string database;  // a pattern as the server keeps it (_ and % are wildcards, \ takes that away); "*" = all
    std::string table;     // "*" = all
    bool allows(const std::string& privilege) const;
  };
  std::vector<Level> levels_;
};

// LIKE with _ and % and \, byte by byte, as the servers match databases of grants.
bool matches_grant_pattern(const std::string& pattern, const std::string& name);

}  // namespace sluice::agents::precheck
