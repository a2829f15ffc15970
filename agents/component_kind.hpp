// Names of the component kinds on the command line (`sluice component KIND`), in logs and metrics.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "sluice/cluster/v1/cluster.pb.h"

namespace sluice::agents {

inline constexpr std::array<std::pair<cluster::v1::ComponentKind, std::string_view>, 6> kKindNames{{
    {cluster::v1::PRECHECK, "precheck"},
    {cluster::v1::STORE, "store"},
    {cluster::v1::STRUCT_TRANSFER, "struct_transfer"},
    {cluster::v1::FULL_IMPORT, "full_import"},
    {cluster::v1::INCR_SYNC, "incr_sync"},
    {cluster::v1::CHECKER, "checker"},
}};

inline std::string_view kind_name(cluster::v1::ComponentKind kind) {
  for (const auto& [value, name] : kKindNames)
    if (value == kind) return name;
  return {};
}

}  // namespace sluice::agents
