// DdlOrder: a DDL statement that is to run beside the appliers. Immutable, shared between the session and the actor
// that runs it.
#pragma once

#include "sinks/database/apply/ddl_runner.hpp"

namespace sluice::agents::incr_sync {

struct DdlOrder {
  database::DdlEvent event;
  mysql::DdlStatement statement;
  database::DdlMode mode;
};

}  // namespace sluice::agents::incr_sync
