#include "cli/error_text.hpp"

#include <nlohmann/json.hpp>

#include "core/net/convert.hpp"

namespace sluice::cli {

std::string error_text(const Error& error, std::string_view between) {
  std::string text = error.to_string();
  if (!error.action().empty()) text.append(between).append(error.action());
  return text;
}

std::string error_text(const cluster::v1::Error& error, std::string_view between) {
  return error_text(net::from_proto(error), between);
}

nlohmann::ordered_json error_json(const cluster::v1::Error& error) {
  return {{"code", error.code()},
          {"object", error.object()},
          {"position", error.position()},
          {"cause", error.cause()},
          {"action", error.action()}};
}

}  // namespace sluice::cli
