// `sluice migrate --cleanup`.
#pragma once

#include "cli/migrate_options.hpp"

namespace sluice::cli {

// Removes what the project of the work directory left: its rows in the target's meta database, that database when
// nothing else is in it, and what was made in the work directory. Nothing without a work directory that names SOURCE,
// TARGET and the project. Can be repeated. The exit status.
int clean_up(MigrateOptions& o);

}  // namespace sluice::cli
