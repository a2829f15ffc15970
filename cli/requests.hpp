// What the commands ask of the coordinator, made from what the user typed. Pure functions.
#pragma once

#include <string>

#include "cli/migrate_options.hpp"
#include "sluice/admin/v1/admin.pb.h"

namespace sluice::cli {

admin::v1::CreateDataSourceRequest data_source_request(const std::string& name, const Endpoint& endpoint);

// The project of `sluice migrate`: "migrate" from the data source "source" to "target".
admin::v1::CreateProjectRequest project_request(const MigrateOptions& o);

// Goes on with it, with everything of `o` that may change.
admin::v1::ResumeProjectRequest resume_request(const std::string& id, const MigrateOptions& o);

}  // namespace sluice::cli
