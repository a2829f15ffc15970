// The keys of the coordinator's metadata, in one place. proto/sluice/coordinator/v1/state.proto has the values.
#pragma once

#include <string>

namespace sluice::coordinator {

inline constexpr const char* kClusterKey = "/sluice/v1/cluster";
inline constexpr const char* kEndpointPrefix = "/sluice/v1/endpoints/";
inline constexpr const char* kProjectPrefix = "/sluice/v1/projects/";
inline constexpr const char* kComponentPrefix = "/sluice/v1/components/";
inline constexpr const char* kDeletedPrefix = "/sluice/v1/deleted/";

inline std::string endpoint_key(const std::string& id) { return kEndpointPrefix + id; }
inline std::string endpoint_name_key(const std::string& name) { return "/sluice/v1/endpoint_names/" + name; }
inline std::string project_key(const std::string& id) { return kProjectPrefix + id; }
inline std::string project_name_key(const std::string& name) { return "/sluice/v1/project_names/" + name; }
inline std::string tables_key(const std::string& id) { return "/sluice/v1/tables/" + id; }
inline std::string component_key(const std::string& id) { return kComponentPrefix + id; }
inline std::string deleted_key(const std::string& project_id) { return kDeletedPrefix + project_id; }

}  // namespace sluice::coordinator
