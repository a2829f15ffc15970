// The source and the target that all tests of one program share, each started when it is first asked for.
#pragma once

#include "tests/support/mariadb.hpp"

namespace sluice::testing {

inline MariaDbServer& source_server() {
  static MariaDbServer instance({.server_id = 1});
  return instance;
}

inline MariaDbServer& target_server() {
  static MariaDbServer instance({.server_id = 2, .binlog = false});
  return instance;
}

}  // namespace sluice::testing
