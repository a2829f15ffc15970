#include "core/config.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "core/ascii.hpp"

namespace sluice {
namespace {

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (comma > 0) parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

const char* environment_of(std::string_view key) {
  const char* value = std::getenv(Config::environment_name(key).c_str());
  return value != nullptr && *value != '\0' ? value : nullptr;
}

Error wrong_file(const std::string& path, const std::string& cause) {
  return Error(ErrorCode::INVALID_ARGUMENT, cause, path);
}

// A scalar is one value, a sequence its items, a map of scalars "key=value" items (labels).
bool values_of(const YAML::Node& node, std::vector<std::string>& values) {
  if (node.IsScalar()) return values.push_back(node.Scalar()), true;
  if (node.IsSequence()) {
    for (const auto& item : node) {
      if (!item.IsScalar()) return false;
      values.push_back(item.Scalar());
    }
    return true;
  }
  if (!node.IsMap()) return node.IsNull();
  for (const auto& item : node) {
    if (!item.first.IsScalar() || !item.second.IsScalar()) return false;
    values.push_back(item.first.Scalar() + "=" + item.second.Scalar());
  }
  return true;
}

}  // namespace

std::string Config::environment_name(std::string_view key) {
  std::string name = "SLUICE_";
  for (const char c : key) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

void Config::set_flag(const std::string& key, std::vector<std::string> values) { flags_[key] = std::move(values); }

Status Config::read_file(const std::string& path) {
  try {
    const YAML::Node root = YAML::LoadFile(path);
    if (root.IsNull()) return {};
    if (!root.IsMap()) return wrong_file(path, "the file is not a map of settings");
    for (const auto& item : root) {
      const std::string key = item.first.Scalar();
      if (std::find(known_.begin(), known_.end(), key) == known_.end())
        return wrong_file(path, "unknown setting '" + key + "'");
      std::vector<std::string> values;
      if (!values_of(item.second, values)) return wrong_file(path, "setting '" + key + "' is neither text nor a list");
      file_[key] = std::move(values);
    }
  } catch (const YAML::Exception& e) {
    return wrong_file(path, e.what());
  }
  file_name_ = path;
  return {};
}

bool Config::has(const std::string& key) const { return !list(key).empty(); }

std::string Config::text(const std::string& key, const std::string& otherwise) const {
  if (auto found = flags_.find(key); found != flags_.end() && !found->second.empty()) return found->second.back();
  if (const char* value = environment_of(key)) return value;
  if (auto found = file_.find(key); found != file_.end() && !found->second.empty()) {
    std::string joined;
    for (const std::string& value : found->second) joined += (joined.empty() ? "" : ",") + value;
    return joined;
  }
  return otherwise;
}

std::vector<std::string> Config::list(const std::string& key) const {
  std::vector<std::string> raw;
  if (auto found = flags_.find(key); found != flags_.end())
    raw = found->second;
  else if (const char* value = environment_of(key))
    raw = {value};
  else if (auto in_file = file_.find(key); in_file != file_.end())
    raw = in_file->second;
  std::vector<std::string> values;
  for (const std::string& text : raw)
    for (std::string& part : split_commas(text)) values.push_back(std::move(part));
  return values;
}

Result<int64_t> Config::integer(const std::string& key, int64_t otherwise, int64_t least, int64_t most) const {
  const std::string value = text(key);
  if (value.empty()) return otherwise;
  int64_t number = 0;
  const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failure != std::errc() || end != value.data() + value.size() || number < least || number > most)
    return Error(ErrorCode::INVALID_ARGUMENT,
                 "'" + value + "' is not a number from " + std::to_string(least) + " to " + std::to_string(most), key);
  return number;
}

Result<bool> Config::flag(const std::string& key, bool otherwise) const {
  const std::string value = ascii::lower(text(key));
  if (value.empty()) return otherwise;
  if (value == "true" || value == "yes" || value == "on" || value == "1") return true;
  if (value == "false" || value == "no" || value == "off" || value == "0") return false;
  return Error(ErrorCode::INVALID_ARGUMENT, "'" + value + "' is neither true nor false", key);
}

}  // namespace sluice
