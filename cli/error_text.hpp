// How the commands show an error: one way for people, one for programs. Pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::cli {

// "CODE object at position: message: cause", then `between`, then what can be done.
std::string error_text(const Error& error, std::string_view between = " — ");
std::string error_text(const cluster::v1::Error& error, std::string_view between = " — ");

// {"code","object","position","cause","action"}
nlohmann::ordered_json error_json(const cluster::v1::Error& error);

}  // namespace sluice::cli
