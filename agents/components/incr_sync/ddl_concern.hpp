// Which tables of the target a DDL statement concerns: those that it names, makes or reads, their neighbours by foreign
// keys, the whole database for DROP and ALTER DATABASE. What cannot be told concerns everything. Reads the target's
// catalog; blocking.
#pragma once

#include "agents/components/incr_sync/ddl_barrier.hpp"
#include "core/table_mapping.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/dialect/ddl.hpp"

namespace sluice::agents::incr_sync {

Result<Concerned> concerned_by(const mysql::DdlStatement& statement, const TableMapping& mapping,
                               mysql::Connection& target);

}  // namespace sluice::agents::incr_sync
